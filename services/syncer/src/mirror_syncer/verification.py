"""Is what is published what its page says, and do page and legacy document say one thing in all their forms?"""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from packaging.utils import NormalizedName

from mirror_syncer.errors import InvalidPage
from mirror_syncer.names import Filename, PackagePath
from mirror_syncer.publish import PublishedPage, read_published
from mirror_syncer.upstream import File, parse_html, parse_legacy
from mirror_syncer.volume import Volume


@dataclass(frozen=True, slots=True)
class Damage:
    """Something published that is not what it should be."""

    what: str
    """A file's name, or the page's."""
    place: str
    """Below ``pypi/web``."""
    reason: Literal["missing", "wrong"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look at all that is published of a project told."""

    files: int
    damages: tuple[Damage, ...]


def verify(volume: Volume, name: NormalizedName) -> Verdict:
    """
    Hash a published project's files and metadata, and compare all forms of its page. It blocks for the disk.

    Raises:
        VolumeError: something cannot be read.
    """
    try:
        published = read_published(volume, name)
    except InvalidPage:
        return Verdict(0, (_page(name, "index.v1_json", "wrong"),))
    if published is None:
        return Verdict(0, (_page(name, "index.v1_json", "missing"),))
    damages = (
        *_in_files(volume, published),
        *_in_page(volume, name, published),
        *_in_legacy(volume, name, published),
    )
    return Verdict(len(published.files), damages)


def _in_files(volume: Volume, published: PublishedPage) -> Iterator[Damage]:
    for file in published.page.files:
        place = published.places[file.filename]
        promised = {place: file.sha256}
        if isinstance(file.core_metadata, str):
            promised[PackagePath(f"{place}.metadata")] = file.core_metadata
        for path, digest in promised.items():
            found = volume.digest(path)
            if found != digest:
                yield Damage(path.rpartition("/")[2], path, "missing" if found is None else "wrong")


def _in_page(volume: Volume, name: NormalizedName, published: PublishedPage) -> Iterator[Damage]:
    forms = volume.page_forms(name)
    html = forms.get("index.html")
    if html is None:
        yield _page(name, "index.html", "missing")
    elif not _same(html, published, name):
        yield _page(name, "index.html", "wrong")
    for form, body in forms.items():
        if form.endswith(".gz") and _unpacked(body) != forms.get(form.removesuffix(".gz")):
            yield _page(name, form, "wrong")


def _in_legacy(volume: Volume, name: NormalizedName, published: PublishedPage) -> Iterator[Damage]:
    if (body := volume.legacy(name)) is None:
        return
    place = f"pypi/{name}/json"
    try:
        told = {filename: file.sha256 for filename, file in parse_legacy(body, name=name).files.items()}
    except InvalidPage:
        told = {}
    if told != {filename: file.sha256 for filename, file in published.files.items()}:
        yield Damage("json", place, "wrong")
    if (twin := volume.legacy_twin(name)) is not None and _unpacked(twin) != body:
        yield Damage("json.gz", f"{place}.gz", "wrong")


def _same(html: bytes, published: PublishedPage, name: NormalizedName) -> bool:
    try:
        page = parse_html(html, name=name, url=f"http://mirror.invalid/pypi/web/simple/{name}/")
    except InvalidPage:
        return False
    return {file.filename: _said(file) for file in page.files} == {
        Filename(filename): _said(file) for filename, file in published.files.items()
    }


def _said(file: File) -> tuple[object, ...]:
    """Return what both formats say of a file."""
    return file.url, file.sha256, file.requires_python, file.yanked, file.core_metadata, file.provenance


def _unpacked(twin: bytes) -> bytes | None:
    try:
        return gzip.decompress(twin)
    except (OSError, EOFError, zlib.error):
        return None


def _page(name: NormalizedName, form: str, reason: Literal["missing", "wrong"]) -> Damage:
    return Damage(form, f"simple/{name}/{form}", reason)
