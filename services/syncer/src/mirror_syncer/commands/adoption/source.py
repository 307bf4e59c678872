"""
The old tree as another program left it; nothing in it is trusted before it is parsed.

bandersnatch, shadowmire and this mirror arrange pages and files differently. This module relies on one thing only: a
page is ``simple/<project>/index.*``, and its links name its files' paths.
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

# The forms of a page, the most detailed first; bandersnatch and shadowmire write HTML under two names.
FORMS = ("index.v1_json", "index.html", "index.v1_html")
_PARSERS: dict[str, Callable[..., Page]] = {"index.v1_json": parse_json}
_PLACEHOLDER_ORIGIN = "http://old.invalid"
_MAX_PAGE_BYTES = 256 * 2**20  # a page of 50,000 files has 25 MB
_MAX_CACHED_DIRECTORIES = 200_000  # bandersnatch's two upper levels have 65,792


@dataclass(frozen=True, slots=True)
class OldFile:
    """A file of the old tree."""

    path: str
    place: str
    """Its path below the old document root."""
    stat: os.stat_result


class OldTree:
    """
    An old document root, with ``simple/`` in it; it is only read.

    Args:
        web: the root; see ``find``.
    """

    def __init__(self, web: Path) -> None:
        self.web = web
        self.simple = web / "simple"
        self._root = f"{web}/"
        self._packages = f"{web}/packages"
        self._symlink_free = set[str]()

    @classmethod
    def find(cls, directory: Path) -> "OldTree":
        """
        Return the tree at a document root, or below the directory that its program writes to.

        Raises:
            VolumeError: there is no tree.
        """
        for web in (directory, directory / "web", directory / "pypi" / "web"):
            if (web / "simple").is_dir():
                return cls(web)
        raise VolumeError(
            f"{directory} holds no tree to adopt: it has no simple/, nor has its web/. Mount the tree, or name the "
            "directory that holds simple/ and packages/ with --from"
        )

    def directories(self) -> Iterator[tuple[NormalizedName, Path]]:
        """
        Yield each directory that holds a page, with its project, in no order; a project may have several.

        bandersnatch's ``hash-index`` puts pages one directory deeper, ``simple/f/foo``. Before version 4.0 it kept the
        spelling of names, ``simple/Foo``. Symlinks are skipped.
        """
        for directory in _subdirectories(self.simple):
            if (name := _parse_project(directory.name)) and _has_page(directory):
                yield name, directory
            if len(directory.name) == 1:
                for deeper in _subdirectories(directory):
                    if (
                        (name := _parse_project(deeper.name))
                        and deeper.name.startswith(directory.name)
                        and _has_page(deeper)
                    ):
                        yield name, deeper

    def is_primary(self, name: NormalizedName, directory: Path) -> bool:
        """Return whether a directory is the one to read the project from, if it has several."""
        for preferred in (self.simple / name, self.simple / name[0] / name):
            if directory == preferred:
                return True
            if _has_page(preferred):
                return False
        return True

    def read(self, name: NormalizedName, directory: Path) -> Page:
        """
        Return a project's page.

        HTML has no sizes and upload times; they come from the legacy JSON, if the tree has it. The legacy JSON also
        replaces a page without any sha256.

        Raises:
            InvalidPageError: none of its forms can be read; the message is about the most detailed form.
        """
        # The page's URL, not its directory: with rewrite rules, clients see deeper directories at this URL.
        url = f"{_PLACEHOLDER_ORIGIN}/simple/{name}/"
        first: InvalidPageError | None = None
        for form in FORMS:
            if (path := _page_file(directory, form)) is None:
                continue
            try:
                body = _read(path)
                page = _PARSERS.get(form, parse_html)(body, name=name, url=url)
                return self._add_legacy_facts(page, url=url)
            except InvalidPageError as error:
                first = first or error
        raise first or InvalidPageError(f"{directory} holds no page that is a regular file")

    def _add_legacy_facts(self, page: Page, *, url: str) -> Page:
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
            return replace(page, files=tuple(_merge_legacy_facts(file, known) for file in page.files))
        return page

    def find_file(self, file: File) -> OldFile | None:
        """Return a page's file in the tree; None if it is missing, not regular, or behind a symlink."""
        place = _resolve_url(file.url)
        if place is None:
            return None
        path = self._root + place
        try:
            found = os.lstat(path)
        except OSError:
            return None
        if not stat.S_ISREG(found.st_mode) or not self._has_no_symlink(path.rpartition("/")[0]):
            return None
        return OldFile(path, place, found)

    def _has_no_symlink(self, directory: str) -> bool:
        """Return whether no directory of a path is a symlink; only ``packages`` may be one, set by the operator."""
        if directory in self._symlink_free or directory == self._packages:
            return True
        parent, _, name = directory.rpartition("/")
        if len(directory) < len(self._root) or stat.S_ISLNK(os.lstat(directory).st_mode):
            return False
        if len(parent) >= len(self._root) and not self._has_no_symlink(parent):
            return False
        if len(self._symlink_free) < _MAX_CACHED_DIRECTORIES and len(name) <= len("ff"):
            self._symlink_free.add(directory)
        return True


def _merge_legacy_facts(file: File, known: dict[tuple[Filename, Sha256], File]) -> File:
    legacy = known.get((file.filename, file.sha256))
    if legacy is None or file.size is not None:
        return file
    return struct_replace(file, size=legacy.size, upload_time=legacy.upload_time)


def _resolve_url(url: str) -> str | None:
    """
    Return the path below the document root that a page's link names.

    In an absolute URL (bandersnatch's ``root_uri``, or PyPI's own) the path begins at ``/packages/``.
    """
    if url.startswith(f"{_PLACEHOLDER_ORIGIN}/"):
        path = unquote(url[len(_PLACEHOLDER_ORIGIN) + 1 :].partition("?")[0])
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


def _parse_project(text: str) -> NormalizedName | None:
    try:
        return parse_project_name(text)
    except ValueError:
        return None


def _has_page(directory: Path) -> bool:
    return any(os.path.lexists(directory / form) for form in FORMS)


def _page_file(directory: Path, form: str) -> Path | None:
    """
    Return the regular file that holds a form of a page.

    shadowmire's ``index.html`` is a symlink to a file beside it. With bandersnatch's ``keep_index_versions`` each form
    is a symlink into ``versions/``, absolute as its container saw it. No other symlink is followed.
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
        # O_NONBLOCK: opening a pipe would block forever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InvalidPageError(f"{path} is not a regular file")
            body = file.read(_MAX_PAGE_BYTES + 1)
    except OSError as error:
        raise InvalidPageError(f"{path} cannot be read: {error.strerror}") from error
    if len(body) > _MAX_PAGE_BYTES:
        raise InvalidPageError(f"{path} has more than {_MAX_PAGE_BYTES:,} bytes")
    return body
