"""A project's legacy document and its ``.gz`` twin, written beside the old files and renamed over them."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from isal import igzip

from mirror_syncer.volume.disk import explain_disk_errors, unlink
from mirror_syncer.volume.durability import Durability
from mirror_syncer.volume.pages import saves_packet, write_page

_LEVEL = 2  # as for pages
_PLAIN, _TWIN = "json", "json.gz"
_FORMS = (_TWIN, _PLAIN)  # nginx prefers the twin, so it comes first


class StagedDocument:
    """
    A document that is written but not yet visible, or a planned removal. Another process may have written it.

    Args:
        names: its forms; empty to remove the document.
    """

    def __init__(self, directory: Path, *, names: Sequence[str]) -> None:
        self.directory = directory
        self._names = tuple(names)

    def publish(self, durability: Durability) -> None:
        """Make it visible, or remove the old one; an obsolete twin is removed first."""
        if not self._names:
            remove_document(self.directory, durability=durability)
            return
        with explain_disk_errors(self.directory):
            if _TWIN not in self._names:
                unlink(self.directory / _TWIN)
            for name in self._names:
                _temporary(self.directory, name).rename(self.directory / name)
        durability.directory_changed(self.directory)
        durability.directory_changed(self.directory.parent)


def stage_document(directory: Path, *, body: bytes | None, durability: Durability) -> StagedDocument:
    """Write a document beside the old one; None plans its removal."""
    forms = {} if body is None else document_forms(body)
    with explain_disk_errors(directory):
        mtime = _mtime(directory)
        if forms:
            durability.make_directory(directory)
        for name, content in forms.items():
            write_page(_temporary(directory, name), content, mtime=mtime, durability=durability)
    return StagedDocument(directory, names=tuple(forms))


def is_published(directory: Path, body: bytes | None) -> bool:
    """Return whether exactly this document is already published, with its twin."""
    forms = {} if body is None else document_forms(body)
    return all(_read(directory / name) == forms.get(name) for name in _FORMS)


def remove_document(directory: Path, *, durability: Durability) -> None:
    """Remove a document in all its forms, temporaries included, and its directory."""
    if not directory.is_dir():
        return
    with explain_disk_errors(directory):
        for name in _FORMS:
            unlink(directory / name)
        discard_temporary(directory)
    durability.directory_changed(directory.parent)


def discard_temporary(directory: Path) -> None:
    """Remove the temporaries of an interrupted publication, and an empty directory."""
    for name in _FORMS:
        unlink(_temporary(directory, name))
    with suppress(OSError):  # it is missing or not empty
        directory.rmdir()


def _read(path: Path) -> bytes | None:
    """Return a file's content; None if it is missing or unreadable, so that it is written again."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def document_forms(body: bytes) -> dict[str, bytes]:
    """Return a document's files by name, in the order in which they become visible."""
    packed = igzip.compress(body, compresslevel=_LEVEL, mtime=0)
    twin = {_TWIN: packed} if saves_packet(plain=len(body), packed=len(packed)) else {}
    return twin | {_PLAIN: body}


def _temporary(directory: Path, name: str) -> Path:
    return directory / f".{name}.new"


def _mtime(directory: Path) -> int:
    """Return the next document's mtime, part of nginx's ETag: now, but later than that of the old one."""
    try:
        last = int((directory / _PLAIN).stat().st_mtime)
    except FileNotFoundError:
        last = 0
    return max(int(time.time()), last + 1)
