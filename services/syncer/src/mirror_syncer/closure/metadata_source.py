"""Requirements of files for the dependency closure: from the catalog, from the disk, else from upstream."""

import asyncio
import hashlib
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from packaging.utils import NormalizedName

from mirror_syncer.catalog import Catalog
from mirror_syncer.catalog.requirement_lines import LinesKey, file_key, metadata_key, unverified_key
from mirror_syncer.closure.metadata import parse_metadata, parse_sdist_metadata
from mirror_syncer.closure.requests import FailedRequests, RequestCounts, SharedCalls
from mirror_syncer.errors import FileRejectedError, RefusedError, UpstreamError
from mirror_syncer.model.digests import NO_DIGEST, check_other_digest, new_hasher
from mirror_syncer.model.names import PackagePath, Sha256
from mirror_syncer.model.page import File, PublishedPage, names
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.requirement_lines import RequirementLines
from mirror_syncer.model.sdist import MAX_SDIST_BYTES, SDIST_ENDINGS, SdistContents, read_sdist
from mirror_syncer.publish.pages import PUBLISHED_ROOT
from mirror_syncer.upstream import Index, MemorySink, read_remote_metadata
from mirror_syncer.volume import MAX_METADATA_BYTES, AnyView, explain_disk_errors
from mirror_syncer.work.transfer.metadata import promised_metadata

UNKNOWN = RequirementLines(is_dynamic=True, build_requires=())
"""
The lines of a file that is not read.

It is neither a wheel nor a source distribution, or is too large or damaged, or upstream has it and is not asked.
"""
_MAX_SDISTS = 4  # in memory at once, of up to 10 MB each


@dataclass(frozen=True, slots=True)
class _Read:
    """The lines that were read, and by which digest they can be found again."""

    lines: RequirementLines
    key: LinesKey | None


class PublishedPages(Protocol):
    """Where published pages are found."""

    async def published(self, name: NormalizedName) -> PublishedPage | None:
        """Return a project's published page, whose files are on disk; None if there is none that can be read."""


class MetadataSource:
    """
    Finds the requirements of files, each once.

    Args:
        index: None: upstream is not asked.
        slots: bounds the requests at once.
        now: returns the time in seconds since the epoch.
        stores: False: nothing is stored.
        failed: what is not requested again; it grows.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        view: AnyView,
        index: Index | None,
        pages: PublishedPages,
        priority: Priority,
        slots: asyncio.Semaphore,
        counts: RequestCounts,
        now: Callable[[], int],
        stores: bool,
        failed: FailedRequests,
    ) -> None:
        self._catalog = catalog
        self._view = view
        self._index = index
        self._pages = pages
        self._priority = priority
        self._slots = slots
        self._sdist_slots = asyncio.Semaphore(_MAX_SDISTS)
        self._counts = counts
        self._now = now
        self._stores = stores
        self._failed = failed.files
        self._calls = SharedCalls[tuple[NormalizedName, str], RequirementLines]()
        self._stored: dict[LinesKey, RequirementLines | None] = {}
        """What the catalog has of the keys that it was asked for."""

    async def prefetch(self, files: Iterable[File]) -> None:
        """Read what the catalog has of many files at once."""
        keys = {key for file in files for key in lines_keys(file)}
        if wanted := keys - self._stored.keys():
            now = self._now() if self._stores else None
            found = await asyncio.to_thread(self._catalog.requirement_lines.get, wanted, now=now)
            self._stored |= dict.fromkeys(wanted) | found

    def is_known(self, file: File) -> bool:
        """Return whether ``prefetch`` found what a file requires."""
        return any(self._stored.get(key) is not None for key in lines_keys(file))

    async def lines(self, project: NormalizedName, file: File) -> RequirementLines:
        """Return the requirements of a project's file; errors as in ``ClosureSource.requirement_lines``."""
        # By project, since its page may promise metadata of another one and deliver something else.
        key = project, next(iter(_verified_keys(file)), None) or file.url
        return await self._calls.get(key, lambda: self._find(project, file))

    async def cancel(self) -> None:
        """End all requests."""
        await self._calls.cancel()

    async def _find(self, project: NormalizedName, file: File) -> RequirementLines:
        if not _is_wheel(file) and not file.filename.lower().endswith(SDIST_ENDINGS):
            return UNKNOWN
        await self.prefetch([file])
        for key in _verified_keys(file):
            if (lines := self._stored[key]) is not None:
                return lines
        if (read := await self._read_on_disk(project, file)) is None:
            for key in _unverified_keys(file):
                if (lines := self._stored[key]) is not None:
                    return lines
            if file.url.startswith(PUBLISHED_ROOT):
                raise FileRejectedError(
                    f"{file.filename} is published, but missing on disk or unreadable; run `verify`"
                )
            read = await self._request(file)
        if self._stores and read.key is not None:
            await asyncio.to_thread(self._catalog.requirement_lines.put, {read.key: read.lines}, now=self._now())
            self._stored[read.key] = read.lines
        return read.lines

    async def _request(self, file: File) -> _Read:
        if not _is_wheel(file) and file.size is not None and file.size > MAX_SDIST_BYTES:
            return _Read(UNKNOWN, None)
        if self._index is None:
            self._counts.not_made += 1
            return _Read(UNKNOWN, None)
        if (reason := self._failed.get(file.url)) is not None:
            raise UpstreamError(reason)
        try:
            return await (self._request_wheel if _is_wheel(file) else self._request_sdist)(self._index, file)
        except (UpstreamError, FileRejectedError) as error:
            self._failed[file.url] = str(error)
            raise

    async def _read_on_disk(self, project: NormalizedName, file: File) -> _Read | None:
        published = await self._pages.published(project)
        if published is None or file.sha256 == NO_DIGEST or not names(published.files, file):
            return None
        place = published.places[file.filename]
        return await asyncio.to_thread(self._read_wheel if _is_wheel(file) else self._read_sdist, place, file)

    def _read_wheel(self, place: PackagePath, file: File) -> _Read | None:
        if (promise := promised_metadata(file)) is not None:
            body = self._view.metadata_head(place)
            if body is not None and _digest(body) == promise:
                return _Read(parse_metadata(body), metadata_key(promise))
        body = self._view.wheel_metadata(place)
        return None if body is None else _Read(parse_metadata(body), file_key(file))

    def _read_sdist(self, place: PackagePath, file: File) -> _Read | None:
        if (sdist := self._view.open_file(place)) is None:
            return None
        with sdist, explain_disk_errors(place, cannot_be="read"):
            contents = read_sdist(sdist, file.filename)
        return _Read(_parse_sdist(contents), file_key(file))

    async def _request_wheel(self, index: Index, file: File) -> _Read:
        promise = promised_metadata(file)
        if file.core_metadata and (body := await self._request_metadata(index, file, promise)) is not None:
            lines = await asyncio.to_thread(parse_metadata, body)
            return _Read(lines, next(iter(_unverified_keys(file)), None) if promise is None else metadata_key(promise))
        async with self._slots:
            body = await read_remote_metadata(
                index, file.url, size=file.size, priority=self._priority, count=self._count
            )
        lines = await asyncio.to_thread(parse_metadata, body)
        if promise is not None and _digest(body) == promise:
            return _Read(lines, metadata_key(promise))
        return _Read(lines, next(iter(_unverified_keys(file)), None))

    async def _request_metadata(self, index: Index, file: File, promise: Sha256 | None) -> bytes | None:
        """Request a wheel's ``.metadata``; None if upstream does not keep its promise, so that the wheel decides."""
        sink = MemorySink(MAX_METADATA_BYTES, what="its metadata")
        async with self._slots:
            try:
                await index.metadata(file.url, sink, priority=self._priority)
            except (RefusedError, FileRejectedError):
                return None
            finally:
                self._count(sink.position)
        body = sink.body
        return body if promise in (None, _digest(body)) else None

    async def _request_sdist(self, index: Index, file: File) -> _Read:
        unverified = next(iter(_unverified_keys(file)), None)
        sink = MemorySink(MAX_SDIST_BYTES, what="it")
        async with self._slots, self._sdist_slots:
            try:
                await index.file(file.url, sink, priority=self._priority, resume=file.sha256 != NO_DIGEST)
            except FileRejectedError:  # too large, though its page did not say so
                return _Read(UNKNOWN, unverified)
            finally:
                self._count(sink.position)
            lines = await asyncio.to_thread(self._check_and_parse_sdist, sink.body, file)
        return _Read(lines, None if file.sha256 == NO_DIGEST else file_key(file))

    def _check_and_parse_sdist(self, body: bytes, file: File) -> RequirementLines:
        if file.sha256 != NO_DIGEST and (found := _digest(body)) != file.sha256:
            raise FileRejectedError(f"{file.filename}: its sha256 is {found}, the page says {file.sha256}")
        if (hasher := new_hasher(file.other_digest)) is not None:
            hasher.update(body)
            check_other_digest(file.other_digest, hasher)
        return _parse_sdist(read_sdist(io.BytesIO(body), file.filename))

    def _count(self, count: int) -> None:
        self._counts.metadata += 1
        self._counts.metadata_bytes += count


def lines_keys(file: File) -> tuple[LinesKey, ...]:
    """Return the keys by which the catalog may have the requirement lines of a file, the best one first."""
    return (*_verified_keys(file), *_unverified_keys(file))


def _parse_sdist(contents: SdistContents | None) -> RequirementLines:
    return UNKNOWN if contents is None else parse_sdist_metadata(contents.pkg_info or b"", contents.pyproject)


def _is_wheel(file: File) -> bool:
    return file.filename.endswith(".whl")


def _verified_keys(file: File) -> Iterable[LinesKey]:
    """Yield the keys of lines that a digest vouches for; an sdist's metadata does not say how it is built."""
    promise = promised_metadata(file)
    if promise is not None and _is_wheel(file):
        yield metadata_key(promise)
    if file.sha256 != NO_DIGEST:
        yield file_key(file)


def _unverified_keys(file: File) -> Iterable[LinesKey]:
    if file.sha256 != NO_DIGEST:
        yield unverified_key(file)


def _digest(body: bytes) -> Sha256:
    return Sha256(hashlib.sha256(body).hexdigest())
