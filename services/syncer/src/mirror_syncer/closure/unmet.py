"""What the mirror does not meet of the requirements that count."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_contract import UnmetReason
from mirror_syncer.closure.client_masks import bits
from mirror_syncer.closure.demands import Demands, Required
from mirror_syncer.closure.environments import Environments
from mirror_syncer.closure.project import Project
from mirror_syncer.closure.releases import is_pin
from mirror_syncer.closure.requirements import ProblemKind
from mirror_syncer.config.policy.closure import Unmet

_REASONS = {
    ProblemKind.UNREADABLE: UnmetReason.UNREADABLE,
    ProblemKind.PIP_FAILS: UnmetReason.UNREADABLE,
    ProblemKind.BY_URL: UnmetReason.BY_URL,
    ProblemKind.INCOMPLETE: UnmetReason.UNKNOWN,
}
_MAX_LISTED = 100  # of a release; a hostile one has thousands, and each is stored for each machine
VersionsOf = Mapping[NormalizedName, frozenset[Version]]
"""Releases by project."""


class UnmetRequirements:
    """
    Finds requirements that no selected release meets.

    Args:
        withheld: releases that are not published, so they meet nothing; it may grow, see ``find_on``.
        not_on_disk: releases with files that could not be downloaded, so they meet nothing either.
    """

    def __init__(
        self, demands: Demands, environments: Environments, *, withheld: VersionsOf, not_on_disk: VersionsOf
    ) -> None:
        self._demands = demands
        self._environments = environments
        self._withheld = withheld
        self._not_on_disk = not_on_disk
        self._meeting: dict[NormalizedName, dict[str, int]] = {}
        self._on: dict[NormalizedName, list[Required]] = {}

    def find(self) -> Iterator[Unmet]:
        """
        Yield each unmet requirement, and each release whose requirements are not known.

        Of lines only extras that do not exist: the state of their project says what else is wrong with them.
        """
        yield from self._find(self._demands.required())
        for _, project in sorted(self._demands.projects.items()):
            yield from self._unknown(project)
        for project, version, error in self._demands.failures():
            yield Unmet(project.name, version, "", (), UnmetReason.FAILED, error)

    def find_on(self, projects: Iterable[NormalizedName]) -> Iterator[Unmet]:
        """Yield the unmet requirements on projects that had further releases withheld."""
        if not self._on:
            for required in self._demands.required():
                self._on.setdefault(required.need.name, []).append(required)
        for name in sorted(projects):
            self._meeting.pop(name, None)
            yield from self._find(self._on.get(name, ()))

    def _find(self, requirements: Iterable[Required]) -> Iterator[Unmet]:
        counts = Counter[tuple[NormalizedName, str]]()
        unlisted: dict[tuple[NormalizedName, str], tuple[Required, int]] = {}
        for required in requirements:
            by = required.requirer
            if by.project is None:
                yield from self._missing_extras(required)
            if by.is_line:
                continue
            missing = required.clients & ~self._clients_that_find(required)
            if not missing or (by.project is not None and self._is_withheld(by.project, by.version)):
                continue
            if by.project is not None:
                release = by.project, by.version
                counts[release] += 1
                if counts[release] > _MAX_LISTED:
                    first, clients = unlisted.get(release, (required, 0))
                    unlisted[release] = first, clients | missing
                    continue
            yield from self._explain(required, missing)
        for release, (required, missing) in unlisted.items():
            sentence = f"{counts[release] - _MAX_LISTED:,} more of its requirements are not met"
            for one in self._explain(required, missing):
                yield replace(one, requirement="", message=sentence)

    def _missing_extras(self, required: Required) -> Iterator[Unmet]:
        """Yield an entry for each extra of a line or group that none of its releases offers; pip only warns then."""
        need, project = required.need, self._demands.projects.get(required.need.name)
        releases = () if project is None or not need.extras else project.releases()
        matching = [version for _, version in releases if need.specifier.contains(version, prereleases=True)]
        stated = [one for version in matching for one in (project.requirements.get(version, ()) if project else ())]
        if not stated or not all(one.is_known for one in stated):
            return
        for extra in sorted(need.extras.difference(*(one.extras for one in stated))):
            message = f"{need.name} {max(matching)} has no extra {extra!r}: installers ignore it; correct the line"
            yield Unmet(need.name, "", need.text, self._names(required.machines), UnmetReason.NO_RELEASE, message)

    def _clients_that_find(self, required: Required) -> int:
        """Return the clients that can install a selected release which meets a requirement."""
        known, key = self._meeting.setdefault(required.need.name, {}), str(required.need.specifier)
        if key not in known:
            project = self._demands.projects.get(required.need.name)
            known[key] = 0 if project is None else self._meeting_of(project, required.need.specifier)
        return known[key]

    def _meeting_of(self, project: Project, specifier: SpecifierSet) -> int:
        found = 0
        for release, version in project.releases():
            if version in project.unusable or version in self._withheld.get(project.name, ()):
                continue
            if version in self._not_on_disk.get(project.name, ()):
                continue
            if specifier.contains(version, prereleases=True):
                found |= release.clients | (release.yanked_clients if is_pin(specifier) else 0)
        return found

    def _names(self, machines: int) -> tuple[str, ...]:
        return self._demands.names(machines)

    def _is_withheld(self, name: NormalizedName, version: str) -> bool:
        versions = self._withheld.get(name)
        return bool(versions and version and Version(version) in versions)

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
            return UnmetReason.NO_PROJECT, (project or Project(name)).why_absent
        specifier = required.need.specifier
        if (cause := self._why_not_here(name, specifier)) is not None:
            return cause
        if (unreadable := project.why_unusable(specifier)) is not None:
            return UnmetReason.UNREADABLE, unreadable
        return project.candidates.why_none(specifier, clients)

    def _why_not_here(self, name: NormalizedName, specifier: SpecifierSet) -> tuple[UnmetReason, str] | None:
        """Return why a selected release is not published, if one would meet a requirement."""
        for versions, reason, sentence in (
            (self._not_on_disk.get(name), UnmetReason.FAILED, "could not be downloaded"),
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
            problems = [problem for requirements in project.stated(version) for problem in requirements.problems]
            problems.sort(key=lambda one: bool(one.line))  # what concerns all lines is always listed
            for problem in problems[:_MAX_LISTED]:
                where = self._environments.counts(problem.marker) & project.machines
                if where:
                    reason = _REASONS[problem.kind]
                    yield Unmet(project.name, str(version), problem.line, self._names(where), reason, problem.message)
            if len(problems) > _MAX_LISTED:
                sentence = f"{len(problems) - _MAX_LISTED:,} more of its lines are not as installers want them"
                yield Unmet(project.name, str(version), "", everywhere, UnmetReason.UNREADABLE, sentence)


def withheld(unmet: Iterable[Unmet]) -> dict[NormalizedName, frozenset[Version]]:
    """Return the releases that have an unmet requirement."""
    found: dict[NormalizedName, set[Version]] = {}
    for one in unmet:
        if one.version and one.reason is not UnmetReason.UNKNOWN:
            found.setdefault(one.project, set()).add(Version(one.version))
    return {name: frozenset(versions) for name, versions in found.items()}
