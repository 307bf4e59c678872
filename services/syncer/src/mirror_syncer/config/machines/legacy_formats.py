"""
Which machine an egg, an installer or a binary archive is for, by its name.

Neither pip nor uv installs them, but people do by other means. The names are those of distutils' bdist commands:
``foo-1.0-py2.7-linux-x86_64.egg``, ``foo-1.0.win-amd64-py2.7.exe``, ``foo-1.0.linux-x86_64.tar.gz``.
"""

import re
from typing import NamedTuple

from mirror_syncer.config.machines.platforms import System

_PLATFORM = r"linux-\w+|win32|win-\w+|macosx-?\d+\.\d+(?:-\w+)?"
_ENDING = r"egg|exe|msi|dmg|zip|tar|tar\.(?:gz|bz2|xz|z|zst|lzma|lz)|tgz|tbz|txz|tlz|bz2"
_DISTUTILS = re.compile(
    rf"(?:[.-](?P<first>{_PLATFORM}))?(?:-py(?P<major>\d)\.(?P<minor>\d{{1,2}}))?(?:-(?P<last>{_PLATFORM}))?"
    rf"\.(?P<ending>{_ENDING})$",
    re.ASCII | re.IGNORECASE,
)
_MACOS_ALONE = re.compile(r"macosx-?\d+\.\d+", re.ASCII)  # without an architecture: the name of a disk image
_PACKAGE = re.compile(r"[._](?P<architecture>[a-z0-9]+(?:_64)?)\.(?:rpm|deb)$", re.ASCII | re.IGNORECASE)
# Packages for any machine, and the names that distributions have for architectures.
_ANY_ARCHITECTURE = frozenset({"noarch", "all", "src", "nosrc"})
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64", "armhf": "armv7l"} | {f"i{n}86": "i686" for n in range(3, 7)}
_SYSTEMS = {"egg": None, "exe": System.WINDOWS, "msi": System.WINDOWS, "dmg": System.MACOS}


class LegacyTarget(NamedTuple):
    """The machine that a file is for; None: any."""

    python: tuple[int, int] | None = None
    platform: str | None = None
    """As in a wheel's tag."""
    system: System | None = None


def read_legacy_target(filename: str) -> LegacyTarget | None:
    """Return the machine that a file is for, or None for a source archive and whatever else nobody can install."""
    if package := _PACKAGE.search(filename):
        architecture = package["architecture"].lower()
        if architecture in _ANY_ARCHITECTURE:
            return LegacyTarget(system=System.GLIBC)
        return LegacyTarget(platform=f"linux_{_ARCHITECTURES.get(architecture, architecture)}", system=System.GLIBC)
    match = _DISTUTILS.search(filename)
    if match is None:
        return None
    python = (int(match["major"]), int(match["minor"])) if match["major"] else None
    ending, platform = match["ending"].lower(), (match["last"] or match["first"] or "").lower()
    if _MACOS_ALONE.fullmatch(platform):
        return LegacyTarget(python, system=System.MACOS)
    if platform:
        return LegacyTarget(python, platform=platform.replace("-", "_").replace(".", "_"))
    return LegacyTarget(python, system=_SYSTEMS[ending]) if ending in _SYSTEMS else None
