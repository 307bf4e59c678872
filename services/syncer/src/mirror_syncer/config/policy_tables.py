"""``mirror.toml`` as pydantic models, one a table, and the policy that they make."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, field_validator
from pydantic import model_validator as validator

from mirror_contract import PolicyProblem, parse_project_name
from mirror_syncer.config.policy import Policy, Removal, Scope, Serve
from mirror_syncer.config.selection import Selection, VersionRule
from mirror_syncer.config.toml_document import Count, DocumentError, Duration, Share, Table, TomlDocument, shown

_MAX_NAME_LENGTH = 2_000
_LATEST = "a whole number of releases, 1 or more; omit it to keep all"


def _scope(value: object) -> Scope:
    if value not in list(Scope):
        raise ValueError(f"must be one of {', '.join(shown(str(scope)) for scope in Scope)}")
    return Scope(str(value))


class ProjectLine(Table):
    """One line of ``projects``: ``"numpy>=2"``, or ``{ name = "numpy>=2", latest = 5 }``."""

    name: str = Field(
        max_length=_MAX_NAME_LENGTH,
        description='a name with optional versions, as in "six" or { name = "six>=1", latest = 5 }',
    )
    latest: Count | None = Field(default=None, description=_LATEST)

    @validator(mode="before")
    @classmethod
    def _is_name_alone(cls, value: object) -> object:
        return value if isinstance(value, dict) else {"name": value}

    @field_validator("name")
    @classmethod
    def _is_requirement(cls, value: str) -> str:
        try:
            requirement = Requirement(value)
            parse_project_name(requirement.name)
        except (InvalidRequirement, ValueError) as error:
            told = str(error).splitlines()[0]
            raise ValueError(f"must be a name with optional versions ({told})") from None
        alone = shown(f"{requirement.name}{requirement.specifier}")
        if requirement.url:
            raise ValueError(f"files come from the upstream alone, not from a URL; write {alone}")
        if requirement.marker:
            raise ValueError(f"a marker has no effect, since files of all platforms are mirrored; write {alone}")
        if requirement.extras:
            raise ValueError(
                f"dependencies are not followed, so an extra has no effect; write {alone}, "
                "and a line for each project that the extra needs"
            )
        if SpecifierSet(str(requirement.specifier), prereleases=True).is_unsatisfiable():
            raise ValueError("no version can match: its conditions contradict each other")
        return value

    @property
    def project(self) -> NormalizedName:
        """The project's name."""
        return parse_project_name(Requirement(self.name).name)

    @property
    def specifier(self) -> SpecifierSet:
        """The versions that the line admits."""
        return SpecifierSet(str(Requirement(self.name).specifier))

    def __str__(self) -> str:
        return self.name if self.latest is None else f"{self.name}, latest = {self.latest}"


class _Mirror(Table):
    scope: Annotated[Scope, BeforeValidator(_scope)] = Scope.SELECTED
    latest: Count | None = Field(default=None, description=_LATEST)
    projects: list[ProjectLine] = Field(default=[], validate_default=True, description="a list of names")

    @field_validator("projects")
    @classmethod
    def _names_a_project(cls, value: list[ProjectLine], info: ValidationInfo) -> list[ProjectLine]:
        if not value and info.data.get("scope") is Scope.SELECTED:
            raise ValueError('must name a project, as in projects = ["requests", "idna>=3"]')
        return value


class _Removal(Table):
    grace: Duration | None = None
    guard: Share | None = None


class _Serve(Table):
    legacy_json: bool = Field(default=False, description="true or false, without quotes")


class _Document(Table):
    mirror: _Mirror = Field(default_factory=dict, validate_default=True)
    removal: _Removal = _Removal()
    serve: _Serve = _Serve()


def parse_policy(content: bytes) -> Policy:
    """
    Read and check the whole document.

    Raises:
        DocumentError: it is no TOML, or any of its keys is unknown or wrong; all of them are named.
    """
    document = TomlDocument(content, name="mirror.toml")
    tables, problems = document.read(_Document)
    problems += _contradictions(document)
    if tables is None or problems:
        raise DocumentError(problems)
    mirror = tables.mirror
    return Policy(
        scope=mirror.scope,
        projects=_selections(mirror.projects, latest=mirror.latest),
        latest=mirror.latest,
        removal=Removal(**tables.removal.model_dump(exclude_none=True)),
        serve=Serve(**tables.serve.model_dump()),
    )


def _selections(lines: Iterable[ProjectLine], *, latest: int | None) -> dict[NormalizedName, Selection]:
    selections: dict[NormalizedName, Selection] = {}
    for line in lines:
        rule = VersionRule(line.specifier, line.latest or latest)
        before = selections.get(line.project)
        if before is None:
            selections[line.project] = Selection(str(line), (rule,))
        elif rule not in before.rules:
            selections[line.project] = Selection(f"{before.line} or {line}", (*before.rules, rule))
    return selections


def _contradictions(document: TomlDocument) -> Iterator[PolicyProblem]:
    """Yield what is wrong with lines that are right by themselves: the same one with another ``latest`` of its own."""
    mirror: Any = document.tables.get("mirror")
    lines: Any = mirror.get("projects") if isinstance(mirror, dict) else None
    first: dict[tuple[NormalizedName, SpecifierSet], tuple[int, int | None]] = {}
    for number, value in enumerate(lines if isinstance(lines, list) else ()):
        try:
            line = ProjectLine.model_validate(value)
        except ValidationError:
            continue  # told already
        if line.latest is None:
            continue
        place, latest = first.setdefault((line.project, line.specifier), (number, line.latest))
        if latest != line.latest:
            other = document.problem(("mirror", "projects", place), "").line
            told = f"{shown(line.name)}: latest is {line.latest} here and {latest} in line {other}; keep one of them"
            yield document.problem(("mirror", "projects", number), f"mirror.projects: {told}")
