"""Pages: written beside their forerunners, renamed over them together."""

import hashlib
import math
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from isal import igzip

from mirror_syncer.volume.disk import explain_disk_errors, unlink, write_whole
from mirror_syncer.volume.durability import Durability

# 1,500 bytes of Ethernet less IP, TCP and its timestamps
_PACKET_BYTES = 1_448
_LEVEL = 2  # isal's: 0.064 s for 4,000 pages, where zlib's 6 takes 0.28 s and saves 3 % more


@dataclass(frozen=True, slots=True)
class PageSet:
    """One page in its two formats. # PEP 691"""

    html: bytes
    json: bytes

    @property
    def digest(self) -> str:
        """Return the sha256 of both formats together: what tells later that the page on disk is this one."""
        return pages_digest(self.html, self.json)

    def files(self) -> dict[str, bytes]:
        """Return what belongs in the page's directory, by name; ``.gz`` twins where they save a packet."""
        files: dict[str, bytes] = {}
        for name, body in (("index.html", self.html), ("index.v1_json", self.json)):
            if len(body) > _PACKET_BYTES:
                packed = igzip.compress(body, compresslevel=_LEVEL, mtime=0)
                if saves_packet(plain=len(body), packed=len(packed)):
                    files[f"{name}.gz"] = packed
            files[name] = body  # after its twin: nginx prefers the .gz, and both are renamed in this order
        return files


def pages_digest(html: bytes, json: bytes) -> str:
    """Return ``PageSet.digest`` of a page's two formats."""
    forms = (hashlib.sha256(form).hexdigest() for form in (html, json))
    return hashlib.sha256("".join(forms).encode()).hexdigest()


def saves_packet(*, plain: int, packed: int) -> bool:
    """Return whether a twin of so many bytes spares a client a packet."""
    return math.ceil(packed / _PACKET_BYTES) < math.ceil(plain / _PACKET_BYTES)


NAMES = ("index.html.gz", "index.html", "index.v1_json.gz", "index.v1_json")


class StagedPages:
    """
    A page written, not yet visible. It may have been written by another process.

    Args:
        directory: the page's.
        names: the forms that it has.
        first: it is the project's first page, in a directory of its own that becomes the page's: one rename shows it.
    """

    def __init__(self, directory: Path, *, names: Sequence[str], first: bool = False) -> None:
        self.directory = directory
        self.names = tuple(names)
        self._first = first

    def publish(self, durability: Durability) -> None:
        """Make it visible: a twin no longer wanted goes first, each twin comes before its plain file."""
        with explain_disk_errors(self.directory):
            if self._first:
                first_directory(self.directory).rename(self.directory)
                durability.directory_changed(self.directory.parent)
                return
            for name in NAMES:
                if name not in self.names:
                    unlink(self.directory / name)
            for name in self.names:
                temporary(self.directory, name).rename(self.directory / name)
        durability.directory_changed(self.directory)

    def discard(self) -> None:
        """Take it back."""
        discard_temporaries(self.directory)


def stage_pages(directory: Path, *, files: Mapping[str, bytes], first: bool, durability: Durability) -> StagedPages:
    """Write a page's forms; ``first`` as for ``StagedPages``."""
    with explain_disk_errors(directory):
        if first:
            home = first_directory(directory)
            try:
                home.mkdir()
            except FileExistsError:  # of a publication that was broken off
                discard_temporaries(directory)
                home.mkdir()
            times = mtimes(None)
        else:
            times = mtimes(directory)
        for name, body in files.items():
            path = home / name if first else temporary(directory, name)
            write_page(path, body, mtime=times[name.removesuffix(".gz")], durability=durability)
        if first:
            durability.directory_changed(home)
    return StagedPages(directory, names=tuple(files), first=first)


def is_page_published(directory: Path, files: Mapping[str, bytes]) -> bool:
    """Return whether exactly these files are a directory's page already; what cannot be read is none of them."""
    for name in NAMES:
        try:
            if (directory / name).read_bytes() != files.get(name):
                return False
        except FileNotFoundError:
            if name in files:
                return False
        except OSError:
            return False
    return True


def discard_temporaries(directory: Path) -> None:
    """Remove what a broken-off publication left, and a directory that never held a page."""
    home = first_directory(directory)
    if os.path.isdir(home) and not os.path.islink(home):  # noqa: PTH112, PTH114 - no name is too long for these
        shutil.rmtree(home)
    else:
        unlink(home)  # whoever's that was
    for name in NAMES:
        unlink(temporary(directory, name))
    if os.path.isdir(directory) and not any(directory.iterdir()):  # noqa: PTH112 - as above
        directory.rmdir()


def temporary(directory: Path, name: str) -> Path:
    """Return where a form of a directory's next page lies until it is published."""
    return directory / f".{name}.new"


def first_directory(directory: Path) -> Path:
    """Return where a project's first page lies until it is published. No project's name begins with a dot."""
    return directory.parent / f".{directory.name}.new"


def mtimes(directory: Path | None) -> dict[str, int]:
    """
    Return the mtimes of a directory's next page; of the first, where there is none.

    nginx's ETag is mtime and size. HTML and JSON share a URL, so no mtime may come twice in a directory: each new one
    is past all old ones, and the two formats differ. The clock may stand still or go back; mtimes do not.
    """
    newest = 0
    for path in (directory / name for name in NAMES) if directory else ():
        try:
            newest = max(newest, int(path.stat().st_mtime))
        except FileNotFoundError:
            continue
    later = max(int(time.time()), newest + 2)
    return {"index.html": later - 1, "index.v1_json": later}


def write_page(path: Path, body: bytes, *, mtime: int, durability: Durability) -> None:
    """Write one form of a page whole."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        write_whole(file, body)
        os.utime(file, (mtime, mtime))
        durability.file_written(file)
    finally:
        os.close(file)
