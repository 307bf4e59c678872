"""What one project has to do with the dependency closure: why it is here, what it requires, and who requires it."""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from packaging.utils import NormalizedName

from mirror_contract import KeptRelease, ProjectDependencies, Requirement, RequirementState, Requirer
from mirror_syncer.catalog import Catalog
from mirror_syncer.closure.metadata_source import lines_keys
from mirror_syncer.closure.requirements import Requirements, read_build_requirements, read_requirements
from mirror_syncer.config.judgement.release import read_releases
from mirror_syncer.config.policy.closure import Unmet
from mirror_syncer.model.need import Need
from mirror_syncer.model.page import File
from mirror_syncer.model.requirement_lines import RequirementLines
from mirror_syncer.service.closure_facts import ClosureFacts

_MAX_RELEASES = 100
_MAX_READ_RELEASES = 10
_MAX_FILES_READ = 200  # of these releases together; numpy has 70 wheels for each
_MAX_LISTED = 500

ReleaseLines = Mapping[str, tuple[RequirementLines, ...]]
"""What the newest published releases require, as far as the catalog knows it; by version, the newest first."""


@dataclass(slots=True)
class _Found:
    """A requirement, and the releases that state it."""

    project: NormalizedName | None
    need: Need | None
    problem: str | None
    releases: dict[str, None] = field(default_factory=dict)


def read_release_lines(catalog: Catalog, name: NormalizedName, files: Iterable[File]) -> ReleaseLines:
    """Return what the newest releases of a project require, by its published files; blocks for the catalog."""
    versions = {
        version: release.files for version, release in read_releases(name, files).items() if version is not None
    }
    newest = sorted(versions, reverse=True)[:_MAX_READ_RELEASES]
    keys = {
        version: [lines_keys(file) for file in versions[version][: _MAX_FILES_READ // _MAX_READ_RELEASES]]
        for version in newest
    }
    wanted = {key for of_files in keys.values() for of_file in of_files for key in of_file}
    stored = catalog.requirement_lines.get(wanted, now=int(time.time()))
    return {
        str(version): tuple(
            dict.fromkeys(
                lines
                for of_file in of_files
                if (lines := next((stored[key] for key in of_file if key in stored), None)) is not None
            )
        )
        for version, of_files in keys.items()
    }


def describe_dependencies(
    catalog: Catalog, facts: ClosureFacts, name: NormalizedName, lines: ReleaseLines
) -> ProjectDependencies | None:
    """Return what a project has to do with the closure; None if dependencies are not followed."""
    policy = facts.policy
    if not policy.dependencies.follow:
        return None
    project = facts.closure.projects.get(name)
    required_by = {} if project is None else project.required_by
    requirers = (Requirer(project=by, requirement=text) for by, texts in required_by.items() for text in texts)
    return ProjectDependencies(
        releases=[
            KeptRelease(version=str(version), because=chain)
            for version, chain in islice(policy.kept_chains(name).items(), _MAX_RELEASES)
        ],
        requires=_requires(catalog, facts, name, lines),
        required_by=list(islice(requirers, _MAX_LISTED)),
    )


def _requires(catalog: Catalog, facts: ClosureFacts, name: NormalizedName, lines: ReleaseLines) -> list[Requirement]:
    """Return what releases require, in the order of their metadata, the newest release first."""
    found = _collect(facts, name, lines)
    required = {one.project for one in found.values() if one.project is not None}
    published = catalog.projects.page_digests(sorted(required))
    unmet: dict[str, Unmet] = {}
    for one in facts.unmet_of.get(name, ()):
        unmet.setdefault(one.requirement, one)
    return [_requirement(facts, text, one, unmet.get(text), published) for text, one in found.items()]


def _collect(facts: ClosureFacts, name: NormalizedName, lines: ReleaseLines) -> dict[str, _Found]:
    found: dict[str, _Found] = {}

    def note(version: str, text: str, need: Need | None, problem: str | None) -> None:
        if text in found or len(found) < _MAX_LISTED:
            project = None if need is None else need.name
            found.setdefault(text, _Found(project, need, problem)).releases[version] = None

    for version, of_release in lines.items():
        for requirements in _read(facts, name, of_release):
            messages = {problem.line: problem.message for problem in requirements.problems}
            for need in requirements.needs:
                note(version, need.text, need, messages.get(need.text))
            for problem in requirements.problems:
                note(version, problem.line, None, problem.message)
    return found


def _read(facts: ClosureFacts, name: NormalizedName, lines: Sequence[RequirementLines]) -> Iterator[Requirements]:
    """Yield what a release requires, as the resolution reads it."""
    for one in lines:
        yield read_requirements(one, name)
        if one.build_requires:
            yield read_build_requirements(one)
    if added := facts.policy.dependencies.additions.get(name):
        yield read_requirements(RequirementLines(added), name)


def _requirement(
    facts: ClosureFacts, text: str, found: _Found, unmet: Unmet | None, published: Collection[NormalizedName]
) -> Requirement:
    if unmet is not None:
        state = RequirementState.UNMET
    elif found.need is not None and _is_here(facts, found.need, published):
        state = RequirementState.HERE
    else:
        state = RequirementState.UNNEEDED
    return Requirement(
        requirement=text,
        project=found.project,
        releases=list(found.releases),
        state=state,
        machines=[] if unmet is None else list(unmet.machines),
        message=found.problem if unmet is None else unmet.message,
    )


def _is_here(facts: ClosureFacts, need: Need, published: Collection[NormalizedName]) -> bool:
    """Return whether the mirror keeps a release that satisfies a requirement."""
    if need.name not in published:
        return False
    return any(need.specifier.contains(version, prereleases=True) for version in facts.policy.kept_chains(need.name))
