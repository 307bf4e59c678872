"""A project's files: which are there, and how the others get there."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from msgspec.structs import replace
from packaging.utils import NormalizedName

from mirror_contract import Failure
from mirror_syncer.catalog import Pending
from mirror_syncer.errors import FileRejected, UpstreamError
from mirror_syncer.names import PackagePath, Sha256, content_digest, full_path, metadata_name, short_path
from mirror_syncer.priority import Priority
from mirror_syncer.publish import PublishedPage
from mirror_syncer.upstream import File, Index
from mirror_syncer.volume import METADATA_MOST, Incoming, Volume, wheel_metadata

_ATTEMPTS = 2  # at a content that is not what its page says; a third has never helped anyone
Intend = Callable[[Sequence[Pending]], Awaitable[set[PackagePath]]]
"""Notes what is about to be touched, before its bytes; returns the places that held other content once."""


@dataclass(slots=True)
class Tally:
    """What bringing files came to."""

    landed: dict[str, tuple[File, PackagePath]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    fetched: int = 0
    fetched_bytes: int = 0
    metadata_fetched: int = 0
    metadata_missing: int = 0


class FileTransfer:
    """
    Brings files into the volume, several of a project at once.

    Args:
        at_once: files of one project under way together; the client's budget bounds all projects.
    """

    def __init__(self, *, index: Index, volume: Volume, intend: Intend, at_once: int) -> None:
        self._index = index
        self._volume = volume
        self._intend = intend
        self._at_once = at_once

    async def bring(
        self,
        name: NormalizedName,
        files: Sequence[File],
        *,
        published: PublishedPage | None,
        priority: Priority,
        force: bool = False,
        damaged: frozenset[str] = frozenset(),
    ) -> Tally:
        """
        Bring what is missing of a project's files; a file that cannot be had costs only itself.

        Args:
            published: the page that is served now. What it names with the same hash is there, and is not looked at
                again unless ``force`` asks for it.
            damaged: places whose content is known to be wrong; it is replaced.

        Raises:
            VolumeError: the disk says no.
        """
        tally = Tally()
        missing = [file for file in files if not self._there(file, published, tally, force=force, damaged=damaged)]
        if not missing:
            return tally
        await asyncio.to_thread(self._volume.check_room, sum(file.size or 0 for file in missing))
        claims = _Claims(name, self._intend, damaged=damaged)
        addresses = {file.filename: content_digest(urlsplit(file.url).path) for file in missing}
        await claims.claim(
            *(
                (short_path(address, file.filename), file.sha256)
                for file in missing
                if (address := addresses[file.filename])
            )
        )
        ahead = iter(missing)

        async def worker() -> None:
            for file in ahead:
                address = addresses[file.filename]
                try:
                    landed = await self._land(file, address, claims=claims, priority=priority, tally=tally)
                except (UpstreamError, FileRejected) as error:
                    tally.failures.append(Failure(project=name, file=file.filename, reason=str(error)))
                else:
                    tally.landed[file.filename] = landed

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._at_once, len(missing))):
                    group.create_task(worker())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return tally

    def _there(
        self,
        file: File,
        published: PublishedPage | None,
        tally: Tally,
        *,
        force: bool,
        damaged: frozenset[str],
    ) -> bool:
        before = None if published is None else published.files.get(file.filename)
        if published is None or before is None or before.sha256 != file.sha256:
            return False
        place = published.places[file.filename]
        if damaged & {place, f"{place}.metadata"} or (force and not self._lies_there(place, before)):
            return False
        if file.core_metadata and not before.core_metadata and metadata_name(file.filename):
            return False  # it was published without its metadata, which failed then
        # Its metadata is what the file's own METADATA said when it came: no URL ever changes its bytes.
        tally.landed[file.filename] = (replace(file, size=before.size, core_metadata=before.core_metadata), place)
        return True

    def _lies_there(self, place: PackagePath, file: File) -> bool:
        metadata = not file.core_metadata or self._volume.size(PackagePath(f"{place}.metadata")) is not None
        return metadata and self._volume.size(place) == file.size

    async def _land(
        self, file: File, address: str | None, *, claims: "_Claims", priority: Priority, tally: Tally
    ) -> tuple[File, PackagePath]:
        """Return a file that is whole and in its place, as the page may now name it."""
        place = None
        if address is not None:
            place, there = await self._choose(file, address, claims)
            if there:
                source = self._volume.path(place)
                return await self._complete(file, place, source=source, priority=priority, tally=tally), place
        incoming = self._volume.incoming(file.filename, file.sha256, size=file.size, place=place)
        try:
            await self._fetch(file, incoming, priority=priority)
            tally.fetched += 1
            tally.fetched_bytes += incoming.position
            file = replace(file, size=incoming.position)
            if place is None:
                place, _ = await self._choose(file, incoming.blake2b, claims)
            file = await self._complete(file, place, source=incoming.temporary, priority=priority, tally=tally)
            incoming.name_it(self._volume.path(place), mtime=_epoch(file.upload_time))
        except BaseException:
            incoming.abandon()
            raise
        return file, place

    async def _choose(self, file: File, address: str, claims: "_Claims") -> tuple[PackagePath, bool]:
        """
        Return a file's place, and whether it lies there already.

        The short path is taken unless it holds, or once held, other content: then PyPI's full one.
        """
        for place in (short_path(address, file.filename), full_path(address, file.filename)):
            if not await claims.claim((place, file.sha256)):
                continue
            self._volume.make_directory(place)
            self._volume.restore(place)
            if self._volume.size(place) is None or place in claims.damaged:
                return place, False
            if await asyncio.to_thread(self._volume.digest, place) == file.sha256:
                return place, True
        raise FileRejected("both of its places hold other content, and no URL ever changes its bytes")

    async def _fetch(self, file: File, incoming: Incoming, *, priority: Priority) -> None:
        """Fill a temporary until its hash is right."""
        for attempt in range(1, _ATTEMPTS + 1):
            await self._index.file(file.url, incoming, priority=priority)
            try:
                return incoming.check()
            except FileRejected:
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError

    async def _complete(
        self, file: File, place: PackagePath, *, source: Path, priority: Priority, tally: Tally
    ) -> File:
        """
        Store the metadata that the page promises beside a file (PEP 658); return the file with what it really has.

        A wheel's own METADATA saves a request where its digest is the promised one. Without either, the file is
        published without: clients fall back to the file itself, but die of a promise that is not kept.
        """
        if file.size is None:
            file = replace(file, size=self._volume.size(place))
        if not file.core_metadata or metadata_name(file.filename) is None:
            return replace(file, core_metadata=False)
        body = wheel_metadata(source) if file.filename.endswith(".whl") else None
        if body is None or not _promised(file, body):
            memory = _Memory()
            try:
                await self._index.metadata(file.url, memory, priority=priority)
                tally.metadata_fetched += 1
                body = memory.body if _promised(file, memory.body) else None
            except (UpstreamError, FileRejected):
                body = None
        if body is None:
            tally.metadata_missing += 1
            return replace(file, core_metadata=False)
        self._volume.write_metadata(place, body)
        return replace(file, core_metadata=Sha256(hashlib.sha256(body).hexdigest()))


class _Claims:
    """The places that a project's files may take; each is noted in the catalog before its bytes."""

    def __init__(self, name: NormalizedName, intend: Intend, *, damaged: frozenset[str]) -> None:
        self._name = name
        self.damaged = damaged
        self._intend = intend
        self._free: dict[tuple[PackagePath, Sha256], bool] = {}

    async def claim(self, *wanted: tuple[PackagePath, Sha256]) -> bool:
        """Return whether all of these places may hold these contents."""
        if new := [one for one in wanted if one not in self._free]:
            taken = await self._intend([Pending(self._name, place, sha256) for place, sha256 in new])
            self._free |= {(place, sha256): place not in taken for place, sha256 in new}
        return all(self._free[one] for one in wanted)


class _Memory:
    """A small file's sink."""

    def __init__(self) -> None:
        self.body = b""

    @property
    def position(self) -> int:
        return len(self.body)

    def restart(self) -> None:
        self.body = b""

    def write(self, chunk: bytes, /) -> None:
        if len(self.body) + len(chunk) > METADATA_MOST:
            raise FileRejected(f"its metadata has more than {METADATA_MOST:,} bytes")
        self.body += chunk


def _promised(file: File, body: bytes) -> bool:
    return file.core_metadata is True or hashlib.sha256(body).hexdigest() == file.core_metadata


def _epoch(upload_time: str | None) -> float | None:
    try:
        return None if upload_time is None else datetime.fromisoformat(upload_time).timestamp()
    except ValueError:  # the 31st of February
        return None
