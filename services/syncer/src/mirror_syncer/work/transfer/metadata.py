"""A file's ``.metadata``, which saves clients the download of a wheel (PEP 658)."""

import asyncio
import hashlib
from pathlib import Path

from msgspec.structs import replace
from packaging.utils import NormalizedName

from mirror_contract import Failure
from mirror_syncer.errors import FileRejectedError, UpstreamError
from mirror_syncer.model.names import PackagePath, Sha256
from mirror_syncer.model.page import File
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.tally import Tally
from mirror_syncer.upstream import Index, MemorySink
from mirror_syncer.volume import MAX_METADATA_BYTES, AnyTree, wheel_metadata

_MAX_INLINE_BYTES = 2**20  # bytes of METADATA that are unpacked in the event loop's thread: 3 ms


def promised_metadata(file: File) -> Sha256 | None:
    """Return the digest that a page promises for a file's metadata; ``true``, or an md5 alone, promises nothing."""
    return file.core_metadata if isinstance(file.core_metadata, str) else None


class MetadataTransfer:
    """Stores the metadata that pages promise."""

    def __init__(self, *, index: Index, tree: AnyTree) -> None:
        self._index = index
        self._tree = tree

    async def complete(
        self,
        name: NormalizedName,
        file: File,
        place: PackagePath,
        *,
        content: Path | bytes | None,
        damaged: bool,
        priority: Priority,
        tally: Tally,
    ) -> File:
        """
        Store a file's metadata beside it, and return the file with what it really has.

        A wheel's metadata is read from the wheel; a promise that differs is reported. For any other file, and for a
        wheel that cannot be read, the promised digest decides. Without a digest the file is published without metadata:
        clients then read the file itself, but fail on a promise that is not kept.

        Args:
            content: the file's content, or where it is now; None: at its place.
        """
        if not file.core_metadata or not self._tree.keeps_metadata(file.filename):
            return replace(file, core_metadata=False)
        promise, beside = promised_metadata(file), PackagePath(f"{place}.metadata")
        own = await self._of_wheel(content, place) if _is_wheel(file) else None
        if own is not None:
            digest = Sha256(hashlib.sha256(own).hexdigest())
            if promise not in (None, digest):
                tally.broken_promises.append(_broken(name, file, digest))
            # Beside a wheel that was just downloaded there is usually none, so it is written without a look.
            if damaged or isinstance(content, bytes) or await self._digest(beside) != digest:
                await self._tree.call(self._tree.write_metadata, name, place, own)
            return replace(file, core_metadata=digest)
        if promise is None:
            return replace(file, core_metadata=False)
        if damaged or await self._digest(beside) != promise:
            body = await self._fetch(file, promise, priority=priority, tally=tally)
            # Another project that names the same file may have stored other metadata meanwhile.
            if body is None or not (damaged or await self._digest(beside) in (None, promise)):
                tally.metadata_missing += 1
                return replace(file, core_metadata=False)
            await self._tree.call(self._tree.write_metadata, name, place, body)
        return replace(file, core_metadata=promise)

    async def fits(self, file: File, place: PackagePath) -> bool:
        """
        Return whether the metadata beside a file's place may be the file's own.

        If upstream promises other metadata than before, the file goes to another place as if it were another file,
        since no URL ever changes its bytes. This does not apply to a wheel whose own metadata can be read.
        """
        promise = promised_metadata(file)
        if promise is None or await self._digest(PackagePath(f"{place}.metadata")) in (None, promise):
            return True
        return _is_wheel(file) and await self._of_wheel(None, place) is not None

    async def _digest(self, place: PackagePath) -> Sha256 | None:
        return await self._tree.call(self._tree.digest, place)

    async def _of_wheel(self, content: Path | bytes | None, place: PackagePath) -> bytes | None:
        """
        Read a wheel's METADATA, in a thread if that takes long.

        A directory of 100,000 entries takes 0.8 s; 16 kB that unpack to 16 MiB take 0.05 s.
        """
        if content is None:
            return await asyncio.to_thread(self._tree.wheel_metadata, place)
        if isinstance(content, bytes) and (body := wheel_metadata(content, max_bytes=_MAX_INLINE_BYTES)) is not None:
            return body
        return await asyncio.to_thread(wheel_metadata, content)

    async def _fetch(self, file: File, promise: Sha256, *, priority: Priority, tally: Tally) -> bytes | None:
        memory = MemorySink(MAX_METADATA_BYTES, what="its metadata")
        try:
            await self._index.metadata(file.url, memory, priority=priority)
        except (UpstreamError, FileRejectedError):
            return None
        tally.metadata_fetched += 1
        return memory.body if hashlib.sha256(memory.body).hexdigest() == promise else None


def _is_wheel(file: File) -> bool:
    return file.filename.endswith(".whl")


def _broken(name: NormalizedName, file: File, own: Sha256) -> Failure:
    reason = f"upstream promises metadata of sha256 {file.core_metadata}, the wheel holds {own}, which is published"
    return Failure(project=name, file=file.filename, reason=reason)
