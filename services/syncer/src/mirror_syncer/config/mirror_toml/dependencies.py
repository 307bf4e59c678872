"""The tables ``[dependencies]`` and ``[limits]`` of ``mirror.toml``."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from packaging.utils import NormalizedName
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, field_validator

from mirror_contract import PolicyProblem, parse_project_name
from mirror_syncer.config.locks.patterns import parse_lock_pattern
from mirror_syncer.config.mirror_toml.project_line import MAX_NAME_LENGTH, ProjectLine, parse_root
from mirror_syncer.config.policy.closure import Dependencies, Limits
from mirror_syncer.config.policy.policy import Scope
from mirror_syncer.config.toml.document import Count, Size, Table, TomlDocument, quoted
from mirror_syncer.model.need import Need

_FOLLOW = "follow"


def _unmet(value: object) -> bool:
    if value not in ("report", "withhold"):
        raise ValueError('must be "report" or "withhold"')
    return value == "withhold"


def _requirement(text: str) -> str:
    if len(text) > MAX_NAME_LENGTH:
        raise ValueError(f"must have at most {MAX_NAME_LENGTH:,} characters")
    parse_root(text)
    return text


def _group(name: str) -> str:
    if not name.strip() or not name.isprintable():
        raise ValueError("must be a name for the group")
    return name


def _project(name: str) -> str:
    try:
        parse_project_name(name)
    except ValueError:
        raise ValueError("must be a project's name, without versions") from None
    return name


Requirements = list[Annotated[str, AfterValidator(_requirement), quoted("django[argon2]>=5")]]


class DependenciesTable(Table):
    """``[dependencies]``: what the lines need, what that needs, and what lock files pin."""

    follow: bool | None = Field(default=None, description="true or false, without quotes")
    latest: Count = Field(default=1, description="a whole number of releases, 1 or more")
    groups: dict[Annotated[str, AfterValidator(_group)], Requirements] = Field(
        default={}, description='a list of requirements for each name, as in { web = ["django", "gunicorn>=22"] }'
    )
    unmet: Annotated[bool, BeforeValidator(_unmet)] = False
    add: dict[Annotated[str, AfterValidator(_project)], Requirements] = Field(
        default={}, description='a list of requirements for each project, as in { example = ["numpy>=2"] }'
    )
    locks: list[Annotated[str, AfterValidator(parse_lock_pattern), quoted("locks/*.lock")]] = Field(
        default=[], description='a list of file patterns, as in ["locks/*.lock"]'
    )

    @field_validator("groups")
    @classmethod
    def _has_requirements(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        if empty := next((name for name, items in value.items() if not items), None):
            raise ValueError(f"group {empty} names no requirement")
        return value

    def dependencies(self, scope: Scope) -> Dependencies:
        """Return the table as the policy's value."""
        additions = dict[NormalizedName, tuple[str, ...]]()
        for name, items in self.add.items():
            project = parse_project_name(name)
            additions[project] = tuple(dict.fromkeys((*additions.get(project, ()), *items)))
        return Dependencies(
            follow=scope is Scope.SELECTED if self.follow is None else self.follow,
            latest=self.latest,
            groups={name: tuple(items) for name, items in self.groups.items()},
            withhold_unmet=self.unmet,
            additions=additions,
        )

    @property
    def parsed_groups(self) -> Mapping[str, tuple[Need, ...]]:
        """The groups with their requirements parsed."""
        return {name: tuple(dict.fromkeys(map(parse_root, items))) for name, items in self.groups.items()}


class LimitsTable(Table):
    """``[limits]``: what a sync must not exceed."""

    projects: Count | None = Field(default=None, description="a whole number of projects, 1 or more")
    size: Size | None = None

    @property
    def limits(self) -> Limits:
        """The table as the policy's value."""
        return Limits(self.projects, self.size)


def follow_problems(document: TomlDocument) -> Iterator[PolicyProblem]:
    """Yield what does not fit to whether dependencies are followed: ``follow`` itself, lines with extras or markers."""
    mirror, dependencies = _table(document, "mirror"), _table(document, "dependencies")
    everything, follow = mirror.get("scope") == Scope.EVERYTHING, dependencies.get(_FOLLOW)
    if everything and follow is True:
        yield document.problem(
            ("dependencies", _FOLLOW),
            'dependencies.follow = true: scope = "everything" mirrors dependencies like all other projects; '
            'omit follow, or set scope = "selected"',
        )
    if follow is True or (follow is not False and not everything):
        return
    lines: Any = mirror.get("projects")
    for number, value in enumerate(lines if isinstance(lines, list) else ()):
        try:
            line = ProjectLine.model_validate(value)
        except ValidationError:
            continue  # reported already
        if (reason := line.only_followed) is not None:
            yield document.problem(("mirror", "projects", number), f"mirror.projects: {line.shown}: {reason}")


def _table(document: TomlDocument, name: str) -> Mapping[str, Any]:
    table = document.tables.get(name)
    return table if isinstance(table, dict) else {}
