"""
A file's requires-python, as pip and as uv read it.

pip obeys the whole specifier. uv looks at its lower bound alone, so it installs a file with ``>=3.8,<3.11`` on 3.12.
What packaging cannot parse does not keep pip from a file; uv mends the common mistakes and skips the file otherwise.
"""

import re
from functools import lru_cache
from itertools import dropwhile
from typing import NamedTuple

from packaging.ranges import VersionRange
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

MAX_LENGTH = 300
"""A longer text is not read, since that costs more than reading real ones, which have up to 150 characters."""
_LAST_PATCH = 99
# The mistakes that uv 0.13 mends, in its order: ">=3.6<4", ">=3.6.*", "!=3.0*", ">= '3.6'".
_MENDED = (
    (re.compile(r"(\d)([<>=~!])", re.ASCII), r"\1,\2"),
    (re.compile(r"(?<![=~!])([<>]=?)(\s*\d+(?:\.\d+)*)\.\*", re.ASCII), r"\1\2"),
    (re.compile(r"(!=\s*\d+\.\d+)\*", re.ASCII), r"\1.*"),
    (re.compile("['\"]"), ""),
)


class Readings(NamedTuple):
    """Which minor versions of Python may install a file, by each of the installers."""

    pip: frozenset[tuple[int, int]]
    uv: frozenset[tuple[int, int]]
    first: frozenset[tuple[int, int]]
    """Those whose first patch release may, such as 3.11.0, by pip; so ``>=3.11.4`` excludes 3.11."""


def read_requires_python(text: str, minors: frozenset[tuple[int, int]]) -> Readings:
    """
    Return those of some minor versions, such as 3.11, that may install a file.

    A minor version may if any of its patch releases may: ``>=3.11.4`` admits 3.11.
    """
    if not text or len(text) > MAX_LENGTH:
        return Readings(minors, minors, minors)
    specifiers = _parse(text)
    if specifiers is not None:
        return Readings(
            frozenset(minor for minor in minors if _admits(specifiers, minor)),
            _above_lower_bound(specifiers, minors),
            frozenset(minor for minor in minors if specifiers.contains(f"{minor[0]}.{minor[1]}.0")),
        )
    for pattern, replacement in _MENDED:
        text = pattern.sub(replacement, text)
        if (specifiers := _parse(text)) is not None:
            return Readings(minors, _above_lower_bound(specifiers, minors), minors)
    return Readings(minors, frozenset(), minors)


def _parse(text: str) -> SpecifierSet | None:
    try:
        return SpecifierSet(text, prereleases=True)
    except InvalidSpecifier:
        return None


def _admits(specifiers: SpecifierSet, minor: tuple[int, int]) -> bool:
    """Return whether any patch release matches; the answer changes only beside those that a specifier names."""
    patches = {0}
    for specifier in specifiers:
        try:
            version = Version(specifier.version.removesuffix(".*"))
        except InvalidVersion:  # "===" compares text
            continue
        if (*version.release, 0)[:2] == minor:
            patch = (*version.release, 0, 0)[2]
            patches.update((patch - 1, patch, patch + 1))
    return any(specifiers.contains(f"{minor[0]}.{minor[1]}.{patch}") for patch in patches if 0 <= patch <= _LAST_PATCH)


def _above_lower_bound(specifiers: SpecifierSet, minors: frozenset[tuple[int, int]]) -> frozenset[tuple[int, int]]:
    """Return the minor versions that are not all below what the specifiers admit, or all if they admit nothing."""
    admitted = specifiers.to_range()
    if admitted.is_empty:
        return minors
    above = dropwhile(lambda minor: admitted.is_disjoint(_up_to(minor)), sorted(minors))
    return frozenset(above)


@lru_cache(maxsize=64)
def _up_to(minor: tuple[int, int]) -> VersionRange:
    return SpecifierSet(f"<={minor[0]}.{minor[1]}.{_LAST_PATCH}", prereleases=True).to_range()
