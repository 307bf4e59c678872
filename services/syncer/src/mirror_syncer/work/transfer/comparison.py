"""The comparison of a published page with upstream's: what upstream has not changed must be published as it is."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace
from packaging.utils import NormalizedName

from mirror_syncer.config import ProjectPolicy, decide, settle_contradictions
from mirror_syncer.errors import InvalidPageError, UpstreamError
from mirror_syncer.model.names import Filename
from mirror_syncer.model.page import File, Page, ProjectStatus, PublishedPage
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.project import NO_VALIDATORS, ProjectRow
from mirror_syncer.publish import find_published, parse_published, render_page
from mirror_syncer.upstream import Gone, Index, NotModified, PageResponse
from mirror_syncer.volume import AnyTree
from mirror_syncer.work.transfer.metadata import promised_metadata
from mirror_syncer.work.transfer.unhashed import UnhashedFiles


@dataclass(frozen=True, slots=True)
class Comparison:
    """One project to compare with upstream; picklable, so that it can be sent to a worker process."""

    row: ProjectRow
    policy: ProjectPolicy
    fingerprint: str
    """The fingerprint of the policy that is in force."""
    priority: Priority


@dataclass(frozen=True, slots=True)
class Compared:
    """
    The result of a comparison.

    Attributes:
        differing: the names of files that differ from what upstream promises, and their places below ``pypi/web``.
        changed: upstream's page is newer, so it was not compared; a sync takes it.
        failure: why upstream's page could not be fetched.
    """

    differing: tuple[tuple[str, str], ...] = ()
    changed: bool = False
    failure: str | None = None


class UpstreamComparison:
    """
    Compares projects, one call each; nothing is written.

    Args:
        unhashed: recognizes the published content that an index without sha256 still names.
    """

    def __init__(self, *, index: Index, tree: AnyTree, unhashed: UnhashedFiles) -> None:
        self._index = index
        self._tree = tree
        self._unhashed = unhashed

    async def compare(self, job: Comparison) -> Compared:
        """
        Fetch a project's page, and compare what it promises with what is published.

        Raises:
            VolumeError: the disk refuses.
        """
        row = job.row
        try:
            answer = await self._index.page(row.name, validators=NO_VALIDATORS, priority=job.priority)
        except (UpstreamError, InvalidPageError) as error:
            return Compared(failure=f"not compared with upstream: {error}")
        match answer:
            case Gone() | NotModified():
                return Compared(changed=True)
            case PageResponse():
                published = await self._tree.call(find_published, self._tree, row.name)
                if published is None or _is_newer(answer, row):
                    return Compared(changed=published is not None)
                # This may hash what is published.
                page = await asyncio.to_thread(self._unhashed.settle, answer.page, published)
                page = settle_contradictions(page, published)
                return Compared(differing=tuple(_differing(job, page, published)))


def _is_newer(answer: PageResponse, row: ProjectRow) -> bool:
    """Return whether upstream changed its page since ours was made from it; no if nothing says so."""
    pairs = (
        (answer.validators.etag, row.validators.etag),
        (answer.validators.last_modified, row.validators.last_modified),
        (answer.page.serial, row.serial),
    )
    return next((now != then for now, then in pairs if now is not None and then is not None), False)


def _differing(job: Comparison, page: Page, published: PublishedPage) -> list[tuple[str, str]]:
    """Return what is published differently from what a page promises, as far as the policy wants it."""
    row, place = job.row, f"simple/{job.row.name}/index.v1_json"
    files = {file.filename: file for file in page.files if page.status is not ProjectStatus.QUARANTINED}
    expected = _as_published(page, files, published, name=row.name)
    found = []
    for filename, ours in published.files.items():
        theirs = expected.files.get(filename)
        if theirs is None:
            if not row.lost_files:  # the deletion guard keeps them
                found.append((filename, str(published.places[ours.filename])))
        elif theirs != ours:
            # If the digests agree, the page is wrong and not the file.
            wrong = theirs.sha256 != ours.sha256
            found.append((filename, str(published.places[ours.filename]) if wrong else place))
    if (expected.page.status, expected.page.status_reason) != (published.page.status, published.page.status_reason):
        found.append(("index.v1_json", place))
    if row.fingerprint == job.fingerprint and not (row.missing_files or row.lost_files):
        missing = decide(page, published, job.policy, now=int(time.time())).missing
        found += [(name, place) for file in missing if (name := file.filename) not in published.files]
    return found


def _as_published(
    page: Page, files: Mapping[Filename, File], published: PublishedPage, *, name: NormalizedName
) -> PublishedPage:
    """Return upstream's page as we would publish it, with the files that ours names."""
    said = []
    for filename, ours in published.files.items():
        if (theirs := files.get(ours.filename)) is not None:
            promise = promised_metadata(theirs)
            # A wheel's metadata comes from the wheel, which every verify compares; metadata that failed is absent.
            own = filename.endswith(".whl") or promise is None or not ours.core_metadata
            changed = replace(
                theirs,
                size=ours.size if theirs.size is None else theirs.size,
                core_metadata=ours.core_metadata if own else theirs.core_metadata,
            )
            said.append((changed, published.places[ours.filename]))
    return parse_published(render_page(page, said).json, name=name)
