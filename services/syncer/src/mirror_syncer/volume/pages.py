"""Pages: written beside the old files, then renamed over them."""

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
from mirror_syncer.volume.hashing import read_file

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
        """The sha256 of both formats together, which later identifies the page on disk."""
        return pages_digest(self.html, self.json)

    def files(self) -> dict[str, bytes]:
        """Return the files of the page's directory by name, with ``.gz`` twins that save a packet."""
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
    """Return whether a gzip twin of this size saves a client at least one packet."""
    return math.ceil(packed / _PACKET_BYTES) < math.ceil(plain / _PACKET_BYTES)


NAMES = ("index.html.gz", "index.html", "index.v1_json.gz", "index.v1_json")


class StagedPages:
    """
    A page that is written but not yet visible. Another process may have written it.

    Args:
        directory: directory of the page, as text: a sync of 4,000 projects took a second for paths.
        names: file names of its forms.
        first: it is the project's first page, in a temporary directory that one rename makes visible.
    """

    def __init__(self, directory: str, *, names: Sequence[str], first: bool = False) -> None:
        self.directory = directory
        self.names = tuple(names)
        self._first = first

    @property
    def is_first(self) -> bool:
        """Whether the project had no page before."""
        return self._first

    def publish(self, durability: Durability) -> None:
        """Make it visible: first remove obsolete twins, then rename each twin before its plain file."""
        with explain_disk_errors(self.directory):
            if self._first:
                os.rename(first_directory(self.directory), self.directory)  # noqa: PTH104 - text, as below
                durability.path_changed(self.directory)
                return
            for name in NAMES:
                if name not in self.names:
                    unlink(f"{self.directory}/{name}")
            for name in self.names:
                os.rename(temporary(self.directory, name), f"{self.directory}/{name}")  # noqa: PTH104 - text
        durability.directory_changed(self.directory)

    def discard(self) -> None:
        """Remove it."""
        discard_temporaries(self.directory)


def stage_pages(directory: str, *, files: Mapping[str, bytes], first: bool, durability: Durability) -> StagedPages:
    """Write a page's forms; ``first`` as in ``StagedPages``."""
    with explain_disk_errors(directory):
        if first:
            home = first_directory(directory)
            try:
                os.mkdir(home)  # noqa: PTH102 - text
            except FileExistsError:  # left by an interrupted publication
                discard_temporaries(directory)
                os.mkdir(home)  # noqa: PTH102 - text
        times = mtimes(None if first else directory)
        for name, body in files.items():
            path = f"{home}/{name}" if first else temporary(directory, name)
            write_page(path, body, mtime=times[name.removesuffix(".gz")], durability=durability)
        if first:
            durability.directory_changed(home)
    return StagedPages(directory, names=tuple(files), first=first)


def is_page_published(directory: str, files: Mapping[str, bytes]) -> bool:
    """Return whether exactly these files are already published; an unreadable file counts as different."""
    for name in NAMES:
        try:
            if read_file(f"{directory}/{name}") != files.get(name):
                return False
        except OSError:
            return False
    return True


def discard_temporaries(directory: str) -> None:
    """Remove the temporaries of an interrupted publication, and a directory without a page."""
    home = first_directory(directory)
    if os.path.isdir(home) and not os.path.islink(home):  # noqa: PTH112, PTH114 - these accept names of any length
        shutil.rmtree(home)
    else:
        unlink(home)  # a file or a symlink of unknown origin
    for name in NAMES:
        unlink(temporary(directory, name))
    if os.path.isdir(directory) and not os.listdir(directory):  # noqa: PTH112, PTH208 - as above
        os.rmdir(directory)  # noqa: PTH106 - text


def temporary(directory: str, name: str) -> str:
    """Return the temporary path of a form until its page is published."""
    return f"{directory}/.{name}.new"


def first_directory(directory: str) -> str:
    """Return the temporary directory of a project's first page. No project name begins with a dot."""
    parent, _, name = directory.rpartition("/")
    return f"{parent}/.{name}.new"


def mtimes(directory: str | None) -> dict[str, int]:
    """
    Return the mtimes of a directory's next page; None means the first page.

    nginx's ETag consists of mtime and size. HTML and JSON share a URL, so no mtime may repeat within a directory: each
    new one is later than all old ones, and the two formats differ. The clock may stop or go back; mtimes must not.
    """
    newest = 0
    for name in NAMES if directory else ():
        try:
            newest = max(newest, int(os.stat(f"{directory}/{name}").st_mtime))  # noqa: PTH116 - text
        except FileNotFoundError:
            continue
    later = max(int(time.time()), newest + 2)
    return {"index.html": later - 1, "index.v1_json": later}


def write_page(path: str | Path, body: bytes, *, mtime: int, durability: Durability) -> None:
    """Write one form of a page."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        write_whole(file, body)
        os.utime(file, (mtime, mtime))
        durability.file_written(file)
    finally:
        os.close(file)
