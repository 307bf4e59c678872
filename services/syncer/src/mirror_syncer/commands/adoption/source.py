"""
The tree that is to be adopted, as another program left it: hostile until it is parsed.

bandersnatch, shadowmire and this mirror lay their pages and files out differently, and none of that is written down
here: a page is ``simple/<project>/index.*``, and its links say where its files lie.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from msgspec.structs import replace as struct_replace
from packaging.utils import NormalizedName

from mirror_contract import parse_project_name
from mirror_syncer.errors import InvalidPageError, VolumeError
from mirror_syncer.model.names import Filename, Sha256
from mirror_syncer.model.page import File, Page
from mirror_syncer.upstream import parse_html, parse_json, parse_legacy_page

# The forms of a page, the one that says the most first; bandersnatch and shadowmire write HTML under two names.
FORMS = ("index.v1_json", "index.html", "index.v1_html")
_PARSERS: dict[str, Callable[..., Page]] = {"index.v1_json": parse_json}
_HOST = "http://old.invalid"
_PAGE_MOST = 256 * 2**20  # bytes; a page of 50,000 files has 25 MB
_KNOWN_MOST = 200_000  # directories known to be real ones: 65,792 of bandersnatch's upper ones


@dataclass(frozen=True, slots=True)
class Found:
    """A file that lies in the old tree."""

    path: str
    place: str
    """Below the old document root."""
    stat: os.stat_result


class OldTree:
    """
    A document root with ``simple/`` in it. Nothing here writes.

    Args:
        web: the root; ``find`` finds it.
    """

    def __init__(self, web: Path) -> None:
        self.web = web
        self.simple = web / "simple"
        self._root = f"{web}/"
        self._packages = f"{web}/packages"
        self._real = set[str]()

    @classmethod
    def find(cls, directory: Path) -> "OldTree":
        """
        Return the tree of a document root, or of the directory that its program was told to write to.

        Raises:
            VolumeError: there is none.
        """
        for web in (directory, directory / "web", directory / "pypi" / "web"):
            if (web / "simple").is_dir():
                return cls(web)
        raise VolumeError(
            f"{directory} holds no tree to adopt: neither it nor its web/ has a simple/. Mount it, or name the "
            "directory that holds simple/ and packages/ with --from"
        )

    def directories(self) -> Iterator[tuple[NormalizedName, Path]]:
        """
        Yield each directory that holds a page, and its project; one project may have several. In no order.

        bandersnatch's ``hash-index`` puts pages a directory deeper, ``simple/f/foo``; before its 4.0 it wrote names as
        they were spelt, ``simple/Foo``. Symlinks are passed over.
        """
        for directory in _subdirectories(self.simple):
            if (name := _project(directory.name)) and _has_page(directory):
                yield name, directory
            if len(directory.name) == 1:
                for deeper in _subdirectories(directory):
                    if (name := _project(deeper.name)) and deeper.name.startswith(directory.name) and _has_page(deeper):
                        yield name, deeper

    def is_primary(self, name: NormalizedName, directory: Path) -> bool:
        """Return whether a directory is the one to read a project from, of those that it may have."""
        for preferred in (self.simple / name, self.simple / name[0] / name):
            if directory == preferred:
                return True
            if _has_page(preferred):
                return False
        return True

    def read(self, name: NormalizedName, directory: Path) -> Page:
        """
        Return a project's page.

        What HTML does not say, sizes and upload times, is taken from the legacy JSON, where that is kept; and so is all
        of a page that names no sha256.

        Raises:
            InvalidPageError: none of its forms can be read; the message is of the one that says the most.
        """
        # By its URL, not by its directory: rewrite rules hide the deeper ones from those who follow its links.
        url = f"{_HOST}/simple/{name}/"
        first: InvalidPageError | None = None
        for form in FORMS:
            if (path := _page_file(directory, form)) is None:
                continue
            try:
                body = _read(path)
                page = _PARSERS.get(form, parse_html)(body, name=name, url=url)
                return self._completed(page, url=url)
            except InvalidPageError as error:
                first = first or error
        raise first or InvalidPageError(f"{directory} holds no page that is a plain file")

    def _completed(self, page: Page, *, url: str) -> Page:
        if all(file.size is not None for file in page.files) and (page.files or not page.refused):
            return page
        for path in (self.web / "pypi" / page.name / "json", self.web / "json" / page.name):
            try:
                legacy = parse_legacy_page(_read(path), name=page.name, url=url)
            except InvalidPageError:
                continue
            if not page.files:
                return replace(page, files=legacy.files, refused=legacy.refused)
            known = {(file.filename, file.sha256): file for file in legacy.files}
            return replace(page, files=tuple(_sized(file, known) for file in page.files))
        return page

    def locate(self, file: File) -> Found | None:
        """Return where a file of a page lies, or None where no plain file does, or only by way of a symlink."""
        place = _place(file.url)
        if place is None:
            return None
        path = self._root + place
        try:
            found = os.lstat(path)
        except OSError:
            return None
        if not stat.S_ISREG(found.st_mode) or not self._is_real(path.rpartition("/")[0]):
            return None
        return Found(path, place, found)

    def _is_real(self, directory: str) -> bool:
        """Return whether no directory on the way is a symlink. ``packages`` itself may be one: an operator's own."""
        if directory in self._real or directory == self._packages:
            return True
        parent, _, name = directory.rpartition("/")
        if len(directory) < len(self._root) or stat.S_ISLNK(os.lstat(directory).st_mode):
            return False
        if len(parent) >= len(self._root) and not self._is_real(parent):
            return False
        if len(self._real) < _KNOWN_MOST and len(name) <= len("ff"):
            self._real.add(directory)
        return True


def _sized(file: File, known: dict[tuple[Filename, Sha256], File]) -> File:
    legacy = known.get((file.filename, file.sha256))
    if legacy is None or file.size is not None:
        return file
    return struct_replace(file, size=legacy.size, upload_time=legacy.upload_time)


def _place(url: str) -> str | None:
    """
    Return the path below the document root that a URL of a page means.

    A relative one means what it says. An absolute one (bandersnatch's ``root_uri``, or PyPI's own) is known by its
    ``/packages/``.
    """
    if url.startswith(f"{_HOST}/"):
        path = unquote(url[len(_HOST) + 1 :].partition("?")[0])
    else:
        _, found, rest = unquote(urlsplit(url).path).partition("/packages/")
        path = f"packages/{rest}" if found else ""
    if "\0" in path or not {"", ".", ".."}.isdisjoint(path.split("/")):
        return None
    return path


def _subdirectories(directory: Path) -> Iterator[Path]:
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield Path(entry.path)


def _project(text: str) -> NormalizedName | None:
    try:
        return parse_project_name(text)
    except ValueError:
        return None


def _has_page(directory: Path) -> bool:
    return any(os.path.lexists(directory / form) for form in FORMS)


def _page_file(directory: Path, form: str) -> Path | None:
    """
    Return the plain file that holds a form of a page.

    shadowmire's ``index.html`` is a link to its neighbour, and with bandersnatch's ``keep_index_versions`` each form is
    one into ``versions/``, absolute as the container saw it. No other link is followed.
    """
    path = directory / form
    try:
        if path.is_symlink():
            target = path.readlink()
            path = directory / ("versions" if target.parent.name else "") / target.name
            if path.parent.is_symlink():
                return None
        return path if stat.S_ISREG(path.lstat().st_mode) else None
    except OSError:
        return None


def _read(path: Path) -> bytes:
    try:
        # A pipe would be waited for, for ever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InvalidPageError(f"{path} is no plain file")
            body = file.read(_PAGE_MOST + 1)
    except OSError as error:
        raise InvalidPageError(f"{path} cannot be read: {error.strerror}") from error
    if len(body) > _PAGE_MOST:
        raise InvalidPageError(f"{path} has more than {_PAGE_MOST:,} bytes")
    return body
