"""What a file's name says of its release: which version, and which installers take the file."""

import re
from enum import StrEnum

from packaging.utils import InvalidWheelFilename, NormalizedName, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

# What pip takes, in the order in which the endings must be tried; uv 0.13 takes the first two alone.
_SDISTS = (".tar.gz", ".zip")
_PIP_SDISTS = (".tar.bz2", ".tar.xz", ".tar.lzma", ".tar.lz", ".tgz", ".tbz", ".txz", ".tlz", ".tar")
_OTHERS = (".egg", ".exe", ".msi", ".rpm", ".dmg", ".deb", ".tar.z", ".tar.zst", ".bz2")
# What distutils and setuptools put behind the version of anything but a source distribution.
_TAG = (
    r"[.-](?:py\d(?:\.\d+)?|win32|win64|win-\w+|linux-\w+|macosx-?[\d.]+(?:-\w+)?"
    r"|(?:cygwin|darwin|freebsd|solaris)-[\d.]+(?:-\w+)?)"
)
_RPM = r"(?:-\w[\w.]*)?\.(?:noarch|src|nosrc|i[3-6]86|x86_64|amd64|aarch64|armv\w+|ppc\w*|s390x?|ia64)"
_TAGGED = re.compile(rf"(?P<version>.+?)(?:(?:{_TAG}){{0,4}}|{_RPM})", re.ASCII)


class Takers(StrEnum):
    """Which installers take a file."""

    ALL = "pip and uv"
    PIP = "pip"
    NONE = "none"


def version_of(name: NormalizedName, filename: str) -> Version | None:
    """Return the version that a file's name tells, or None where it tells none by PEP 440."""
    return read_filename(name, filename)[0]


def read_filename(name: NormalizedName, filename: str) -> tuple[Version | None, Takers]:
    """
    Return the version that the name of a project's file tells, and who takes the file.

    A source distribution's version is all that stands behind the project's name, as installers read it: of
    ``foo-1.2.public.tar.gz`` it is none, and not 1.2, which foo may never have released.
    """
    if filename.endswith(".whl"):
        try:
            return parse_wheel_filename(filename)[1], Takers.ALL
        except (InvalidWheelFilename, InvalidVersion, ValueError):
            return _after_name(name, filename.removesuffix(".whl"), wheel=True), Takers.NONE
    lower = filename.lower()
    for endings, takers in ((_SDISTS, Takers.ALL), (_PIP_SDISTS, Takers.PIP), (_OTHERS, Takers.NONE)):
        if ending := next((ending for ending in endings if lower.endswith(ending)), None):
            stem = filename[: -len(ending)]
            if takers is not Takers.NONE and (version := _after_name(name, stem)) is not None:
                return version, takers
            return _after_name(name, stem, tagged=True), Takers.NONE
    return None, Takers.NONE


def _after_name(name: NormalizedName, stem: str, *, tagged: bool = False, wheel: bool = False) -> Version | None:
    parts = stem.split("-")
    # A name's own separators, and some to spare for whoever doubles them; a file's name may have 250 of them.
    for cut in range(1, min(len(parts), name.count("-") + 16)):
        prefix = canonicalize_name("-".join(parts[:cut]))
        if prefix == name:
            text = parts[cut] if wheel else "-".join(parts[cut:])
            if tagged and (match := _TAGGED.fullmatch(text)):
                text = match["version"]
            return parse_version(text)
        if len(prefix) > len(name):
            break  # and none that follows is shorter
    return None


def parse_version(text: str) -> Version | None:
    """Return a version by PEP 440, or None of another kind."""
    try:
        return Version(text)
    except ValueError:  # InvalidVersion, or a number with more digits than Python reads
        return None
