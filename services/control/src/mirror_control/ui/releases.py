"""The files of a project, grouped by release, as the page shows them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from packaging.version import Version

from mirror_contract import Choice, ProjectFile
from mirror_contract.distributions import DistributionType, distribution_type, parse_version

_GLIBC = re.compile(r"manylinux(?:1|2010|2014|_\d+_\d+)_(\w+)", re.ASCII)
_MUSL = re.compile(r"musllinux_\d+_\d+_(\w+)", re.ASCII)
_MACOS = re.compile(r"macosx_\d+_\d+_(\w+)", re.ASCII)
_WINDOWS = {"win32": "x86", "win_amd64": "x86_64", "win_arm64": "arm64"}
# In the order of the page; a wheel for any platform comes first, the source last.
_ANY, _SOURCE, _OTHER = "any", "source", "other"
_FAMILIES = ("Linux", "Linux (musl)", "macOS", "Windows")
# With the longest name, it stays within the 300 characters of a release.
_MAX_VERSION_LENGTH = 80
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class Release:
    """A release with its published files."""

    version: str | None
    """None for files whose names say none."""
    files: list[ProjectFile] = field(default_factory=list)

    @property
    def key(self) -> Version | None:
        """The version, to compare it."""
        return None if self.version is None else parse_version(self.version)

    @property
    def is_prerelease(self) -> bool:
        """Whether the version says so."""
        return self.key is not None and self.key.is_prerelease

    @property
    def uploaded_at(self) -> datetime | None:
        """When its first file was uploaded, as far as upstream says."""
        return min((file.upload_time for file in self.files if file.upload_time), default=None)

    @property
    def size(self) -> int:
        """The bytes of its files."""
        return sum(file.size or 0 for file in self.files)

    @property
    def requires_python(self) -> list[str]:
        """What its files require, each once."""
        return list(dict.fromkeys(file.requires_python for file in self.files if file.requires_python))

    @property
    def is_yanked(self) -> bool:
        """Whether all its files are yanked."""
        return all(file.yanked for file in self.files)

    @property
    def yanked_because(self) -> str:
        """The first reason for a yank."""
        return next((file.yanked for file in self.files if isinstance(file.yanked, str)), "")

    @property
    def platforms(self) -> str:
        """What its files are for, such as ``Linux x86_64, macOS arm64, source``."""
        return describe_platforms(file.filename for file in self.files)

    @property
    def is_leaving(self) -> bool:
        """Whether a file of it may leave, because upstream or mirror.toml no longer has it."""
        return any(file.decision is not Choice.KEEP for file in self.files)


@dataclass(frozen=True, slots=True)
class Absent:
    """
    Files of a release that are not published for one reason, or until the same day.

    Attributes:
        reason: of its first file, which is the first to be published.
        until: the first file's time.
        filenames: in the page's order; none is left out.
    """

    version: str | None
    decision: Choice
    reason: str
    until: datetime | None
    filenames: list[str]

    @property
    def releasable_version(self) -> str:
        """The version that a person may release from the cooldown; empty if it is not held, or has none."""
        if self.decision is not Choice.HOLD or self.version is None or len(self.version) > _MAX_VERSION_LENGTH:
            return ""
        return str(parse_version(self.version) or "")


def group_releases(files: Iterable[ProjectFile]) -> list[Release]:
    """Return the releases of published files, the newest first; files without a version come last."""
    releases = dict[str | None, Release]()
    for file in files:
        releases.setdefault(file.version, Release(file.version)).files.append(file)
    return sorted(releases.values(), key=_newest_last, reverse=True)


def find_release(releases: Sequence[Release], version: str) -> Release | None:
    """Return the release of a version in any spelling, if it is published."""
    wanted = parse_version(version)
    if wanted is None:
        return None
    return next((release for release in releases if release.key == wanted), None)


def newest_release(releases: Sequence[Release]) -> Release | None:
    """Return what installers take by default: the newest final release that is not yanked, or else the newest."""
    return max(
        releases,
        key=lambda one: (not one.is_yanked, one.version is not None, not one.is_prerelease, _version_key(one.version)),
        default=None,
    )


def group_absent(files: Iterable[ProjectFile]) -> list[Absent]:
    """Return unpublished files by release and reason: those that wait, then blocked ones, then others, newest first."""
    groups = dict[tuple[object, ...], Absent]()
    # What waits is uploaded within minutes: each of numpy's 70 wheels has another time, and so another reason.
    for file in sorted(files, key=lambda file: file.until or _END_OF_TIME):
        about = file.reason if file.until is None else file.until.date()
        key = file.version, file.decision, about
        group = groups.setdefault(key, Absent(file.version, file.decision, file.reason or "", file.until, []))
        group.filenames.append(file.filename)
    newest_first = sorted(groups.values(), key=lambda one: _version_key(one.version), reverse=True)
    return sorted(newest_first, key=_order)


def describe_platforms(filenames: Iterable[str]) -> str:
    """Return what files are for, by their names."""
    machines = {family: set[str]() for family in _FAMILIES}
    others = set[str]()
    for filename in filenames:
        kind = distribution_type(filename)
        if kind is DistributionType.SDIST:
            others.add(_SOURCE)
        elif kind is not DistributionType.WHEEL:
            others.add(_OTHER)
        else:
            for tag in filename.removesuffix(".whl").rpartition("-")[2].split("."):
                family, machine = _machine(tag)
                (machines[family].add(machine) if family in machines else others.add(family))
    named = [f"{family} {', '.join(sorted(found))}" for family, found in machines.items() if found]
    return " · ".join(([_ANY] if _ANY in others else []) + named + [one for one in (_OTHER, _SOURCE) if one in others])


def _machine(tag: str) -> tuple[str, str]:
    """Return family and machine of a platform tag."""
    if tag == _ANY:
        return _ANY, ""
    if tag in _WINDOWS:
        return "Windows", _WINDOWS[tag]
    for family, pattern in (("Linux", _GLIBC), ("Linux (musl)", _MUSL), ("macOS", _MACOS)):
        if found := pattern.fullmatch(tag):
            return family, found[1][:20]
    if tag.startswith("linux_"):
        return "Linux", tag.removeprefix("linux_")[:20]
    return _OTHER, ""


def _version_key(version: str | None) -> tuple[bool, Version]:
    parsed = None if version is None else parse_version(version)
    return parsed is not None, parsed or Version("0")


def _newest_last(release: Release) -> tuple[bool, Version]:
    return _version_key(release.version)


def _order(group: Absent) -> tuple[bool, bool, datetime]:
    return group.decision is not Choice.HOLD, group.decision is not Choice.BLOCK, group.until or _END_OF_TIME
