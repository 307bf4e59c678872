"""
A parser of distribution file names: project, version, type, and the installers that accept the file.

Essential reading: PEP 427 (wheels), PEP 625 (source distributions), PEP 440 (versions). PyPI holds hundreds of
thousands of files that are older than these, so the parser also reads the names that distutils and setuptools wrote.
"""

import re
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from packaging.utils import InvalidWheelFilename, NormalizedName, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from mirror_contract.names import parse_project_name

_MAX_NAME_BYTES = 255  # the limit of every common file system
# Files that accompany a distribution (PEP 658, PEP 740; PyPI accepted signatures until 2023).
_COMPANIONS = (".metadata", ".asc", ".provenance")
# The extensions that pip accepts, in the order in which they must be tried; uv 0.13 accepts only the first two.
_SDISTS = (".tar.gz", ".zip")
_PIP_SDISTS = (".tar.bz2", ".tar.xz", ".tar.lzma", ".tar.lz", ".tgz", ".tbz", ".txz", ".tlz", ".tar")
_ARCHIVES = (".tar.z", ".tar.zst", ".bz2")
_INSTALLERS = (".exe", ".msi", ".rpm", ".dmg", ".deb")
_EGG = ".egg"
_WHEEL = ".whl"
# The tags that distutils and setuptools append to the version, except in source distributions.
_TAG = (
    r"[.-](?:py\d(?:\.\d+)?|win32|win64|win-\w+|linux-\w+|macosx-?[\d.]+(?:-\w+)?"
    r"|(?:cygwin|darwin|freebsd|solaris)-[\d.]+(?:-\w+)?)"
)
_RPM = r"(?:-\w[\w.]*)?\.(?:noarch|src|nosrc|i[3-6]86|x86_64|amd64|aarch64|armv\w+|ppc\w*|s390x?|ia64)"
_TAGGED = re.compile(rf"(?P<version>.+?)(?:(?:{_TAG}){{0,4}}|{_RPM})", re.ASCII)
# If the project is unknown, its name ends before the first part that begins with a digit. Brackets and quotes may come
# before the digit: scikit-highs-('0.6.0',).tar.gz. Text after the version is dropped: "pyfurby-0.1 (1)".
_UNKNOWN = re.compile(r"(?P<project>.+?)-(?P<version>\W*\d[0-9A-Za-z.+!_]*)(?:\W.*)?", re.ASCII | re.DOTALL)
_BEFORE_VERSION = re.compile(r"^\W+", re.ASCII)
# setuptools and PyPI replaced each run of blanks and other characters in a name by one dash.
_NOT_IN_PROJECT = re.compile(r"[^A-Za-z0-9._-]+", re.ASCII)


class DistributionType(StrEnum):
    """The kind of a distribution."""

    WHEEL = "wheel"
    SDIST = "sdist"
    EGG = "egg"
    OTHER = "other"  # installers for Windows and macOS, packages of Linux distributions


class Installers(StrEnum):
    """The installers that accept a file."""

    ALL = "pip and uv"
    PIP = "pip"
    NONE = "none"


# As constants, because an enumeration looks its members up slowly: twice for each of 20 M files.
_ALL, _PIP, _NONE = Installers.ALL, Installers.PIP, Installers.NONE
_SDIST_INSTALLERS = dict.fromkeys(_SDISTS, _ALL) | dict.fromkeys(_PIP_SDISTS, _PIP)


class Distribution(NamedTuple):
    """A distribution as its file name describes it; the version is empty if the name has none."""

    project: str
    version: str
    type: DistributionType


def parse_version(text: str) -> Version | None:
    """Return the version that PEP 440 reads from a text, or None if it is not a version."""
    try:
        return Version(text)
    except ValueError:  # InvalidVersion, or a number with more digits than Python reads
        return None


def read_version(project: NormalizedName, filename: str) -> Version | None:
    """Return the version in the file name of a known project, or None if PEP 440 finds none."""
    return read_release(project, filename)[0]


def read_release(project: NormalizedName, filename: str) -> tuple[Version | None, Installers]:
    """
    Return the version in the file name of a known project, and the installers that accept the file.

    The version of a source distribution is everything after the project's name, as installers read it. So
    ``foo-1.2.public.tar.gz`` has no version; 1.2 would be wrong, because foo may never have released it.
    """
    if filename.endswith(_WHEEL):
        # Each part recurs, on a page or on many pages, so its answer is cached: a name takes 0.5 instead of 4.6 µs.
        first, _, rest = filename.partition("-")
        text, _, tags = rest.partition("-")
        if _is_wheel_name(first) and _are_wheel_tags(tags) and (version := _known_version(text)) is not None:
            return version, _ALL
        return _version_after(project, filename.removesuffix(_WHEEL), wheel=True), _NONE
    ending = _SDISTS[0] if filename.endswith(_SDISTS[0]) else _ending(filename)
    if ending is None:
        return None, _NONE
    stem = filename[: -len(ending)]
    if (installers := _SDIST_INSTALLERS.get(ending)) is not None:
        first, _, rest = stem.partition("-")
        version = _known_version(rest) if _known_name(first) == project else _version_after(project, stem)
        if version is not None:
            return version, installers
    return _version_after(project, stem, tagged=True), _NONE


@lru_cache(maxsize=4096)
def _is_wheel_name(project: str) -> bool:
    return _is_wheel(f"{project}-1-py3-none-any{_WHEEL}")


@lru_cache(maxsize=16_384)
def _are_wheel_tags(tags: str) -> bool:
    """Return whether this is the end of a wheel's name: perhaps a build number, and three tags."""
    interpreters, *others = tags.removesuffix(_WHEEL).rsplit("-", 2)
    if "" in ".".join(others).split("."):
        return False
    # packaging would expand compressed tags into each combination: 41 of each kind into 69,000, in 0.1 s.
    single = "-".join([interpreters, *("any" for _ in others)])
    return _is_wheel(f"a-1-{single}{_WHEEL}")


def _is_wheel(filename: str) -> bool:
    try:
        parse_wheel_filename(filename)
    except (InvalidWheelFilename, InvalidVersion, ValueError):
        return False
    return True


@lru_cache(maxsize=16_384)
def _known_version(text: str) -> Version | None:
    return parse_version(text)


def is_companion(filename: str) -> bool:
    """Return whether a file accompanies a distribution, such as a signature or a metadata file."""
    return filename.endswith(_COMPANIONS)


def distribution_type(filename: str) -> DistributionType:
    """Return the type of a distribution by the ending of its file name."""
    return _type(ending) if (ending := _ending(filename)) else DistributionType.OTHER


@lru_cache(maxsize=8192)
def parse_distribution(filename: str) -> Distribution | None:
    """Return the distribution that a file name describes, or None if the name has no project."""
    if len(filename) > _MAX_NAME_BYTES or is_companion(filename) or (ending := _ending(filename)) is None:
        return None
    project, text = _split(filename[: -len(ending)], ending)
    try:
        name = parse_project_name(_NOT_IN_PROJECT.sub("-", project).strip("-_."))
    except ValueError:
        return None
    version = read_version(name, filename)
    return Distribution(name, text if version is None else str(version), _type(ending))


def _split(stem: str, ending: str) -> tuple[str, str]:
    """Split a file name without its extension into project and version."""
    if ending == _WHEEL and stem.count("-") in (4, 5):  # PEP 427: name, version, perhaps a build tag, and three tags
        project, version, *_ = stem.split("-")
        if parse_version(version) is not None:
            return project, version
    project, dash, version = stem.rpartition("-")
    if ending in (*_SDISTS, *_PIP_SDISTS) and dash and parse_version(version) is not None:
        before, _, main = project.rpartition("-")
        # PEP 440: foo-1.0-1 is the first post-release of 1.0; foo-2-1.0 is version 1.0 of a project called foo-2.
        if before and version.isdigit() and "." in main and parse_version(main) is not None:
            return before, f"{main}-{version}"
        return project, version
    if found := _UNKNOWN.fullmatch(stem):
        return found["project"], _BEFORE_VERSION.sub("", found["version"])
    return stem, ""


@lru_cache(maxsize=4096)
def _known_name(text: str) -> NormalizedName:
    return canonicalize_name(text)


def _ending(filename: str) -> str | None:
    lower = filename.lower()
    for endings in ((_WHEEL, _EGG), _SDISTS, _PIP_SDISTS, _ARCHIVES, _INSTALLERS):
        for ending in endings:
            if lower.endswith(ending):
                return ending
    return None


def _type(ending: str) -> DistributionType:
    if ending == _WHEEL:
        return DistributionType.WHEEL
    if ending == _EGG:
        return DistributionType.EGG
    return DistributionType.OTHER if ending in _INSTALLERS else DistributionType.SDIST


def _version_after(project: NormalizedName, stem: str, *, tagged: bool = False, wheel: bool = False) -> Version | None:
    parts = stem.split("-")
    # The name's own separators plus 15 for doubled ones. A file name may have 250, so the loop needs a bound.
    for cut in range(1, min(len(parts), project.count("-") + 16)):
        prefix = _known_name("-".join(parts[:cut]))
        if prefix == project:
            text = parts[cut] if wheel else "-".join(parts[cut:])
            if tagged and (match := _TAGGED.fullmatch(text)):
                text = match["version"]
            return _known_version(text)
        if len(prefix) > len(project):
            break  # every later prefix is longer still
    return None
