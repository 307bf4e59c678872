"""
The object store: reads and writes of single objects, with errors that name the remedy.

A write has happened when its call returns. Only one condition is relied on, ``If-None-Match: *`` of a PUT in one piece:
Ceph's gateway ignores every other one, and those of multipart uploads.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mirror_syncer.config.bucket import BucketAccess
from mirror_syncer.errors import MirrorError, PathError, VolumeError, VolumeFullError, VolumeMissingError
from mirror_syncer.volume.disk import MAKE_ROOM, explain_disk_errors

if TYPE_CHECKING:
    from obstore import Attributes

MAX_SINGLE_PUT_BYTES = 16 * 2**20
"""A larger object is uploaded in parts, so that an interruption repeats only a part."""

# One request; a whole body must come within it. An upload of 8 MiB needs 280 kB/s.
_REQUEST_SECONDS = 30
_CONNECT_SECONDS = 5
# A store that answers 503 is asked again for half a minute; then the run ends, and the next one continues.
_RETRIES = 6
_RETRY_SECONDS = 30
_PART_BYTES = 8 * 2**20
_PARTS_AT_ONCE = 4
_TYPES = {
    "index.html": "text/html",
    "index.v1_json": "application/vnd.pypi.simple.v1+json",
    "json": "application/json",
    "status.json": "application/json",
}
_CODE = re.compile(r"<Code>(\w+)</Code>|\b(QuotaExceeded|EntityTooLarge|InsufficientCapacity|SlowDown)\b")
_FULL = frozenset({"QuotaExceeded", "InsufficientCapacity", "XMinioStorageFull"})


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store says about an object without sending it."""

    key: str
    size: int
    tag: str
    modified: datetime


class ObjectStore:
    """
    A bucket below its prefix. Its methods block for the network and may be called in any thread.

    Each may raise a VolumeError whose message names the remedy.
    """

    def __init__(self, access: BucketAccess) -> None:
        import obstore  # noqa: PLC0415 - 9 MB that a mirror in a directory does without
        from obstore.store import S3Store  # noqa: PLC0415

        self._obstore = obstore
        self._access = access
        self._store = S3Store(
            access.url.bucket,
            prefix=access.url.prefix or None,
            config={
                "endpoint": access.endpoint,
                "region": access.region,
                "access_key_id": access.access_key,
                "secret_access_key": access.secret_key,
                "virtual_hosted_style_request": False,
                "conditional_put": "etag",
            },
            client_options={
                "allow_http": True,
                "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
                "timeout": timedelta(seconds=_REQUEST_SECONDS),
                **({"root_certificate": access.authorities} if access.authorities else {}),
            },
            retry_config={
                "max_retries": _RETRIES,
                "retry_timeout": timedelta(seconds=_RETRY_SECONDS),
                "backoff": {
                    "init_backoff": timedelta(milliseconds=100),
                    "max_backoff": timedelta(seconds=10),
                    "base": 2,
                },
            },
        )

    def __str__(self) -> str:
        return str(self._access)

    # Reading

    def get(self, key: str) -> bytes | None:
        """Return an object, or None if there is none."""
        with self._explained("read", key):
            try:
                return bytes(self._obstore.get(self._store, key).bytes())
            except FileNotFoundError:
                return None

    def get_range(self, key: str, *, start: int, length: int) -> bytes | None:
        """Return a part of an object, which must not begin past its end; None if there is no object."""
        with self._explained("read", key):
            try:
                return bytes(self._obstore.get_range(self._store, key, start=start, length=length))
            except FileNotFoundError:
                return None

    def digest(self, key: str, algorithm: str) -> str | None:
        """Read an object, and return its digest; None if there is none."""
        whole = hashlib.new(algorithm, usedforsecurity=False)
        with self._explained("read", key):
            try:
                for piece in self._obstore.get(self._store, key):
                    whole.update(piece)
            except FileNotFoundError:
                return None
        return whole.hexdigest()

    def head(self, key: str) -> ObjectInfo | None:
        """Return what the store says about an object, or None if there is none."""
        with self._explained("read", key):
            try:
                found = self._obstore.head(self._store, key)
            except FileNotFoundError:
                return None
        return ObjectInfo(key, found["size"], found["e_tag"] or "", found["last_modified"])

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the objects below a prefix that ends at a slash, in the order of their keys."""
        pages = iter(self._obstore.list(self._store, prefix))
        while True:
            with self._explained("listed", prefix):
                page = next(pages, None)
            if page is None:
                return
            for found in page:
                yield ObjectInfo(found["path"], found["size"], found["e_tag"] or "", found["last_modified"])

    # Writing

    def create(self, key: str, body: bytes, *, mtime: float | None = None) -> bool:
        """
        Store an object under a free key.

        Args:
            mtime: what nginx says was its last change, in seconds since the epoch; None: when the store got it.

        Returns:
            True if the key has this content now. The store may refuse our own write: it was repeated after its answer
            got lost. So the content decides, and False means that the key has another one.
        """
        with self._explained("written", key):
            try:
                self._put(key, body, mode="create", mtime=mtime)
            except self._obstore.exceptions.AlreadyExistsError:
                pass
            else:
                return True
        return self.get(key) == body

    def replace(self, key: str, body: bytes, *, mtime: float | None = None) -> None:
        """Store an object, whatever its key had before; ``mtime`` as in ``create``."""
        with self._explained("written", key):
            self._put(key, body, mode="overwrite", mtime=mtime)

    def upload(self, key: str, path: Path, *, mtime: float | None = None) -> None:
        """Store a local file, a large one in parts. Nobody sees the object before its last part has arrived."""
        with explain_disk_errors(path, cannot_be="read"):
            small = path.stat().st_size <= MAX_SINGLE_PUT_BYTES
            body = path.read_bytes() if small else b""
        if small:
            self.replace(key, body, mtime=mtime)
            return
        with self._explained("written", key), path.open("rb") as file:
            self._obstore.put(
                self._store,
                key,
                file,
                attributes=_attributes(key, mtime),
                use_multipart=True,
                chunk_size=_PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )

    def copy(self, key: str, to: str) -> bool:
        """Copy an object inside the store; return False if there is none."""
        with self._explained("copied", key):
            try:
                self._obstore.copy(self._store, key, to)
            except FileNotFoundError:
                return False
        return True

    def delete(self, *keys: str) -> None:
        """Delete objects in one request, so that an interruption deletes all or none; missing ones do not matter."""
        with self._explained("deleted", keys[0]), suppress(FileNotFoundError):
            self._obstore.delete(self._store, list(keys))

    def _put(self, key: str, body: bytes, *, mode: str, mtime: float | None) -> None:
        self._obstore.put(
            self._store,
            key,
            body,
            attributes=_attributes(key, mtime),
            mode="create" if mode == "create" else "overwrite",
            use_multipart=False,
        )

    @contextmanager
    def _explained(self, done: str, key: str) -> Iterator[None]:
        """Translate the errors of the store."""
        try:
            yield
        except MirrorError:
            raise
        except FileNotFoundError as error:
            raise VolumeMissingError(
                f"{self}: there is no such bucket: create it, or correct MIRROR_DATA and MIRROR_S3_ENDPOINT"
            ) from error
        except PermissionError as error:
            raise self._refused(done, key, error) from error
        except OSError as error:
            raise VolumeError(f"{self}: {key} cannot be {done}: {error}") from error
        except self._obstore.exceptions.InvalidPathError as error:
            raise PathError(f"{self}: {key} cannot be {done}: the store has a key that no mirror writes") from error
        except self._obstore.exceptions.BaseError as error:
            raise self._refused(done, key, error) from error

    def _refused(self, done: str, key: str, error: Exception) -> VolumeError:
        text = str(error)
        code = next((match[1] or match[2] for match in _CODE.finditer(text)), "")
        if code in _FULL:
            return VolumeFullError(f"{self}: {key} cannot be {done}, the store is full ({code}): {MAKE_ROOM}")
        if code == "NoSuchBucket":
            return VolumeMissingError(
                f"{self}: there is no such bucket: create it, or correct MIRROR_DATA and MIRROR_S3_ENDPOINT"
            )
        kinds = self._obstore.exceptions
        if isinstance(error, (PermissionError, kinds.PermissionDeniedError, kinds.UnauthenticatedError)):
            return VolumeError(
                f"{self}: {key} cannot be {done}, the store refuses the key{f' ({code})' if code else ''}: check "
                "MIRROR_S3_KEY_FILE, and that this key may list, read, write and delete in the bucket"
            )
        # Its first line names the request and, after a dash, what went wrong; the rest is for programmers.
        first = text.partition("\n")[0]
        reason = code or ("no answer in time" if "TimedOut" in text else first.rpartition(" - ")[2])
        return VolumeError(
            f"{self}: {key} cannot be {done}, the store failed or does not answer ({reason[:200]}): check it and the "
            "network; the next run continues"
        )


def _attributes(key: str, mtime: float | None) -> "Attributes":
    name = key.rpartition("/")[2]
    found: Attributes = {"Content-Type": _TYPES.get(name.removesuffix(".gz"), "application/octet-stream")}
    if mtime is not None:
        found["mtime"] = str(int(mtime))  # a header x-amz-meta-mtime
    return found
