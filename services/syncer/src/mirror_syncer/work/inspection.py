"""Is what is published what its page says, and do page and legacy document say one thing in all their forms?"""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from isal import isal_zlib
from packaging.utils import NormalizedName

from mirror_syncer.errors import InvalidPageError, PathError
from mirror_syncer.model.damage import Damage, Reason
from mirror_syncer.model.names import Filename, PackagePath
from mirror_syncer.model.page import File
from mirror_syncer.publish import PublishedPage, read_published, render_html
from mirror_syncer.upstream import parse_html, parse_legacy
from mirror_syncer.volume import GZIP, View, explain_disk_errors, wheel_metadata
from mirror_syncer.work.rate_limit import RateLimit


@dataclass(frozen=True, slots=True)
class InspectionResult:
    """What a look at all that is published of a project told."""

    files: int
    bytes: int
    damages: tuple[Damage, ...]


class Inspection:
    """
    A look at all that is published of a project, in slices: ``go_on`` until it returns True, then see ``verdict``.

    Nobody may change the project during a slice. Between two slices its page may change: then the look begins anew, and
    passes over files that were found right and have stayed.

    Args:
        page_sha256: ``PageSet.digest`` of what was published last; None: not known.
    """

    def __init__(
        self, volume: View, name: NormalizedName, *, rate_limit: RateLimit, page_sha256: str | None = None
    ) -> None:
        self._volume = volume
        self._name = name
        self._rate_limit = rate_limit
        self.page_sha256 = page_sha256
        self._right: dict[PackagePath, str] = {}
        self._begin()

    @property
    def verdict(self) -> InspectionResult:
        """What was found so far."""
        return InspectionResult(self._files, self._bytes, tuple(self._damages))

    def go_on(self, *, seconds: float) -> bool:
        """
        Look on for so long; return whether it is over. Blocks for the disk: call it in a thread.

        Raises:
            PathError: the project's page cannot be looked at.
        """
        ends = time.monotonic() + seconds
        if self._page is not None and self._page != self._volume.page_state(self._name):
            self._begin()
        with explain_disk_errors(cannot_be="read"):
            for _ in self._steps:
                if time.monotonic() > ends:
                    return False
        return True

    def _begin(self) -> None:
        self._page: tuple[int, ...] | None = None
        self._damages: list[Damage] = []
        self._files = self._bytes = 0
        self._steps = self._look()

    def _look(self) -> Iterator[None]:
        # Its state first: a page that changes right after is looked at anew, not overlooked.
        self._page = self._volume.page_state(self._name)
        try:
            published = read_published(self._volume, self._name)
        except InvalidPageError:
            self._damages.append(_page(self._name, "index.v1_json", "wrong"))
            return
        except PathError:
            self._damages.append(_page(self._name, "index.v1_json", "unreadable"))
            return
        if published is None:
            self._damages.append(_page(self._name, "index.v1_json", "missing"))
            return
        try:
            self._damages += _in_page(self._volume, self._name, published)
            if not self._damages and self.page_sha256 not in (None, self._volume.page_digest(self._name)):
                # All forms agree, so it is no disk that did this.
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
                beside = PackagePath(f"{place}.metadata")
                yield from self._check(beside, file.core_metadata)
                if self._right.keys() >= {place, beside} and not self._is_of_wheel(place, file.core_metadata):
                    self._damages.append(Damage(beside.rpartition("/")[2], beside, "wrong"))
            self._files += 1
            yield

    def _is_of_wheel(self, place: PackagePath, promised: str) -> bool:
        """Return whether metadata that is as promised also is the wheel's own, where that can be read."""
        if not place.endswith(".whl"):
            return True
        own = wheel_metadata(self._volume.path(place))
        return own is None or hashlib.sha256(own).hexdigest() == promised

    def _check(self, place: PackagePath, promised: str) -> Iterator[None]:
        if self._right.get(place) == promised:
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
        except OSError:
            # A bad sector, a right that is missing: it is one file's, until a write says that the disk is bad.
            reason = "unreadable"
        if found == promised:
            self._right[place] = promised
        else:
            reason = reason or ("missing" if found is None else "wrong")
            self._damages.append(Damage(place.rpartition("/")[2], place, reason))


def _in_page(volume: View, name: NormalizedName, published: PublishedPage) -> Iterator[Damage]:
    forms = volume.page_forms(name)
    html = forms.get("index.html")
    if html is None:
        yield _page(name, "index.html", "missing")
    elif not _same(html, published, name):
        yield _page(name, "index.html", "wrong")
    for form, body in forms.items():
        if form.endswith(".gz") and _unpacked(body) != forms.get(form.removesuffix(".gz")):
            yield _page(name, form, "wrong")


def _in_legacy(volume: View, name: NormalizedName, published: PublishedPage) -> Iterator[Damage]:
    if (body := volume.legacy(name)) is None:
        return
    place = f"pypi/{name}/json"
    try:
        told = {filename: file.sha256 for filename, file in parse_legacy(body, name=name).files.items()}
    except InvalidPageError:
        told = {}
    if told != {filename: file.sha256 for filename, file in published.files.items()}:
        yield Damage("json", place, "wrong")
    if (twin := volume.legacy_twin(name)) is not None and _unpacked(twin) != body:
        yield Damage("json.gz", f"{place}.gz", "wrong")


def _same(html: bytes, published: PublishedPage, name: NormalizedName) -> bool:
    """Return whether a page says in HTML what it says in JSON."""
    if html == render_html(published):
        return (
            True  # a page that another version wrote may say the same in other words; parsing takes ten times as long
        )
    try:
        page = parse_html(html, name=name, url=f"http://mirror.invalid/pypi/web/simple/{name}/", ours=True)
    except InvalidPageError:
        return False
    return {file.filename: _said(file) for file in page.files} == {
        Filename(filename): _said(file) for filename, file in published.files.items()
    }


def _said(file: File) -> tuple[object, ...]:
    """Return what both formats say of a file."""
    return file.url, file.sha256, file.requires_python, file.yanked, file.core_metadata, file.provenance


def _unpacked(twin: bytes) -> bytes | None:
    """Return what a twin holds, or None where it is not one gzip frame and nothing else."""
    packed = isal_zlib.decompressobj(GZIP)
    try:
        body = packed.decompress(twin)
    except isal_zlib.error:  # type: ignore[misc] # the stub calls it an object
        return None
    return body if packed.eof and not packed.unused_data else None


def _page(name: NormalizedName, form: str, reason: Reason) -> Damage:
    return Damage(form, f"simple/{name}/{form}", reason)
