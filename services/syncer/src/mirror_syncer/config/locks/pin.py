"""Pins: the releases and files that locks name, so that they stay on the mirror."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_syncer.model.names import Sha256

_SHOWN_SOURCES = 3
_Release = tuple[Version | None, bool]


@dataclass(frozen=True, slots=True)
class Pin:
    """A release of a project that a lock names, with the hashes of its files as far as the lock gives them."""

    project: NormalizedName
    version: Version | None
    """None: the lock names the files by their hashes alone."""
    hashes: frozenset[Sha256]
    source: str = field(compare=False)
    """Such as ``locks/uv.lock, line 12``; not compared, so that no page is written again because lines moved."""

    def keeps(self, version: Version | None, sha256: str) -> bool:
        """
        Return whether the pin keeps a file of its project.

        A file is kept for its version, or for its hash: pdm lists the files of 1.0+local under 1.0. A pin without
        hashes also keeps local versions, because every installer takes 1.0+cpu for ``==1.0``.
        """
        if sha256 in self.hashes:
            return True
        if version is None or self.version is None:
            return False
        if version == self.version:
            return True
        is_local = version.local is not None and not self.hashes and self.version.local is None
        return is_local and Version(version.public) == self.version


def merge_pins(pins: Iterable[Pin]) -> dict[NormalizedName, tuple[Pin, ...]]:
    """
    Return the pins of each project, one for each version, with the hashes and sources of all; order has no effect.

    A version with hashes and without them has two pins, since only the one without them keeps local versions.
    """
    releases: dict[NormalizedName, dict[_Release, list[Pin]]] = defaultdict(lambda: defaultdict(list))
    for pin in pins:
        releases[pin.project][pin.version, bool(pin.hashes)].append(pin)
    return {
        project: tuple(_merge(of_release) for _, of_release in sorted(versions.items(), key=_version_order))
        for project, versions in sorted(releases.items())
    }


def _merge(pins: list[Pin]) -> Pin:
    if len(pins) == 1:
        return pins[0]
    sources = sorted({pin.source for pin in pins})
    more = f" and {len(sources) - _SHOWN_SOURCES} more" if len(sources) > _SHOWN_SOURCES else ""
    return Pin(
        pins[0].project,
        min((pin.version for pin in pins), key=str),  # 1.0 and 1.0.0 are equal
        frozenset().union(*(pin.hashes for pin in pins)),
        "; ".join(sources[:_SHOWN_SOURCES]) + more,
    )


def _version_order(release: tuple[_Release, list[Pin]]) -> tuple[bool, Version, bool]:
    (version, has_hashes), _ = release
    return version is not None, version or Version("0"), has_hashes
