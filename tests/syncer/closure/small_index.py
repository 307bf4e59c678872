"""Small indexes for the solver: projects, their releases, and what these require, as one machine sees them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from mirror_syncer.closure.releases import Candidate
from mirror_syncer.model.need import Need

LINUX = {"sys_platform": "linux", "python_version": "3.11", "python_full_version": "3.11.0"}


def need(text: str) -> Need:
    """Return a requirement by its text."""
    read = Requirement(text)
    extras = frozenset(canonicalize_name(extra) for extra in read.extras)
    return Need(canonicalize_name(read.name), extras, read.specifier, read.marker, text)


def needs(*texts: str) -> list[Need]:
    """Return requirements by their texts."""
    return [need(text) for text in texts]


@dataclass
class SmallIndex:
    """An index of releases by project and version, each with its requirements."""

    projects: Mapping[str, Mapping[str, Sequence[str]]]
    kept: frozenset[str] = frozenset()
    """As in "foo 1.0"; so the following ones."""
    yanked: frozenset[str] = frozenset()
    withheld: frozenset[str] = frozenset()
    """They are on the page, but may not be installed."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=lambda: LINUX)
    asked: list[str] = field(default_factory=list)
    """The releases whose requirements were read, in the order in which they were."""

    def __post_init__(self) -> None:
        self._needs = {
            (canonicalize_name(name), version): [need(text) for text in texts]
            for name, releases in self.projects.items()
            for version, texts in releases.items()
        }
        self._versions = {name: {text: Version(text) for text in releases} for name, releases in self.projects.items()}
        self._counts: dict[tuple[str, str | None], bool] = {}

    def versions(self, project: NormalizedName) -> Sequence[Candidate]:
        """Return the releases that may be installed."""
        return [
            Candidate(version, f"{project} {text}" in self.kept, f"{project} {text}" in self.yanked)
            for text, version in self._versions.get(project, {}).items()
            if f"{project} {text}" not in self.withheld
        ]

    def all_versions(self, project: NormalizedName) -> Sequence[Version]:
        """Return each version of the page."""
        return list(self._versions.get(project, {}).values())

    def why_none(self, project: NormalizedName, specifier: SpecifierSet) -> str:
        """Return the reason of the test, or the one that is plain."""
        if project in self.reasons:
            return self.reasons[project]
        if project not in self.projects:
            return "no such project"
        newest = max(self._versions[project].values(), key=lambda version: (version, str(version)))
        return f"no such release of {project}; the newest is {newest}"

    def needs(self, project: NormalizedName, version: Version) -> Sequence[Need]:
        """Return the requirements of a release."""
        self.asked.append(f"{project} {version}")
        return self._needs[project, str(version)]

    def counts(self, need: Need, extra: str | None) -> bool:
        """Return whether a requirement counts in the environment."""
        if need.marker is None:
            return True
        key = str(need.marker), extra
        if key not in self._counts:
            self._counts[key] = need.marker.evaluate({**self.environment, "extra": extra or ""})
        return self._counts[key]
