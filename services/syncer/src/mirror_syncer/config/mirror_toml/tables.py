"""``mirror.toml`` as pydantic models, one a table, and the policy that they make."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar

from packaging.utils import NormalizedName
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from mirror_contract.distributions import DistributionType
from mirror_syncer.config.advisories import BlockingRules, Location, Severity
from mirror_syncer.config.advisories.location import STALE_AFTER
from mirror_syncer.config.machines.machines import Machines
from mirror_syncer.config.mirror_toml.dependencies import DependenciesTable, LimitsTable, follow_problems
from mirror_syncer.config.mirror_toml.project_line import (
    LATEST,
    ProjectLine,
    contradictions,
    roots_of,
    select,
    usual_prereleases,
)
from mirror_syncer.config.mirror_toml.rule_lines import BlockLine, ExemptLine, is_pattern
from mirror_syncer.config.policy.age import Age
from mirror_syncer.config.policy.block import Block, BlockedNames
from mirror_syncer.config.policy.file_rules import FileRules
from mirror_syncer.config.policy.patterns import NamePatterns, compile_pattern
from mirror_syncer.config.policy.policy import Policy, Removal, Scope, Serve
from mirror_syncer.config.policy.project_policy import Rules
from mirror_syncer.config.toml.document import (
    Count,
    DocumentError,
    Duration,
    Moment,
    Share,
    Size,
    Table,
    TomlDocument,
    quoted,
)
from mirror_syncer.config.toml.values import shown
from mirror_syncer.errors import FileRejectedError
from mirror_syncer.model.names import Sha256, parse_sha256

_SEVERITIES = ("low", "medium", "high", "critical")
_BOOLEAN = "true or false, without quotes"
T = TypeVar("T")


def _scope(value: object) -> Scope:
    if value not in list(Scope):
        raise ValueError(f"must be one of {', '.join(shown(str(scope)) for scope in Scope)}")
    return Scope(str(value))


def _kind(value: object) -> DistributionType:
    if value not in list(DistributionType):
        raise ValueError(f"must be one of {', '.join(shown(str(kind)) for kind in DistributionType)}")
    return DistributionType(str(value))


def _unknown_age(value: object) -> bool:
    if value not in ("hold", "publish"):
        raise ValueError('must be "hold" or "publish"')
    return value == "hold"


def _pattern(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError('must be a name, a glob such as "acme-*", or a regular expression such as "/^acme-/"')  # noqa: TRY004 - pydantic reads ValueError
    compile_pattern(value)
    return value


def _hash(value: object) -> Sha256:
    algorithm, _, digest = value.partition(":") if isinstance(value, str) else ("", "", "")
    try:
        return parse_sha256(digest if algorithm == "sha256" else "")
    except FileRejectedError:
        raise ValueError('must be "sha256:" and 64 hexadecimal digits') from None


Pattern = Annotated[str, BeforeValidator(_pattern)]


class _Mirror(Table):
    scope: Annotated[Scope, BeforeValidator(_scope)] = Scope.SELECTED
    latest: Count | None = Field(default=None, description=LATEST)
    include: list[Pattern] = Field(default=[], description="a list of patterns for names")
    exclude: list[Pattern] = Field(default=[], description="a list of patterns for names")
    projects: list[ProjectLine] = Field(default=[], validate_default=True, description="a list of names")

    @field_validator("include", "exclude")
    @classmethod
    def _narrows_everything(cls, value: list[str], info: ValidationInfo) -> list[str]:
        if value and info.data.get("scope") is Scope.SELECTED:
            raise ValueError(f'{info.field_name} narrows scope = "everything"; with "selected", projects says it all')
        return value

    @field_validator("projects")
    @classmethod
    def _names_a_project(cls, value: list[ProjectLine], info: ValidationInfo) -> list[ProjectLine]:
        if not value and info.data.get("scope") is Scope.SELECTED:
            raise ValueError('must name a project, as in projects = ["requests", "idna>=3"]')
        return value


def _python(value: str) -> str:
    Machines.parse(pythons=[value])
    return value


def _platform(value: str) -> str:
    Machines.parse(platforms=[value])
    return value


class _Machines(Table):
    pythons: list[Annotated[str, AfterValidator(_python), quoted("3.11")]] = Field(
        default=[], description='a list such as ["3.11", "3.13t"]'
    )
    platforms: list[Annotated[str, AfterValidator(_platform), quoted("linux-x86_64")]] = Field(
        default=[], description='a list such as ["linux-x86_64", "windows-amd64"]'
    )
    sdists: str | None = Field(default=None, description='"where-needed", "all" or "none"')

    @field_validator("sdists")
    @classmethod
    def _is_choice(cls, value: str | None) -> str | None:
        Machines.parse(sdists=value)
        return value


class _Files(Table):
    prereleases: bool | None = Field(default=None, description=_BOOLEAN)
    yanked: bool = Field(default=True, description=_BOOLEAN)
    kinds: list[Annotated[DistributionType, BeforeValidator(_kind)]] = Field(
        default=list(DistributionType), min_length=1, description='a list such as ["wheel", "sdist"]'
    )
    max_file_size: Size | None = None
    max_project_size: Size | None = None
    uploaded_after: Moment | None = None
    uploaded_before: Moment | None = None

    @field_validator("uploaded_before")
    @classmethod
    def _leaves_a_time(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        after = info.data.get("uploaded_after")
        if value is not None and after is not None and value <= after:
            raise ValueError("is not later than uploaded_after, so no file is wanted")
        return value


class _Age(Table):
    min: Duration | None = None
    exempt: list[ExemptLine] = Field(default=[], description="a list of names, or of tables with allow")
    not_after: Moment | None = None
    unknown: Annotated[bool, BeforeValidator(_unknown_age)] = True
    locked: bool = Field(default=True, description=_BOOLEAN)


class _Block(Table):
    projects: list[BlockLine] = Field(default=[], description="a list of names, or of tables with name")
    hashes: list[Annotated[Sha256, BeforeValidator(_hash)]] = Field(
        default=[], max_length=10_000, description='a list of at most 10,000 hashes, "sha256:…"'
    )


def _severity(value: object) -> Severity | None:
    if value == "off":
        return None
    if value not in _SEVERITIES:
        raise ValueError(f'must be "off", {", ".join(map(shown, _SEVERITIES))}')
    return Severity.parse(str(value))


def _unrated(value: object) -> bool:
    if value not in ("ignore", "block"):
        raise ValueError('must be "ignore" or "block"')
    return value == "block"


class _Advisories(Table):
    source: str | None = Field(
        default=None, min_length=1, description='a directory, a file or a URL, as in "advisories"'
    )
    severity: Annotated[Severity | None, BeforeValidator(_severity)] = None
    unrated: Annotated[bool, BeforeValidator(_unrated)] = False
    fixes: bool = Field(default=False, description=_BOOLEAN)
    ignore: list[Annotated[str, quoted("MAL-2026-4750")]] = Field(
        default=[], description='a list of ids, as in ["MAL-2026-4750"]'
    )
    stale_after: Duration = STALE_AFTER

    @field_validator("source")
    @classmethod
    def _is_location(cls, value: str | None) -> str | None:
        Location.parse(value, beside=Path("mirror.toml"))
        return value


class _Removal(Table):
    grace: Duration | None = None
    guard: Share | None = None
    superseded: Duration = timedelta(days=90)


class _Serve(Table):
    legacy_json: bool = Field(default=False, description=_BOOLEAN)
    osv: bool = Field(default=False, description=_BOOLEAN)


class Document(Table):
    """All tables of ``mirror.toml``."""

    mirror: _Mirror = Field(default_factory=dict, validate_default=True)
    machines: _Machines = _Machines()
    files: _Files = _Files()
    age: _Age = _Age()
    block: _Block = _Block()
    advisories: _Advisories = _Advisories()
    dependencies: DependenciesTable = DependenciesTable()
    limits: LimitsTable = LimitsTable()
    removal: _Removal = _Removal()
    serve: _Serve = _Serve()


def parse_policy(content: bytes, *, path: Path = Path("mirror.toml")) -> Policy:
    """
    Read and check the whole document.

    Args:
        path: the document's; files that it names lie beside it.

    Raises:
        DocumentError: it is not TOML, or has unknown or wrong keys; the error names all of them.
    """
    document = TomlDocument(content, name="mirror.toml")
    tables, problems = document.read(Document)
    problems += (*contradictions(document), *follow_problems(document))
    if tables is None or problems:
        raise DocumentError(problems)
    mirror, files = tables.mirror, tables.files
    usual = usual_prereleases(files.prereleases, everything=mirror.scope is Scope.EVERYTHING)
    names, blocks = _blocks(tables.block.projects)
    removal = tables.removal.model_dump(exclude={"superseded"}, exclude_none=True)
    return Policy(
        scope=mirror.scope,
        projects=select(mirror.projects, latest=mirror.latest, prereleases=usual),
        latest=mirror.latest,
        include=NamePatterns(tuple(mirror.include)),
        exclude=NamePatterns(tuple(mirror.exclude)),
        rules=Rules(
            machines=Machines.parse(**tables.machines.model_dump()),
            files=FileRules(**{**files.model_dump(), "kinds": frozenset(files.kinds)}),
            age=_age(tables.age),
            hashes=frozenset(tables.block.hashes),
            superseded=tables.removal.superseded,
        ),
        exemptions=_by_project(one.exemption() for one in tables.age.exempt),
        blocked_names=names,
        blocks=blocks,
        locks=tuple(tables.dependencies.locks),
        dependencies=tables.dependencies.dependencies(mirror.scope),
        lines=roots_of(mirror.projects),
        groups=tables.dependencies.parsed_groups,
        limits=tables.limits.limits,
        advisory_location=Location.parse(tables.advisories.source, beside=path),
        advisories_stale_after=tables.advisories.stale_after,
        blocking=BlockingRules(
            severity=tables.advisories.severity,
            block_unrated=tables.advisories.unrated,
            ignore=frozenset(tables.advisories.ignore),
            fixes=tables.advisories.fixes,
        ),
        removal=Removal(**removal),
        serve=Serve(**tables.serve.model_dump()),
    )


def read_lines(content: bytes) -> list[ProjectLine]:
    """
    Return the lines of ``projects`` in a document, as they are written.

    Raises:
        DocumentError: as for ``parse_policy``.
    """
    tables, problems = TomlDocument(content, name="mirror.toml").read(Document)
    if tables is None:
        raise DocumentError(problems)
    return tables.mirror.projects


def _age(table: _Age) -> Age:
    age = Age() if table.min is None else Age(min=table.min)
    return Age(min=age.min, not_after=table.not_after, hold_unknown=table.unknown, locked=table.locked)


def _blocks(lines: Iterable[BlockLine]) -> tuple[BlockedNames, dict[NormalizedName, tuple[Block, ...]]]:
    """Return the projects that are blocked whole, and the versions that are blocked of others."""
    names: dict[NormalizedName, str] = {}
    patterns: dict[str, str] = {}
    versions: list[tuple[NormalizedName, Block]] = []
    for line in lines:
        if is_pattern(line.name):
            patterns.setdefault(line.name, line.reason)
            continue
        name, specifier = line.parse(line.name)
        if specifier:
            versions.append((name, Block(specifier, line.reason)))
        else:
            names.setdefault(name, line.reason)
    return BlockedNames(names, patterns), _by_project(versions)


def _by_project(pairs: Iterable[tuple[NormalizedName, T]]) -> dict[NormalizedName, tuple[T, ...]]:
    found: dict[NormalizedName, list[T]] = defaultdict(list)
    for name, one in pairs:
        found[name].append(one)
    return {name: tuple(ones) for name, ones in found.items()}
