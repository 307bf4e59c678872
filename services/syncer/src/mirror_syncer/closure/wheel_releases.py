"""The releases of one machine, of some projects only those that it installs from a wheel."""

from collections.abc import Iterable, Mapping, Sequence

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_syncer.closure.machine_releases import MachineReleases
from mirror_syncer.closure.releases import Candidate
from mirror_syncer.model.need import Need

_MAX_LOOKED_AT = 16  # releases and projects, each a request; real cases need one or two, and dbt-postgres nine


class TooFarError(Exception):
    """A search without builds leads too far: it is a favour, so it may not cost much."""


class WheelReleases:
    """
    What a machine may install without building some projects.

    Args:
        releases: what it may install at all.
        wheels_only: the projects that it is not to build.
    """

    def __init__(self, releases: MachineReleases, wheels_only: Iterable[NormalizedName]) -> None:
        self._releases = releases
        self._wheels_only = frozenset(wheels_only)
        self._versions: dict[NormalizedName, Sequence[Candidate]] = {}
        self._left = _MAX_LOOKED_AT

    def versions(self, name: NormalizedName) -> Sequence[Candidate]:
        """Return the releases that pip can install on the machine."""
        if not self._releases.is_looked_at(name):
            self._look_further()
        if name not in self._wheels_only:
            return self._releases.versions(name)
        found = self._versions.get(name)
        if found is None:
            candidates = self._releases.versions(name)
            found = self._versions[name] = [one for one in candidates if self._releases.has_wheel(name, one.version)]
        return found

    def all_versions(self, name: NormalizedName) -> list[Version]:
        """Return the versions that the machine may install, at which pip looks before it judges pre-releases."""
        return self._releases.all_versions(name)

    def needs(self, name: NormalizedName, version: Version) -> list[Need]:
        """Return what a release requires with all its extras, each requirement with its marker."""
        if not self._releases.is_read(name, version):
            self._look_further()
        return self._releases.needs(name, version)

    def counts(self, need: Need, extra: str | None) -> bool:
        """Return whether a requirement counts on the machine with an extra."""
        return self._releases.counts(need, extra)

    def why_none(self, name: NormalizedName, specifier: SpecifierSet) -> str:
        """Return why no release of a project is among the candidates."""
        return self._releases.why_none(name, specifier)

    def _look_further(self) -> None:
        if not self._left:
            raise TooFarError
        self._left -= 1


def built(assignment: Mapping[NormalizedName, Version], releases: MachineReleases) -> set[NormalizedName]:
    """Return the projects of an assignment that the machine has to build, since their release has no wheel for it."""
    return {name for name, version in assignment.items() if not releases.has_wheel(name, version)}
