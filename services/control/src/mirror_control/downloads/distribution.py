"""A package file by its name: which project, which version, what kind of file."""

import re
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

from mirror_contract import parse_project_name

# No file system that we know holds a longer one.
_LONGEST = 255
# What lies beside a file and is none itself (PEP 658; signatures of old).
_BESIDE = (".metadata", ".asc", ".provenance")
# Names from before PEP 625 and PEP 427: the project ends before the first part that begins with a digit.
_OLD = re.compile(r"(?P<project>.+?)-(?P<version>\d[0-9A-Za-z.+!_]*)(?:-.*)?", re.ASCII)
_ENDINGS = (".tar.gz", ".tar.bz2", ".tar.xz", ".tar.Z", ".tar", ".tgz", ".zip", ".whl", ".egg", ".exe", ".msi", ".rpm")


class FileType(StrEnum):
    """What kind of file."""

    WHEEL = "wheel"
    SDIST = "sdist"
    EGG = "egg"
    OTHER = "other"  # installers for Windows, packages of Linux distributions


class Distribution(NamedTuple):
    """What a file's name says; the version is empty where it says none."""

    project: str
    version: str
    file_type: FileType


@lru_cache(maxsize=8192)
def parse_filename(filename: str) -> Distribution | None:
    """Return what a file's name says; None where it is no distribution's."""
    if len(filename) > _LONGEST or filename.endswith(_BESIDE):
        return None
    try:
        if filename.endswith(".whl"):
            project, version, _, _ = parse_wheel_filename(filename)
            return Distribution(parse_project_name(project), str(version), FileType.WHEEL)
        if filename.endswith((".tar.gz", ".zip")):
            project, version = parse_sdist_filename(filename)
            return Distribution(parse_project_name(project), str(version), FileType.SDIST)
    except (InvalidWheelFilename, InvalidSdistFilename, ValueError):
        pass  # foo-2004d.tar.gz, foo-bar-1.0-linux.zip: PyPI has 100,000s of those
    return _parse_old(filename)


def _parse_old(filename: str) -> Distribution | None:
    ending = next((ending for ending in _ENDINGS if filename.endswith(ending)), None)
    if ending is None:
        return None
    stem = filename.removesuffix(ending)
    found = _OLD.fullmatch(stem)
    project, version = (found["project"], found["version"]) if found else (stem, "")
    try:
        return Distribution(parse_project_name(project), version, _type_of(ending))
    except ValueError:
        return None


def _type_of(ending: str) -> FileType:
    match ending:
        case ".whl":
            return FileType.WHEEL
        case ".egg":
            return FileType.EGG
        case ".exe" | ".msi" | ".rpm":
            return FileType.OTHER
        case _:
            return FileType.SDIST
