"""A project's legacy document, made to match its page: the page waits for it, but does not fail with it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from msgspec.structs import replace
from packaging.utils import NormalizedName

from mirror_contract import Failure
from mirror_syncer.errors import InvalidPageError, StalePageError, UpstreamError
from mirror_syncer.model.names import PackagePath
from mirror_syncer.model.page import File, Page
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.tally import Tally
from mirror_syncer.publish import Releases, render_legacy
from mirror_syncer.upstream import LegacyDocument, LegacyIndex, parse_legacy
from mirror_syncer.volume import AnyTree, StagedDocument

_WHAT = "legacy JSON"  # in place of a file's name


@dataclass(frozen=True, slots=True)
class Legacy:
    """The outcome of a legacy document."""

    staged: StagedDocument | None = None
    """What changes; None if nothing does."""
    failure: Failure | None = None
    """Why upstream's document could not be fetched; what is staged was made without it."""


class LegacyTransfer:
    """
    Fetches legacy documents.

    Args:
        stale_waits: seconds before each further request for a document that is older than its page.
    """

    def __init__(self, index: LegacyIndex, *, tree: AnyTree, stale_waits: Sequence[float]) -> None:
        self._index = index
        self._tree = tree
        self._stale_waits = stale_waits

    async def bring(
        self,
        page: Page,
        files: Sequence[tuple[File, PackagePath]],
        *,
        serial: int | None,
        wanted: bool,
        priority: Priority,
        tally: Tally,
    ) -> Legacy:
        """
        Stage the document that goes with a page.

        It lists exactly these files, whatever upstream's document lists. If that cannot be fetched, our last document
        and the page are used instead. If none is wanted, or no file is left, the published document is removed.

        Args:
            serial: the serial that the page is published with.

        Raises:
            VolumeError: the disk refuses.
        """
        if not (wanted and files):  # PyPI, too, answers 404 for a project without releases, or in quarantine
            return Legacy(await self._tree.call(self._tree.stage_legacy, page.name, None))
        failure = None
        try:
            upstream = await self._ask(page, priority=priority)
            tally.legacy_fetched += upstream is not None
        except (UpstreamError, InvalidPageError) as error:
            tally.legacy_failed += 1
            failure = Failure(project=page.name, file=_WHAT, reason=str(error))
            upstream = await asyncio.to_thread(self._published, page.name)
        # In threads: 20,000 files take 0.13 s to sort and 0.17 s to write.
        releases = await asyncio.to_thread(self._sort, page, files, upstream)
        about = upstream
        if upstream is not None and upstream.version != releases.described:
            silent = failure is not None
            about = None if silent else await self._about(page.name, releases.described, priority=priority)
        return Legacy(await asyncio.to_thread(self._stage, releases, about, upstream, serial), failure)

    async def _ask(self, page: Page, *, priority: Priority) -> LegacyDocument | None:
        """Fetch the document; one that is older than the page is fetched again, a little later."""
        for wait in (*self._stale_waits, None):
            document = await self._index.document(page.name, priority=priority)
            serial = None if document is None else document.serial
            if serial is None or page.serial is None or serial >= page.serial:
                return document
            if wait is None:
                raise StalePageError(f"upstream shows an older one, of serial {serial}; its page is of {page.serial}")
            await asyncio.sleep(wait)
        raise AssertionError

    async def _about(self, name: NormalizedName, version: str, *, priority: Priority) -> LegacyDocument | None:
        """Return the document of a release that is not upstream's newest; None if it cannot be fetched."""
        try:
            about = await self._index.document(name, version=version, priority=priority)
        except (UpstreamError, InvalidPageError):
            return None
        return about if about is not None and about.version == version else None

    def _sort(self, page: Page, files: Sequence[tuple[File, PackagePath]], upstream: LegacyDocument | None) -> Releases:
        return Releases(page, [(self._dated(file, place), place) for file, place in files], upstream=upstream)

    def _stage(
        self, releases: Releases, about: LegacyDocument | None, upstream: LegacyDocument | None, serial: int | None
    ) -> StagedDocument | None:
        # The page's serial, even if the document is newer: files that only the document names are not here.
        if serial is None:
            serial = (upstream.serial if upstream else None) or 0
        return self._tree.stage_legacy(releases.page.name, render_legacy(releases, about=about, serial=serial))

    def _published(self, name: NormalizedName) -> LegacyDocument | None:
        try:
            body = self._tree.legacy(name)
            return None if body is None else parse_legacy(body, name=name)
        except InvalidPageError:
            return None

    def _dated(self, file: File, place: PackagePath) -> File:
        """Return a file with an upload time: bandersnatch wants one, and ours is not before the real one."""
        if file.upload_time is not None:
            return file
        landed = self._tree.uploaded_at(place)
        moment = datetime.now(UTC) if landed is None else datetime.fromtimestamp(landed, UTC)
        return replace(file, upload_time=moment.strftime("%Y-%m-%dT%H:%M:%SZ"))
