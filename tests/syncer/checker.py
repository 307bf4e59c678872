"""The invariants of a mirror for clients and operators: at every moment, and in the end."""

import gzip
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from pypi_simple import ProjectPage

import fakepypi
from fakepypi.release import ListedFile
from syncer.site import Site

FORMS = ("index.html", "index.html.gz", "index.v1_json", "index.v1_json.gz")
_ROOT = "http://mirror/"
_STATE_FILES = {"catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm", "policy.json"}


@dataclass
class MirrorChecker:
    """
    Checks a mirror from outside, with readers that are not the product's own.

    Attributes:
        seen: the sha256 that each file URL ever returned. No URL may ever change its bytes.
        damaged: files and pages whose content the test has changed.
    """

    seen: dict[str, str] = field(default_factory=dict)
    damaged: frozenset[str] = frozenset()

    def check(self, site: Site) -> None:
        """Assert what must hold at every moment."""
        files = self._files(site)
        for place in files.keys() - self.damaged:
            digest = files[place]
            assert self.seen.setdefault(place, digest) == digest, f"{place} changed its bytes"
        named: set[str] = set()
        for path in pages(site):
            if str(path.relative_to(site.web)) in self.damaged:
                continue
            for place, digest in read_page(path):
                assert place in self.damaged or files.get(place) == digest, f"{path} names {place}: {files.get(place)}"
                named.add(place)
        for path in site.web.glob("pypi/[!.]*/json*"):
            for place, digest in read_legacy(path):
                assert place in self.damaged or files.get(place) == digest, f"{path} names {place}: {files.get(place)}"
        for form in FORMS:
            for name in listed(site.web / "simple" / form):
                assert (site.web / "simple" / name / form.removesuffix(".gz")).is_file(), f"{form} names {name}"
        known = pending_places(site) | retired_places(site)
        lost = {place for place in files if place.removesuffix(".metadata") not in named | known}
        assert not lost - self.damaged, f"orphans: {lost}"

    def check_final_state(self, site: Site, upstream: dict[str, list[ListedFile]], *, legacy: bool = False) -> None:
        """
        Assert that the tree equals upstream once no work is left.

        Args:
            upstream: the mirrored projects, and the files that their pages list.
            legacy: whether the legacy JSON is served too.
        """
        self.damaged = frozenset()
        self.check(site)
        assert sorted(path.name for path in (site.web / "simple").iterdir() if path.is_dir()) == sorted(upstream)
        named: set[str] = set()
        for name, files in upstream.items():
            assert [(f.filename, f.sha256, f.yanked) for f in site.published(name).page.files] == [
                (listed.file.filename, listed.file.sha256, listed.yanked) for listed in files
            ], name
            html, json_ = (set(read_page(site.web / "simple" / name / form)) for form in FORMS[::2])
            assert html == json_, name
            named |= {place for place, _ in html}
        for twin in site.web.glob("[!p]*/**/*.gz"):
            assert gzip.decompress(twin.read_bytes()) == twin.with_suffix("").read_bytes(), twin
        for form in FORMS[::2]:
            assert listed(site.web / "simple" / form) == sorted(upstream), form
        leaving = retired_places(site)
        assert {file for file in self._files(site) if file.removesuffix(".metadata") not in leaving} == named
        documents = {path.name for path in (site.web / "pypi").glob("*")}
        assert documents == {name for name, files in upstream.items() if legacy and files}
        self._tidy(site)
        rows = dict(site.rows("SELECT name, file_count FROM project WHERE published"))
        assert rows == {name: len(files) for name, files in upstream.items()}
        assert pending_places(site) == set()

    def _tidy(self, site: Site) -> None:
        # An empty tombstone of a full path stays: no other file may ever take that path. So do held files' markers.
        left = [*(site.data / "pypi" / ".staging").iterdir()]
        left += (path for path in site.state.iterdir() if path.name not in _STATE_FILES)
        for directory, folders, names in os.walk(site.web):
            here = [Path(directory, name) for name in (*folders, *names) if name.startswith(".")]
            left += (path for path in here if path.name not in (".gone", ".held"))
            if directory.endswith("/.gone"):
                left += (mark for mark in map(Path(directory).joinpath, names) if mark.stat().st_size)
            if not folders and not names and Path(directory).match("packages/??/??/*"):
                left.append(Path(directory))
        assert not left, left

    def _files(self, site: Site) -> dict[str, str]:
        """Return the sha256 of the content at each file's URL."""
        return dict(_digests(site.web, "packages"))


def whole_files(site: Site) -> set[str]:
    """Return the sha256 of each local file, withdrawn ones included: the syncer may download none of them again."""
    aside = site.data / "pypi" / ".withdrawn"
    return {digest for root in (site.web, aside) for _, digest in _digests(root, "packages")}


def pages(site: Site) -> Iterator[Path]:
    """Yield all forms of all visible pages."""
    for form in FORMS:
        yield from site.web.glob(f"simple/[!.]*/{form}")


def read_page(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the paths that a page names, metadata included, each with its declared sha256."""
    body, url = _body(path), f"{_ROOT}simple/{path.parent.name}/"
    if ".v1_json" in path.name:
        page = ProjectPage.from_json_data(json.loads(body), url)
    else:
        assert body.rstrip().endswith(b"-->" if b"<!--SERIAL" in body else b"</html>"), path
        page = ProjectPage.from_html(path.parent.name, body, url)
    for package in page.packages:
        place = _place(package.url)
        yield place, package.digests["sha256"]
        if package.metadata_digests:
            yield f"{place}.metadata", package.metadata_digests["sha256"]


def read_legacy(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the paths that a legacy document names, each with its sha256."""
    document = json.loads(_body(path))
    for files in document["releases"].values():
        for file in files:
            yield _place(urljoin(_ROOT, file["url"])), file["digests"]["sha256"]


def listed(path: Path) -> list[str]:
    """Return the projects that a form of the list names; none if there is no list."""
    if not path.is_file():
        return []
    body = _body(path)
    if ".v1_json" in path.name:
        return [project["name"] for project in json.loads(body)["projects"]]
    assert body.rstrip().endswith(b"</html>"), path
    return re.findall(r'<a href="([^"/]+)/">', body.decode())


def pending_places(site: Site) -> set[str]:
    """Return the paths of the catalog's unfinished changes."""
    return {place for (files,) in _rows(site, "pending", "files") for place, *_ in json.loads(files)}


def retired_places(site: Site) -> set[str]:
    """Return the paths that the catalog marks for removal."""
    return {place for place, due in _rows(site, "retired", "place", "due_at") if due is not None}


def upstream_of(pypi: fakepypi.FakePyPI, *names: str) -> dict[str, list[ListedFile]]:
    """Return the files that upstream's pages list for these projects, or for all."""
    projects = [pypi.index.project(name) for name in names] if names else list(pypi.index)
    absent = fakepypi.Status.ABSENT
    return {project.name: list(project.listing().files) for project in projects if project.status is not absent}


def downloaded(pypi: fakepypi.FakePyPI, *, by: str, since: int = 0) -> set[str]:
    """Return the sha256 of each file sent, after this many requests, to the client with this contact."""
    ours = (exchange for exchange in pypi.log.exchanges[since:] if by in exchange.headers["user-agent"])
    sent = (exchange.path for exchange in ours if exchange.status in (200, 206))
    blobs = (pypi.index.blob(unquote(path).lstrip("/")) for path in sent if "/packages/" in path)
    return {blob.sha256 for blob in blobs if blob is not None}


def _digests(root: Path, folder: str) -> Iterator[tuple[str, str]]:
    for path in _visible_files(str(root / folder)):
        yield path.removeprefix(f"{root}/"), hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _visible_files(directory: str) -> Iterator[str]:
    # As text: with Path.rglob the 256 directories took half of the time of all crash tests.
    try:
        entries = os.scandir(directory)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _visible_files(entry.path)
            elif entry.is_file():
                yield entry.path


def _body(path: Path) -> bytes:
    body = path.read_bytes()
    return gzip.decompress(body) if path.suffix == ".gz" else body


def _place(url: str) -> str:
    return unquote(urlsplit(url).path).lstrip("/")


def _rows(site: Site, table: str, *columns: str) -> list[Any]:
    # An earlier version's table has other columns.
    return site.rows(f"SELECT {', '.join(columns)} FROM {table}") if site.columns(table) >= set(columns) else []
