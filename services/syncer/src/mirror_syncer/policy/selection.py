"""What is wanted of one project."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from packaging.specifiers import SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    NormalizedName,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

_PIECES_MOST = 16  # of a version; a name of 200 dots took 2.5 ms, and a page may have 200,000


class _Released(Protocol):
    @property
    def filename(self) -> str: ...
    @property
    def yanked(self) -> bool | str: ...


F = TypeVar("F", bound=_Released)


@dataclass(frozen=True, slots=True)
class Verdict(Generic[F]):
    """A project's files, parted."""

    wanted: tuple[F, ...]
    withheld: int
    """How many files upstream has and the policy leaves out."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A line of ``mirror.toml``: which releases of a project are wanted."""

    line: str
    specifier: SpecifierSet
    latest: int | None
    named: bool = True
    """A line of its own says so: if it matches nothing, somebody erred."""

    def judge(self, name: NormalizedName, files: Sequence[F]) -> Verdict[F]:
        """
        Part the files of a project.

        A specifier admits pre-releases, too: who asks ``pip --pre`` of the mirror should find them. ``latest`` counts
        final releases that are not yanked (PEP 592: installers pass them over), and others only of a project that has
        nothing better. A file whose version cannot be told is wanted only where everything is.
        """
        if not self.specifier and self.latest is None:
            return Verdict(tuple(files), 0)
        versions = [version_of(name, file.filename) for file in files]
        told = [(version, bool(file.yanked)) for file, version in zip(files, versions, strict=True) if version]
        admitted = self._admitted(told)
        wanted = tuple(file for file, version in zip(files, versions, strict=True) if version in admitted)
        return Verdict(wanted, len(files) - len(wanted))

    def _admitted(self, versions: Iterable[tuple[Version, bool]]) -> set[Version]:
        matching = {(v, yanked) for v, yanked in versions if self.specifier.contains(v, prereleases=True)}
        if self.latest is None:
            return {version for version, _ in matching}
        offered = {version for version, yanked in matching if not yanked} or {version for version, _ in matching}
        finals = {version for version in offered if not version.is_prerelease}
        return set(sorted(finals or offered, reverse=True)[: self.latest])


def version_of(name: NormalizedName, filename: str) -> Version | None:
    """Return the version that a file's name tells, or None where it tells none by PEP 440."""
    told = None
    try:
        if filename.endswith(".whl"):
            return parse_wheel_filename(filename)[1]
        if filename.endswith((".tar.gz", ".zip")):
            stem, told = parse_sdist_filename(filename)
            if stem == name:
                return told
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        pass
    return _version_of_old_name(name, filename) or told


def _version_of_old_name(name: NormalizedName, filename: str) -> Version | None:
    """Read names from before PEP 427 and 625: ``Name-1.0-py2.7.egg``, ``name-1.0.win32.exe``, ``name-1.0-1.tar.gz``."""
    stem = filename
    for suffix in (".tar.gz", ".tar.bz2", ".tgz", ".zip", ".egg", ".exe", ".msi", ".rpm", ".dmg", ".deb", ".whl"):
        if filename.lower().endswith(suffix):
            stem = filename[: -len(suffix)]
            break
    parts = stem.split("-")
    for cut in range(1, len(parts)):
        prefix = canonicalize_name("-".join(parts[:cut]))
        if prefix == name:
            return parse_version("-".join(parts[cut:])) or _leading_version(parts[cut])
        if len(prefix) > len(name):
            break  # and none that follows is shorter
    return None


def _leading_version(text: str) -> Version | None:
    """Return the longest dotted beginning of a text that is a version: ``1.0.win32`` is 1.0."""
    pieces = text.split(".")[:_PIECES_MOST]
    versions = (parse_version(".".join(pieces[:end])) for end in range(len(pieces), 0, -1))
    return next((version for version in versions if version is not None), None)


def parse_version(text: str) -> Version | None:
    """Return a version by PEP 440, or None of another kind."""
    try:
        return Version(text)
    except ValueError:  # InvalidVersion, or a number with more digits than Python reads
        return None
