"""Are published files what their pages say?"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from packaging.utils import NormalizedName

from mirror_syncer.names import PackagePath
from mirror_syncer.publish import PublishedPage, parse_published
from mirror_syncer.volume import Volume


@dataclass(frozen=True, slots=True)
class Damage:
    """A published file that is not what its page says."""

    filename: str
    place: PackagePath
    reason: Literal["missing", "wrong"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What hashing a project's files told."""

    files: int
    damages: tuple[Damage, ...]


def verify(volume: Volume, name: NormalizedName) -> Verdict:
    """
    Hash a project's published files. It blocks for the disk.

    Raises:
        InvalidPage: the page itself is damaged.
        VolumeError: a file cannot be read.
    """
    body = volume.page(name)
    if body is None:
        return Verdict(0, ())
    published = parse_published(body, name=name)
    return Verdict(len(published.files), tuple(_damages(volume, published)))


def _damages(volume: Volume, published: PublishedPage) -> Iterator[Damage]:
    for file in published.page.files:
        place = published.places[file.filename]
        found = volume.digest(place)
        if found != file.sha256:
            yield Damage(file.filename, place, "missing" if found is None else "wrong")
