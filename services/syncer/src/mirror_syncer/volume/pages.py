"""Pages: written beside their forerunners, renamed over them together."""

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

from isal import igzip

from mirror_syncer.volume.disk import disk_says
from mirror_syncer.volume.durability import Durability

# 1,500 bytes of Ethernet less IP, TCP and its timestamps
_PACKET = 1_448
_LEVEL = 2  # isal's: 0.064 s for 4,000 pages, where zlib's 6 takes 0.28 s and saves 3 % more


@dataclass(frozen=True, slots=True)
class PageSet:
    """One page in its two formats. # PEP 691"""

    html: bytes
    json: bytes

    def files(self) -> dict[str, bytes]:
        """Return what belongs in the page's directory, by name; ``.gz`` twins where they save a packet."""
        files: dict[str, bytes] = {}
        for name, body in (("index.html", self.html), ("index.v1_json", self.json)):
            if len(body) > _PACKET:
                packed = igzip.compress(body, compresslevel=_LEVEL, mtime=0)
                if saves_a_packet(plain=len(body), packed=len(packed)):
                    files[f"{name}.gz"] = packed
            files[name] = body  # after its twin: nginx prefers the .gz, and both are renamed in this order
        return files


def saves_a_packet(*, plain: int, packed: int) -> bool:
    """Return whether a twin of so many bytes spares a client a packet."""
    return math.ceil(packed / _PACKET) < math.ceil(plain / _PACKET)


NAMES = ("index.html.gz", "index.html", "index.v1_json.gz", "index.v1_json")


class StagedPages:
    """A page written, not yet visible."""

    def __init__(self, directory: Path, *, files: dict[str, bytes], durability: Durability) -> None:
        self.directory = directory
        self._names = tuple(files)
        self._durability = durability
        with disk_says(directory):
            self._times = _mtimes(directory)
            directory.mkdir(exist_ok=True)
            for name, body in files.items():
                self._write(name, body, mtime=self._times[name.removesuffix(".gz")])

    def publish(self) -> None:
        """Make it visible: a twin no longer wanted goes first, each twin comes before its plain file."""
        with disk_says(self.directory):
            for name in NAMES:
                if name not in self._names:
                    (self.directory / name).unlink(missing_ok=True)
            for name in self._names:
                self.temporary(name).rename(self.directory / name)
        self._durability.named(self.directory)

    def discard(self) -> None:
        """Take it back."""
        discard_temporaries(self.directory)

    def temporary(self, name: str) -> Path:
        """Return where a form of it lies until then."""
        return _temporary(self.directory, name)

    def _write(self, name: str, body: bytes, *, mtime: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(self.temporary(name), flags, 0o644), "wb") as file:
            file.write(body)
            file.flush()
            os.utime(file.fileno(), (mtime, mtime))
            self._durability.wrote(file.fileno())


def published(directory: Path, files: dict[str, bytes]) -> bool:
    """Return whether exactly these files are a directory's page already."""
    for name in NAMES:
        try:
            if (directory / name).read_bytes() != files.get(name):
                return False
        except FileNotFoundError:
            if name in files:
                return False
    return True


def discard_temporaries(directory: Path) -> None:
    """Remove what a broken-off publication left, and a directory that never held a page."""
    for name in NAMES:
        _temporary(directory, name).unlink(missing_ok=True)
    if directory.is_dir() and not any(directory.iterdir()):
        directory.rmdir()


def _temporary(directory: Path, name: str) -> Path:
    return directory / f".{name}.new"


def _mtimes(directory: Path) -> dict[str, int]:
    """
    Return the mtimes of a directory's next page.

    nginx's ETag is mtime and size. HTML and JSON share a URL, so no mtime may come twice in a directory: each new one
    is past all old ones, and the two formats differ. The clock may stand still or go back; mtimes do not.
    """
    newest = 0
    for name in NAMES:
        try:
            newest = max(newest, int((directory / name).stat().st_mtime))
        except FileNotFoundError:
            continue
    later = max(int(time.time()), newest + 2)
    return {"index.html": later - 1, "index.v1_json": later}
