"""The inspection of a project: are its files what its page says, and do all forms of the page agree?"""

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from isal import isal_zlib
from packaging.utils import NormalizedName

from mirror_syncer.errors import InvalidPageError, PathError, VolumeError
from mirror_syncer.model.damage import Damage, Reason
from mirror_syncer.model.names import Filename, PackagePath
from mirror_syncer.model.page import File, PublishedPage
from mirror_syncer.publish import parse_published, render_html
from mirror_syncer.upstream import parse_html, parse_legacy
from mirror_syncer.volume import GZIP, AnyView, explain_disk_errors, pages_digest
from mirror_syncer.work.rate_limit import RateLimit


@dataclass(frozen=True, slots=True)
class InspectionResult:
    """The result of an inspection."""

    files: int
    bytes: int
    damages: tuple[Damage, ...]


class Inspection:
    """
    An inspection of everything that is published of a project, in slices: call ``run`` until it returns True.

    The project must not change during a slice. When its page changes between two slices, the inspection starts over and
    skips the files that were found intact and are still named.

    Args:
        page_sha256: ``PageSet.digest`` of the page that was published last; None: unknown.
    """

    def __init__(
        self, volume: AnyView, name: NormalizedName, *, rate_limit: RateLimit, page_sha256: str | None = None
    ) -> None:
        self._volume = volume
        self._name = name
        self._rate_limit = rate_limit
        self.page_sha256 = page_sha256
        self._intact: dict[PackagePath, str] = {}
        self._start()

    @property
    def result(self) -> InspectionResult:
        """The result so far."""
        return InspectionResult(self._files, self._bytes, tuple(self._damages))

    def run(self, *, seconds: float) -> bool:
        """
        Inspect for one slice; return whether the inspection is done. Blocks for the disk: call it in a thread.

        Raises:
            PathError: the project's page cannot be read.
        """
        deadline = time.monotonic() + seconds
        if self._page is not None and self._page != self._volume.page_state(self._name):
            self._start()
        with explain_disk_errors(cannot_be="read"):
            for _ in self._steps:
                if time.monotonic() > deadline:
                    return False
        return True

    def _start(self) -> None:
        self._page: tuple[int, ...] | None = None
        self._damages: list[Damage] = []
        self._files = self._bytes = 0
        self._steps = self._inspect()

    def _inspect(self) -> Iterator[None]:
        # Its state first, so that a page that changes right after is inspected again.
        self._page = self._volume.page_state(self._name)
        try:
            body = self._volume.page(self._name)
            published = None if body is None else parse_published(body, name=self._name)
        except InvalidPageError:
            self._damages.append(_page(self._name, "index.v1_json", "wrong"))
            return
        except PathError:
            self._damages.append(_page(self._name, "index.v1_json", "unreadable"))
            return
        if body is None or published is None:
            self._damages.append(_page(self._name, "index.v1_json", "missing"))
            return
        try:
            forms = self._volume.page_forms(self._name, json=body)
            self._damages += _in_page(forms, self._name, published)
            if not self._damages and self.page_sha256 not in (None, pages_digest(forms["index.html"], body)):
                # All forms agree, so this is no disk error.
                self._damages.append(_page(self._name, "index.v1_json", "altered"))
        except PathError:
            self._damages.append(_page(self._name, "index.html", "unreadable"))
        try:
            self._damages += _in_legacy(self._volume, self._name, published)
        except PathError:
            self._damages.append(Damage("json", f"pypi/{self._name}/json", "unreadable"))
        for file in published.page.files:
            place = published.places[file.filename]
            yield from self._check(place, file.sha256)
            if isinstance(file.core_metadata, str):
                metadata = PackagePath(f"{place}.metadata")
                yield from self._check(metadata, file.core_metadata)
                if self._intact.keys() >= {place, metadata} and not self._is_from_wheel(place, file.core_metadata):
                    self._damages.append(Damage(metadata.rpartition("/")[2], metadata, "wrong"))
            self._files += 1
            yield

    def _is_from_wheel(self, place: PackagePath, promised: str) -> bool:
        """Return whether metadata with the promised hash equals the wheel's own, if that can be read."""
        if not place.endswith(".whl"):
            return True
        own = self._volume.wheel_metadata(place)
        return own is None or hashlib.sha256(own).hexdigest() == promised

    def _check(self, place: PackagePath, promised: str) -> Iterator[None]:
        if self._intact.get(place) == promised:
            return
        found = None
        reason: Reason | None = None
        pieces = self._volume.hash_in_pieces(place, piece=self._rate_limit.piece)
        try:
            while True:
                count = next(pieces)
                self._rate_limit.take(count)
                self._bytes += count
                yield
        except StopIteration as end:
            found = end.value
        except VolumeError:
            raise  # a store that does not answer
        except OSError:
            # A bad sector or a missing permission concerns one file; only a failing write shows that the disk is bad.
            reason = "unreadable"
        if found == promised:
            self._intact[place] = promised
        else:
            reason = reason or ("missing" if found is None else "wrong")
            self._damages.append(Damage(place.rpartition("/")[2], place, reason))


def _in_page(forms: Mapping[str, bytes], name: NormalizedName, published: PublishedPage) -> Iterator[Damage]:
    html = forms.get("index.html")
    if html is None:
        yield _page(name, "index.html", "missing")
    elif not _same(html, published, name):
        yield _page(name, "index.html", "wrong")
    for form, body in forms.items():
        if form.endswith(".gz") and _unpacked(body) != forms.get(form.removesuffix(".gz")):
            yield _page(name, form, "wrong")


def _in_legacy(volume: AnyView, name: NormalizedName, published: PublishedPage) -> Iterator[Damage]:
    if (body := volume.legacy(name)) is None:
        return
    place = f"pypi/{name}/json"
    try:
        hashes = {filename: file.sha256 for filename, file in parse_legacy(body, name=name).files.items()}
    except InvalidPageError:
        hashes = {}
    if hashes != {filename: file.sha256 for filename, file in published.files.items()}:
        yield Damage("json", place, "wrong")
    if (twin := volume.legacy_twin(name)) is not None and _unpacked(twin) != body:
        yield Damage("json.gz", f"{place}.gz", "wrong")


def _same(html: bytes, published: PublishedPage, name: NormalizedName) -> bool:
    """Return whether the HTML page has the same content as the JSON page."""
    if html == render_html(published):
        return True
    # A page of another version may have the same content in other words; parsing it takes ten times as long.
    try:
        page = parse_html(html, name=name, url=f"http://mirror.invalid/pypi/web/simple/{name}/", ours=True)
    except InvalidPageError:
        return False
    return {file.filename: _said(file) for file in page.files} == {
        Filename(filename): _said(file) for filename, file in published.files.items()
    }


def _said(file: File) -> tuple[object, ...]:
    """Return the facts about a file that both formats have."""
    return file.url, file.sha256, file.requires_python, file.yanked, file.core_metadata, file.provenance


def _unpacked(twin: bytes) -> bytes | None:
    """Return the content of a gzip twin, or None if it is not exactly one gzip member."""
    packed = isal_zlib.decompressobj(GZIP)
    try:
        body = packed.decompress(twin)
    except isal_zlib.error:  # type: ignore[misc] # the stub calls it an object
        return None
    return body if packed.eof and not packed.unused_data else None


def _page(name: NormalizedName, form: str, reason: Reason) -> Damage:
    return Damage(form, f"simple/{name}/{form}", reason)
