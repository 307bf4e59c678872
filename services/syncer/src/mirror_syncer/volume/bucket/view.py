"""Read access to the tree in a bucket."""

import hashlib
import io
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from isal import isal_zlib
from packaging.utils import NormalizedName

from mirror_syncer.errors import FileRejectedError, VolumeError
from mirror_syncer.model.digests import OtherDigest
from mirror_syncer.model.names import MAX_NAME_BYTES, Filename, PackagePath, Sha256, metadata_name
from mirror_syncer.model.wheel import MAX_METADATA_BYTES, read_metadata
from mirror_syncer.volume.bucket.reader import ObjectReader
from mirror_syncer.volume.bucket.store import ObjectStore
from mirror_syncer.volume.disk import explain_disk_errors
from mirror_syncer.volume.hashing import GZIP
from mirror_syncer.volume.pages import NAMES, pages_digest
from mirror_syncer.volume.view import StoredFile, disk_of

if TYPE_CHECKING:
    from mirror_contract import Disk

BASE = "pypi"
WEB = f"{BASE}/web"
MARKER = f"{BASE}/.mirror-id"
_READ_BYTES = 64 * 2**10  # METADATA is at a wheel's end, and the directory behind it


class BucketView:
    """
    A read-only view of a tree in a bucket; the operations are those of ``View``. The tree may be missing.

    Args:
        scratch: a local directory, for downloads that are not uploaded yet.
    """

    def __init__(self, store: ObjectStore, *, scratch: Path) -> None:
        self.store = store
        self.scratch = scratch

    @property
    def base(self) -> str:
        """The tree's name in messages."""
        return f"{self.store}"

    @property
    def present(self) -> bool:
        """Whether the tree has its marker; if not, nothing was ever mirrored, or the store does not answer."""
        try:
            return self.store.head(MARKER) is not None
        except VolumeError:
            return False

    def marker(self) -> str:
        """Return the id in the tree's marker; empty without a marker."""
        return (self.store.get(MARKER) or b"").decode(errors="replace").strip()

    @explain_disk_errors(affects_all=True)
    def disk(self) -> "Disk":
        """Return the local disk, through which downloads pass: a store does not say how much it has room for."""
        return disk_of(self.scratch)

    # Names

    @property
    def name_max(self) -> int:
        """The maximum length of a file name in bytes, as on most disks, so that the tree also fits there."""
        return MAX_NAME_BYTES

    def check_name(self, filename: Filename) -> None:
        """Raise ``FileRejectedError`` if a file name is too long."""
        if (length := len(filename.encode())) > self.name_max:
            raise FileRejectedError(f"its name has {length} bytes; a mirror takes at most {self.name_max}")

    def keeps_metadata(self, filename: Filename) -> bool:
        """Return whether the name of a file's ``.metadata`` is short enough."""
        return len(metadata_name(filename).encode()) <= self.name_max

    # Files

    def digest(self, place: PackagePath) -> Sha256 | None:
        """Read the file at a place, and return its sha256; None if there is none."""
        found = self.store.digest(f"{WEB}/{place}", "sha256")
        return None if found is None else Sha256(found)

    def other_digest(self, place: PackagePath, like: OtherDigest) -> OtherDigest | None:
        """Read the file at a place, and return a digest by the algorithm of ``like``; None if there is none."""
        algorithm = like.partition("=")[0]
        found = self.store.digest(f"{WEB}/{place}", algorithm)
        return None if found is None else OtherDigest(f"{algorithm}={found}")

    def hash_in_pieces(self, place: PackagePath, *, piece: int) -> Generator[int, None, Sha256 | None]:
        """Read the file at a place in pieces; as in ``hashing.hash_in_pieces``."""
        key = f"{WEB}/{place}"
        if (info := self.store.head(key)) is None:
            return None
        position, whole = 0, hashlib.sha256()
        while position < info.size:
            yield min(info.size - position, piece)
            body = self.store.get_range(key, start=position, length=min(info.size - position, piece))
            if not body:
                return None  # removed meanwhile
            whole.update(body)
            position += len(body)
        return Sha256(whole.hexdigest())

    def size(self, place: PackagePath) -> int | None:
        """Return the size of the file at a place in bytes, or None if there is none."""
        found = self.store.head(f"{WEB}/{place}")
        return None if found is None else found.size

    def open_file(self, place: PackagePath) -> BinaryIO | None:
        """Open the file at a place for reading, or return None if there is none."""
        if (info := self.store.head(f"{WEB}/{place}")) is None:
            return None
        return io.BufferedReader(ObjectReader(self.store, info), _READ_BYTES)

    def metadata_head(self, place: PackagePath, *, most: int = -1) -> bytes | None:
        """Return the beginning of the ``.metadata`` of the file at a place, or all of it; None if there is none."""
        body = self.store.get(f"{WEB}/{metadata_name(place)}")
        return body if body is None or most < 0 else body[:most]

    def wheel_metadata(self, place: PackagePath, *, max_bytes: int = MAX_METADATA_BYTES) -> bytes | None:
        """Return the METADATA inside the wheel at a place, or None if it cannot be read."""
        if (file := self.open_file(place)) is None:
            return None
        with file:
            return read_metadata(file, max_bytes=max_bytes)

    def uploaded_at(self, place: PackagePath) -> int | None:
        """Return when the file at a place was stored, in seconds since the epoch; None if there is none."""
        found = self.store.head(f"{WEB}/{place}")
        return None if found is None else int(found.modified.timestamp())

    def held_text(self, place: PackagePath) -> str | None:
        """Return the text with which nginx refuses the file at a place, or None if it serves the file."""
        body = self.store.get(f"{WEB}/{held_marker(place)}")
        return None if body is None else body.decode(errors="replace").removesuffix("\n")

    def held_at_short_paths(self, digits: str) -> Iterator[tuple[str, float]]:
        """Yield the names in ``packages/<digits>/.held/``, and when each was written."""
        prefix = f"{WEB}/packages/{digits}/.held/"
        for info in self.store.list(prefix):
            yield info.key.removeprefix(prefix), info.modified.timestamp()

    def files_at_short_paths(self, digits: str) -> Iterator[StoredFile]:
        """Yield the files in ``packages/<digits>/``, as in ``View``."""
        prefix = f"{WEB}/packages/{digits}/"
        for info in self.store.list(prefix):
            name = info.key.removeprefix(prefix)
            if "/" not in name and not name.startswith("."):
                yield StoredFile(name, info.size, info.modified.timestamp())

    # Pages

    def page(self, name: NormalizedName) -> bytes | None:
        """Return a project's published page in JSON, or None if it has none."""
        return self.store.get(f"{WEB}/simple/{name}/index.v1_json")

    def page_bytes(self, name: NormalizedName) -> int | None:
        """Return the size of a project's published page in JSON, or None if it has none."""
        found = self.store.head(f"{WEB}/simple/{name}/index.v1_json")
        return None if found is None else found.size

    def page_forms(self, name: NormalizedName, *, json: bytes) -> dict[str, bytes]:
        """Return the existing forms of a project's page by file name: the JSON page, as read before, and the others."""
        return self.forms(f"{WEB}/simple/{name}", (form for form in NAMES if form != "index.v1_json")) | {
            "index.v1_json": json
        }

    def page_digest(self, name: NormalizedName) -> str | None:
        """Return ``PageSet.digest`` of a project's published page, or None without a JSON page."""
        if (json := self.page(name)) is None:
            return None
        return pages_digest(self.store.get(f"{WEB}/simple/{name}/index.html") or b"", json)

    def list_digests(self, form: str) -> tuple[str | None, str | None]:
        """Return the sha256 of a form of the project list, and of its gzip twin's content; None for a missing one."""
        key = f"{WEB}/simple/{form}"
        twin = self.store.get(f"{key}.gz")
        return self.store.digest(key, "sha256"), None if twin is None else _content_digest(twin)

    def page_state(self, name: NormalizedName) -> tuple[int, ...]:
        """Return a value that changes with every change of a project's page; empty without a page."""
        if (found := self.store.head(f"{WEB}/simple/{name}/index.v1_json")) is None:
            return ()
        tag = int.from_bytes(hashlib.blake2b(found.tag.encode(), digest_size=8).digest())
        return tag, found.size, int(found.modified.timestamp())

    def projects(self) -> Iterator[NormalizedName]:
        """Yield the projects that have a page, in the order of their keys."""
        prefix = f"{WEB}/simple/"
        for info in self.store.list(prefix):
            name, _, form = info.key.removeprefix(prefix).rpartition("/")
            if form == "index.v1_json" and name and "/" not in name:
                yield NormalizedName(name)

    # The legacy JSON API

    def legacy(self, name: NormalizedName) -> bytes | None:
        """Return a project's published legacy document, or None if it has none."""
        return self.store.get(f"{WEB}/pypi/{name}/json")

    def legacy_twin(self, name: NormalizedName) -> bytes | None:
        """Return the compressed ``.gz`` twin of the legacy document, or None if it has none."""
        return self.store.get(f"{WEB}/pypi/{name}/json.gz")

    def forms(self, directory: str, names: Iterator[str]) -> dict[str, bytes]:
        """Return those of some objects that exist, by name."""
        found = {name: self.store.get(f"{directory}/{name}") for name in names}
        return {name: body for name, body in found.items() if body is not None}


def held_marker(place: PackagePath) -> str:
    """Return the place of a file's marker; see ``held_markers``."""
    directory, _, filename = place.rpartition("/")
    return f"{directory}/.held/{filename}"


def tombstone(place: PackagePath) -> str:
    """Return the place of a file's tombstone; see ``tombstones``."""
    directory, _, filename = place.rpartition("/")
    return f"{directory}/.gone/{filename}"


def _content_digest(twin: bytes) -> str:
    packed = isal_zlib.decompressobj(GZIP)
    try:
        body = packed.decompress(twin)
    except isal_zlib.error:  # type: ignore[misc] # the stub calls it an object
        return ""
    return hashlib.sha256(body).hexdigest() if packed.eof and not packed.unused_data else ""
