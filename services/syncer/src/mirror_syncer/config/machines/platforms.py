"""The platforms that ``[machines] platforms`` names, and the wheel tags that each of them installs."""

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from packaging.tags import mac_platforms

from mirror_syncer.config.toml.values import shown

_UNIX = ("x86_64", "aarch64", "armv7l", "i686", "ppc64le", "s390x", "riscv64")
_X86 = ("x86_64", "i686")
_MACOS = ("arm64", "x86_64")
_WINDOWS = {"amd64": "win_amd64", "arm64": "win_arm64", "x86": "win32"}
_ALIASES = {"windows-x86_64": "windows-amd64"}
_OLD_NAMES = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}  # by the minor version of glibc 2
_FLOOR = re.compile(r"(?P<library>glibc|musl)?(?P<major>\d{1,2})(?:\.(?P<minor>\d{1,2}))?", re.ASCII)
# What other tools write, such as manylinux_2_28_x86_64, linux/amd64 and aarch64-apple-darwin; "darwin" ends in "win".
_SYSTEM_WORDS = {"musl|alpine": "musllinux", "linux": "linux", "mac|darwin|osx": "macos", "win": "windows"}
_ARCHITECTURE_WORDS = {
    r"x86[_-]64|amd64|x64": ("x86_64", "amd64"),
    "aarch64|arm64": ("aarch64", "arm64"),
    "armv7|armhf": ("armv7l",),
    "i[3-6]86|x86|win32": ("i686", "x86"),
    "ppc64": ("ppc64le",),
}


class System(StrEnum):
    """An operating system; Linux by its C library."""

    GLIBC = "linux"
    MUSL = "musllinux"
    MACOS = "macos"
    WINDOWS = "windows"


class _Versions(NamedTuple):
    """The versions of a C library, or of macOS, that have platform tags."""

    first: tuple[int, int]
    last: tuple[int, int]
    """Later than any that exists: a machine without a floor also installs the wheels of next year."""
    word: str
    """Precedes the version in a floor."""


_KNOWN = (
    *(f"{system}-{architecture}" for system in (System.GLIBC, System.MUSL) for architecture in _UNIX),
    *(f"{System.MACOS}-{architecture}" for architecture in _MACOS),
    *(f"{System.WINDOWS}-{architecture}" for architecture in _WINDOWS),
)
_ACCEPTED = ", ".join(
    f"{systems}-{{{','.join(architectures)}}}"
    for systems, architectures in (("linux", _UNIX), ("musllinux", _UNIX), ("macos", _MACOS), ("windows", _WINDOWS))
)


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform that installs from the mirror."""

    system: System
    architecture: str
    floor: tuple[int, int] | None = None
    """The oldest glibc, musl or macOS among these machines; None: they have the newest."""

    def __str__(self) -> str:
        name = f"{self.system}-{self.architecture}"
        versions = _versions(self.system, self.architecture)
        return f"{name}:{versions.word}{_dotted(self.floor)}" if self.floor and versions else name

    def tags(self) -> frozenset[str]:
        """Return the platform tags of the wheels that it installs."""
        return frozenset(self._tags())

    def _tags(self) -> Iterator[str]:
        # packaging.tags lists those of macOS; of Linux and Windows it knows only the machine that it runs on.
        versions = _versions(self.system, self.architecture)
        if versions is None:
            yield _WINDOWS[self.architecture]
            return
        major, last_minor = self.floor or versions.last
        if self.system is System.MACOS:
            yield from mac_platforms((major, last_minor), self.architecture)
            return
        yield f"linux_{self.architecture}"
        prefix = "musllinux" if self.system is System.MUSL else "manylinux"
        for minor in range(versions.first[1], last_minor + 1):
            yield f"{prefix}_{major}_{minor}_{self.architecture}"
            if self.system is System.GLIBC and minor in _OLD_NAMES:
                yield f"{_OLD_NAMES[minor]}_{self.architecture}"


def parse_platform(text: str) -> Platform:
    """
    Return the platform that an item of ``platforms`` names.

    Raises:
        ValueError: it names no platform; the message lists them and may guess the one that was meant.
    """
    name, colon, floor = text.partition(":")
    name = _ALIASES.get(name, name)
    if name not in _KNOWN:
        raise ValueError(f"{shown(text)} is not a platform{_guess(text)} Accepted: {_ACCEPTED}")
    system, architecture = name.split("-", 1)
    if system == System.GLIBC and floor.startswith("musl"):
        system = System.MUSL
    platform = Platform(System(system), architecture)
    return replace(platform, floor=_floor(platform, floor, f"{shown(text)} is not a platform")) if colon else platform


def _floor(platform: Platform, text: str, wrong: str) -> tuple[int, int]:
    versions = _versions(platform.system, platform.architecture)
    if versions is None:
        raise ValueError(f'{wrong}; did you mean "{platform}"? {platform.system} has no floor')
    match = _FLOOR.fullmatch(text)
    accepted = f"Accepted: {versions.word}{_dotted(versions.first)} to {versions.word}{_dotted(versions.last)}"
    if match is None or (match["library"] or "") != versions.word or (versions.word and match["minor"] is None):
        example = {"glibc": "2.28", "musl": "1.2", "": "14.0"}[versions.word]
        raise ValueError(f'{wrong}; did you mean "{platform}:{versions.word}{example}"? {accepted}')
    floor = int(match["major"]), int(match["minor"] or 0)
    if not versions.first <= floor <= versions.last:
        raise ValueError(f"{wrong}. {accepted}")
    return floor


def _versions(system: System, architecture: str) -> _Versions | None:
    """Return the versions with platform tags (PEP 513, PEP 600, PEP 656), or None on Windows, which has one tag."""
    if system is System.GLIBC:
        return _Versions((2, 5) if architecture in _X86 else (2, 17), (2, 99), "glibc")
    if system is System.MUSL:
        return _Versions((1, 0), (1, 29), "musl")
    if system is System.MACOS:
        return _Versions((11, 0) if architecture == "arm64" else (10, 4), (99, 0), "")
    return None


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _guess(text: str) -> str:
    """Return the end of the sentence: what was probably meant."""
    text = text[:80].lower()
    system = next((f"{system}-" for words, system in _SYSTEM_WORDS.items() if re.search(words, text)), "")
    architectures = next((names for words, names in _ARCHITECTURE_WORDS.items() if re.search(words, text)), ())
    meant: Iterable[str] = difflib.get_close_matches(text, _KNOWN, n=1)
    if system or architectures:
        names = (name for name in _KNOWN if name.startswith(system))
        meant = (name for name in names if not architectures or name.split("-", 1)[1] in architectures)
    guess = next(iter(meant), None)
    return f'; did you mean "{guess}"?' if guess else "."
