"""One line of ``projects`` in ``mirror.toml``."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from pydantic import Field, ValidationError, field_validator

from mirror_contract import PolicyProblem, parse_project_name
from mirror_syncer.config.policy.selection import Selection, VersionRule
from mirror_syncer.config.toml.document import Count, Line, TomlDocument
from mirror_syncer.config.toml.values import shown
from mirror_syncer.model.need import Need

MAX_NAME_LENGTH = 2_000
LATEST = "a whole number of releases, 1 or more; omit it to keep all"


def parse_requirement(text: str) -> tuple[NormalizedName, Requirement]:
    """
    Return the project that a line names, and the whole line.

    Raises:
        ValueError: it is no name with optional versions.
    """
    try:
        requirement = Requirement(text)
        return parse_project_name(requirement.name), requirement
    except (InvalidRequirement, ValueError) as error:
        raise ValueError(f"must be a name with optional versions ({str(error).splitlines()[0]})") from None
    except RecursionError:  # hundreds of brackets in a marker
        raise ValueError("must be a name with optional versions") from None


def parse_root(text: str) -> Need:
    """
    Return a requirement from which dependencies are followed: a name with optional extras, versions and a marker.

    Raises:
        ValueError: it is none, or nothing can satisfy it.
    """
    name, requirement = parse_requirement(text)
    if requirement.url:
        alone = shown(f"{requirement.name}{requirement.specifier}")
        raise ValueError(f"files come from the upstream alone, not from a URL; write {alone}")
    if SpecifierSet(str(requirement.specifier), prereleases=True).is_unsatisfiable():
        raise ValueError("no version can match: its conditions contradict each other")
    extras = frozenset(map(canonicalize_name, requirement.extras))
    return Need(name, extras, SpecifierSet(str(requirement.specifier)), requirement.marker, text)


class ProjectLine(Line):
    """One line of ``projects``: ``"numpy>=2"``, or ``{ name = "numpy>=2", latest = 5 }``."""

    KEY = "name"

    name: str = Field(
        max_length=MAX_NAME_LENGTH,
        description='a name with optional versions, as in "six" or { name = "six>=1", latest = 5 }',
    )
    latest: Count | None = Field(default=None, description=LATEST)

    @field_validator("name")
    @classmethod
    def _is_requirement(cls, value: str) -> str:
        parse_root(value)
        return value

    @cached_property
    def root(self) -> Need:
        """The line as a requirement from which dependencies are followed."""
        return parse_root(self.name)

    @property
    def shown(self) -> str:
        """The line's text as messages quote it."""
        return shown(self.name)

    @property
    def only_followed(self) -> str | None:
        """Why the line needs dependencies to be followed, with the remedy; None if it does not."""
        root = self.root
        if not root.marker and not root.extras:
            return None
        alone = shown(f"{Requirement(self.name).name}{root.specifier}")
        if root.marker:
            return f"a marker has no effect, since files of all platforms are mirrored; write {alone}"
        return (
            f"dependencies are not followed, so an extra has no effect; write {alone}, "
            "and a line for each project that the extra needs"
        )

    def __str__(self) -> str:
        return self.name if self.latest is None else f"{self.name}, latest = {self.latest}"


def version_rule(line: ProjectLine, *, latest: int | None, prereleases: bool | None) -> VersionRule:
    """
    Return the releases that a line selects.

    Args:
        latest, prereleases: what holds for lines that do not say it themselves.
    """
    specifier = line.root.specifier
    named = bool(specifier.prereleases)  # ">=2.0rc1" asks for pre-releases
    return VersionRule(specifier, line.latest or latest, True if named else prereleases)


def usual_prereleases(prereleases: bool | None, *, everything: bool) -> bool | None:  # noqa: FBT001 - a key's value
    """Return whether lines that do not name pre-releases select them, by ``[files] prereleases``."""
    return False if prereleases is None and not everything else prereleases


def select(
    lines: Iterable[ProjectLine], *, latest: int | None, prereleases: bool | None
) -> dict[NormalizedName, Selection]:
    """
    Return what the lines select, by project.

    Args:
        latest, prereleases: what holds for lines that do not say it themselves.
    """
    selections: dict[NormalizedName, Selection] = {}
    seen = set[tuple[Need, VersionRule]]()
    for line in lines:
        root, rule = line.root, version_rule(line, latest=latest, prereleases=prereleases)
        before = selections.get(root.name)
        same = replace(root, text=""), rule
        if before is None:
            selections[root.name] = Selection(str(line), (rule,))
        elif same not in seen:
            rules = before.rules if rule in before.rules else (*before.rules, rule)
            selections[root.name] = Selection(f"{before.line} or {line}", rules)
        seen.add(same)
    return selections


def roots_of(lines: Iterable[ProjectLine]) -> tuple[Need, ...]:
    """Return the lines as requirements, each once however it is spelt."""
    roots: dict[Need, Need] = {}
    for line in lines:
        roots.setdefault(replace(line.root, text=""), line.root)
    return tuple(roots.values())


def contradictions(document: TomlDocument) -> Iterator[PolicyProblem]:
    """Yield what is wrong with lines that are right by themselves: the same one with another ``latest`` of its own."""
    mirror: Any = document.tables.get("mirror")
    lines: Any = mirror.get("projects") if isinstance(mirror, dict) else None
    first: dict[tuple[NormalizedName, SpecifierSet], tuple[int, int | None]] = {}
    for number, value in enumerate(lines if isinstance(lines, list) else ()):
        try:
            line = ProjectLine.model_validate(value)
        except ValidationError:
            continue  # reported already
        if line.latest is None:
            continue
        place, latest = first.setdefault((line.root.name, line.root.specifier), (number, line.latest))
        if latest != line.latest:
            other = document.problem(("mirror", "projects", place), "").line
            message = f"{line.shown}: latest is {line.latest} here and {latest} in line {other}; keep one of them"
            yield document.problem(("mirror", "projects", number), f"mirror.projects: {message}")
