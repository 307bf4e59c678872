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
# Names from before PEP 625 and PEP 427: the project ends before the first part that begins with a digit. Brackets and
# quotes may precede it: scikit-highs-('0.6.0',).tar.gz. What follows the version, as in "pyfurby-0.1 (1)", is cut off.
_OLD = re.compile(r"(?P<project>.+?)-(?P<version>\W*\d[0-9A-Za-z.+!_]*)(?:\W.*)?", re.ASCII | re.DOTALL)
_NOT_IN_VERSION = re.compile(r"^\W+", re.ASCII)
# setuptools and PyPI wrote a name with blanks or other characters with a dash for each run of them.
_NOT_IN_PROJECT = re.compile(r"[^A-Za-z0-9._-]+", re.ASCII)
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


# A file that was downloaded, whatever its name: counted, under no project.
UNNAMED = Distribution("", "", FileType.OTHER)


def is_beside(filename: str) -> bool:
    """Return whether a file only accompanies another."""
    return filename.endswith(_BESIDE)


@lru_cache(maxsize=8192)
def parse_filename(filename: str) -> Distribution | None:
    """Return what a file's name says; None where it names no project, or is no distribution's."""
    if len(filename) > _LONGEST or is_beside(filename):
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
    project, version = (found["project"], _NOT_IN_VERSION.sub("", found["version"])) if found else (stem, "")
    try:
        name = parse_project_name(_NOT_IN_PROJECT.sub("-", project).strip("-_."))
    except ValueError:
        return None
    return Distribution(name, version, _type_of(ending))


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
