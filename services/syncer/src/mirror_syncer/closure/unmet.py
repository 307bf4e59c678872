"""What the mirror does not meet of the requirements that count."""

from collections.abc import Iterable, Iterator, Mapping

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_contract import UnmetReason
from mirror_syncer.closure.demands import Demands, Required
from mirror_syncer.closure.environments import Environments
from mirror_syncer.closure.project import MAX_TRIES, Project, bits
from mirror_syncer.closure.releases import is_pin
from mirror_syncer.closure.requirements import ProblemKind
from mirror_syncer.config.policy.closure import Unmet

_REASONS = {
    ProblemKind.UNREADABLE: UnmetReason.UNREADABLE,
    ProblemKind.PIP_FAILS: UnmetReason.UNREADABLE,
    ProblemKind.BY_URL: UnmetReason.BY_URL,
    ProblemKind.INCOMPLETE: UnmetReason.UNKNOWN,
}
Releases = Mapping[NormalizedName, frozenset[Version]]


class UnmetRequirements:
    """
    Finds requirements that no selected release meets.

    Args:
        withheld: releases that are not published, so they meet nothing.
        missing: releases with files that could not be downloaded, so they meet nothing either.
    """

    def __init__(self, demands: Demands, environments: Environments, *, withheld: Releases, missing: Releases) -> None:
        self._demands = demands
        self._environments = environments
        self._withheld = withheld
        self._missing = missing
        self._meeting: dict[tuple[NormalizedName, str], int] = {}

    def find(self) -> Iterator[Unmet]:
        """
        Yield each unmet requirement, and each release of which it is not known what it requires.

        Of lines only extras that do not exist: the state of their project says what else is wrong with them.
        """
        for required in self._demands.required():
            by = required.requirer
            if by.project is None:
                yield from self._missing_extras(required)
            if by.is_line:
                continue
            if by.project is not None and by.version and self._is_withheld(by.project, Version(by.version)):
                continue
            missing = required.clients & ~self._clients_that_find(required)
            if missing:
                yield from self._explain(required, missing)
        for _, project in sorted(self._demands.projects.items()):
            yield from self._unknown(project)
        for project, version, error in self._demands.failed():
            yield Unmet(project.name, version, "", (), UnmetReason.FAILED, error)

    def _missing_extras(self, required: Required) -> Iterator[Unmet]:
        """Yield an entry for each extra of a line or group that none of its releases offers; pip only warns then."""
        need, project = required.need, self._demands.projects.get(required.need.name)
        releases = () if project is None or not need.extras else project.releases()
        matching = [version for _, version in releases if need.specifier.contains(version, prereleases=True)]
        stated = [one for version in matching for one in (project.requirements.get(version, ()) if project else ())]
        if not stated or not all(one.is_known for one in stated):
            return
        for extra in sorted(need.extras.difference(*(one.extras for one in stated))):
            message = (
                f"{need.name} {max(matching)} has no extra {extra!r}: installers ignore it; correct it in mirror.toml"
            )
            yield Unmet(need.name, "", need.text, self._names(required.machines), UnmetReason.NO_RELEASE, message)

    def _clients_that_find(self, required: Required) -> int:
        """Return the clients that can install a selected release which meets a requirement."""
        key = (required.need.name, str(required.need.specifier))
        if key not in self._meeting:
            project = self._demands.projects.get(required.need.name)
            self._meeting[key] = 0 if project is None else self._meeting_of(project, required.need.specifier)
        return self._meeting[key]

    def _meeting_of(self, project: Project, specifier: SpecifierSet) -> int:
        found = 0
        for release, version in project.releases():
            if version in project.unusable or self._is_withheld(project.name, version):
                continue
            if version in self._missing.get(project.name, ()):
                continue
            if specifier.contains(version, prereleases=True):
                found |= release.clients | (release.yanked_clients if is_pin(specifier) else 0)
        return found

    def _names(self, machines: int) -> tuple[str, ...]:
        return self._demands.names(machines)

    def _is_withheld(self, name: NormalizedName, version: Version) -> bool:
        return version in self._withheld.get(name, ())

    def _explain(self, required: Required, clients: int) -> Iterator[Unmet]:
        """Yield one entry for each reason: it may differ between machines."""
        reasons: dict[tuple[UnmetReason, str], int] = {}
        project, masks = self._demands.projects.get(required.need.name), self._demands.masks
        for bit in bits(masks.machines(clients, everyone=self._environments.everyone)):
            cause = self._reason(required, project, clients & masks.installers(bit))
            reasons[cause] = reasons.get(cause, 0) | bit
        by = required.requirer
        for (reason, message), found in reasons.items():
            owner = by.project or required.need.name
            yield Unmet(owner, by.version, required.need.text, self._names(found), reason, message)

    def _reason(self, required: Required, project: Project | None, clients: int) -> tuple[UnmetReason, str]:
        name = required.need.name
        if self._demands.policy_of(name) is None:
            return UnmetReason.BLOCKED, f"{name} is blocked in mirror.toml"
        if project is not None and project.error is not None:
            return UnmetReason.FAILED, f"its page could not be read: {project.error}"
        if project is None or project.candidates is None:
            return UnmetReason.NO_PROJECT, f"upstream has no project {name}"
        specifier = required.need.specifier
        if (cause := self._why_not_here(name, specifier)) is not None:
            return cause
        unusable = max((one for one in project.unusable if specifier.contains(one, prereleases=True)), default=None)
        if unusable is not None:
            tried = f"; none older than the {MAX_TRIES} that were tried was read" if project.tries >= MAX_TRIES else ""
            passed = f"installers pass over {name} {unusable} and others that match '{specifier}'".replace(" ''", " it")
            return UnmetReason.UNREADABLE, f"{passed}: pip cannot read what they require{tried}"
        return project.candidates.why_none(specifier, clients)

    def _why_not_here(self, name: NormalizedName, specifier: SpecifierSet) -> tuple[UnmetReason, str] | None:
        """Return why a selected release is not published, if one would meet a requirement."""
        for versions, reason, sentence in (
            (self._missing.get(name), UnmetReason.FAILED, "could not be downloaded"),
            (self._withheld.get(name), UnmetReason.NO_RELEASE, "is withheld, since what it requires is not met"),
        ):
            matching = [version for version in versions or () if specifier.contains(version, prereleases=True)]
            if matching:
                return reason, f"{name} {max(matching)} {sentence}"
        return None

    def _unknown(self, project: Project) -> Iterator[Unmet]:
        """Yield what could not be followed of a project's releases."""
        everywhere = self._names(project.machines)
        for _, version in project.releases():
            if (error := project.unread.get(version)) is not None:
                yield Unmet(project.name, str(version), "", everywhere, UnmetReason.FAILED, error)
            for requirements in project.stated(version):
                for problem in requirements.problems:
                    where = self._environments.counts(problem.marker) & project.machines
                    if where:
                        reason = _REASONS[problem.kind]
                        yield Unmet(
                            project.name, str(version), problem.line, self._names(where), reason, problem.message
                        )


def withheld(unmet: Iterable[Unmet]) -> dict[NormalizedName, frozenset[Version]]:
    """Return the releases that have an unmet requirement."""
    found: dict[NormalizedName, set[Version]] = {}
    for one in unmet:
        if one.version and one.reason is not UnmetReason.UNKNOWN:
            found.setdefault(one.project, set()).add(Version(one.version))
    return {name: frozenset(versions) for name, versions in found.items()}
