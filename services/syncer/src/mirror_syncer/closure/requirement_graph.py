"""
The requirements of releases as a graph, as a solver reads it: one node for each project, and one for each extra of it.

A requirement ``foo[bar]>=1`` leads to two nodes, ``foo`` and ``foo[bar]``. The second one requires the same release of
``foo``, and what the extra adds. A release's requirements are read when a search reaches it, and only once.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_syncer.closure.refutation import Fact, LeftOut, NoRelease, Requires
from mirror_syncer.closure.releases import Releases, is_required, requirement_text, sort_key
from mirror_syncer.closure.version_sets import ProjectVersions, VersionMemory, VersionSet
from mirror_syncer.model.need import Need

_MAX_UNSATISFIED = 64  # specifiers of a project with a bit each; a hostile release has any number, and they share one


@dataclass(slots=True)
class Admission:
    """Which pre-releases and yanked releases are candidates in a search."""

    admitted: Mapping[NormalizedName, int] | None
    """By project; None: all of them."""
    excluded: dict[NormalizedName, int] = field(default_factory=dict)

    def bits(self, name: NormalizedName, project: ProjectVersions) -> int:
        """Return the candidates of a project."""
        bits = project.all if self.admitted is None else project.usual | self.admitted.get(name, 0)
        return bits & ~self.excluded.get(name, 0)


class RequirementGraph:
    """The nodes that searches for one answer have reached."""

    def __init__(self, releases: Releases, memory: VersionMemory, check_time: Callable[[], None]) -> None:
        """
        Start without a node.

        Args:
            check_time: called at each requirement, since a hostile release has any number; it may raise.
        """
        self.releases = releases
        self.nodes: dict[str, tuple[NormalizedName, str | None]] = {}
        """The project and the extra of each node, which is written as in ``foo[bar]``."""
        self.admitted: dict[NormalizedName, int] = {}
        """The pre-releases and yanked releases that a requirement takes by itself."""
        self._memory = memory
        self._check_time = check_time
        self._projects: dict[NormalizedName, ProjectVersions] = {}
        # A specifier that no release satisfies has a bit of its own, after those of the releases: so each set of
        # releases has a member, and a refutation knows which requirement it is.
        self._unsatisfied: dict[NormalizedName, dict[str, tuple[int, SpecifierSet]]] = {}
        self._edges: dict[tuple[str, int], dict[str, VersionSet]] = {}
        self._needs: dict[tuple[str, int], dict[str, tuple[Need, ...]]] = {}

    def project(self, name: NormalizedName) -> ProjectVersions:
        """Return the releases of a project."""
        project = self._projects.get(name)
        if project is None:
            candidates = self.releases.versions(name)
            # Only pre-releases need the page.
            is_final = not any(candidate.version.is_prerelease for candidate in candidates)
            page = () if is_final else self.releases.all_versions(name)
            project = self._projects[name] = self._memory.get(name, candidates, page)
        return project

    def version(self, node: str, place: int) -> Version:
        """Return the version of a release."""
        return self.project(self.nodes[node][0]).versions[place]

    def targets(self, need: Need) -> Iterator[tuple[str, int]]:
        """Yield the nodes that a requirement requires, and the releases that satisfy it."""
        project = self.project(need.name)
        if project.guarded:
            self.admitted[need.name] = self.admitted.get(need.name, 0) | project.admitted(need.specifier)
        bits = project.matching(need.specifier) or self._unsatisfied_bit(need.name, need.specifier)
        yield self._node(need.name, None), bits
        for extra in need.extras:
            yield self._node(need.name, extra), bits

    def edges(self, node: str, place: int) -> Mapping[str, VersionSet]:
        """Return what a release requires, by node."""
        known = self._edges.get((node, place))
        if known is None:
            known = self._edges[node, place] = self._read_edges(node, place)
        return known

    def _read_edges(self, node: str, place: int) -> dict[str, VersionSet]:
        name, extra = self.nodes[node]
        required: dict[str, int] = {}
        needs: dict[str, tuple[Need, ...]] = {}
        if extra is not None:
            required[self._node(name, None)] = 1 << place
        for need in sorted(self.releases.needs(name, self.version(node, place)), key=sort_key):
            self._check_time()
            if not is_required(need, extra, self.releases):
                continue
            for target, bits in self.targets(need):
                required[target] = required.get(target, -1) & bits
                needs[target] = (*needs.get(target, ()), need)
        for target, bits in required.items():
            if not bits:
                required[target] = self._unsatisfied_bit(self.nodes[target][0], _merged(needs[target]))
        self._needs[node, place] = needs
        return {target: VersionSet(bits) for target, bits in required.items()}

    def _node(self, name: NormalizedName, extra: str | None) -> str:
        node = name if extra is None else f"{name}[{extra}]"
        self.nodes[node] = name, extra
        return node

    def _unsatisfied_bit(self, name: NormalizedName, specifier: SpecifierSet) -> int:
        unsatisfied = self._unsatisfied.setdefault(name, {})
        place = len(self.project(name).versions) + min(len(unsatisfied), _MAX_UNSATISFIED)
        return 1 << unsatisfied.setdefault(str(specifier), (place, specifier))[0]

    def line_facts(self, need: Need) -> Iterator[Fact]:
        """Yield the facts that a line states."""
        _, bits = next(self.targets(need))
        yield Requires(None, None, (), (requirement_text(need),), need.name, bits)
        yield from self._unsatisfied_facts(need.name, bits)

    def release_facts(self, node: str, releases: int, target: str) -> Iterator[Fact]:
        """Yield what some releases require of a node."""
        name, extra = self.nodes[node]
        target_name = self.nodes[target][0]
        versions: dict[tuple[str, ...], list[int]] = {}
        for place in range(len(self.project(name).versions)):
            needs = self._needs.get((node, place), {}).get(target)
            if needs and releases >> place & 1:
                versions.setdefault(tuple(requirement_text(need) for need in needs), []).append(place)
        for texts, places in versions.items():
            bits = self._edges[node, places[0]][target].bits
            named = tuple(sorted((self.version(node, place) for place in places), reverse=True))
            yield Requires(name, extra, named, texts, target_name, bits)
            yield from self._unsatisfied_facts(target_name, bits)

    def candidate_facts(self, node: str, releases: int, admission: Admission) -> Iterator[Fact]:
        """Yield why no candidate is one of some releases."""
        name, _ = self.nodes[node]
        project = self.project(name)
        yield from self._unsatisfied_facts(name, releases)
        left_out = releases & project.all & ~admission.bits(name, project)
        for is_yanked, bits in (False, left_out & ~project.yanked), (True, left_out & project.yanked):
            if bits:
                yield LeftOut(name, tuple(sorted(project.members(bits), reverse=True)), is_yanked)

    def _unsatisfied_facts(self, name: NormalizedName, bits: int) -> Iterator[NoRelease]:
        for place, specifier in islice(self._unsatisfied.get(name, {}).values(), _MAX_UNSATISFIED):
            if bits >> place & 1:
                yield NoRelease(name, f"{name}{specifier}", self.releases.why_none(name, specifier))


def _merged(needs: tuple[Need, ...]) -> SpecifierSet:
    merged = SpecifierSet()
    for need in needs:
        merged &= need.specifier
    return merged
