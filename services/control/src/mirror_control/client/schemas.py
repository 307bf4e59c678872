"""The API's types beyond the contract: problems, list pages, filters and readiness."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from mirror_contract import (
    Absence,
    HeldFile,
    Project,
    ProjectName,
    ProjectSort,
    ProjectState,
    Release,
    Run,
    RunKind,
    RunState,
    SelectedLine,
    Trigger,
    UnmetReason,
    UnmetRequirement,
)

Item = TypeVar("Item")
MAX_NAMES = 100
"""The most projects that a list can be restricted to."""
_TIME_PATTERN = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?", re.ASCII | re.IGNORECASE
)


class FieldError(BaseModel):
    """One error in a request."""

    pointer: str = Field(
        description="A JSON Pointer into the body (RFC 6901); otherwise location and name of the parameter.",
        examples=["#/projects/0", "query/limit"],
    )
    detail: str


class Problem(BaseModel):
    """An error response (RFC 9457): what failed, and what to do."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"  # RFC 9457, 4.2.1: the status describes the problem sufficiently
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str | None = None
    errors: list[FieldError] | None = Field(default=None, description="Only with 422: the first twenty errors.")


class Check(BaseModel):
    """A readiness check."""

    name: str
    ok: bool
    detail: str = Field(description="The result; for a failed check, also the remedy.")


class Readiness(BaseModel):
    """The results of all readiness checks."""

    checks: list[Check]


def _check_time(value: object) -> object:
    """Refuse numbers, which pydantic would read as seconds, and explain that an unescaped + arrives as a space."""
    if isinstance(value, str) and not _TIME_PATTERN.fullmatch(value):
        raise ValueError("must be a time such as 2026-11-22T16:12:33Z; write + as %2B in a query")
    return value


def _to_utc(time: datetime) -> datetime:
    try:
        return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except OverflowError:  # year 1 or 9999, which another time zone moves out of range
        raise ValueError("must be between the years 2 and 9998") from None


class Page(BaseModel, Generic[Item]):
    """A page of a list."""

    items: list[Item]
    next: str | None = Field(
        default=None, description="Send this as `after` to get the next page; null on the last page."
    )


class RunPage(Page[Run]):
    """A page of runs, newest first."""


class ProjectPage(Page[Project]):
    """A page of projects, without their files."""

    total: int | None = Field(
        default=None, description="How many projects match; null if the syncer did not count them, because many do."
    )
    absent: dict[str, Absence] | None = Field(
        default=None, description="Present if the request named projects: those that are not here, and why."
    )


class HeldPage(Page[HeldFile]):
    """A page of files that clients cannot download for now; the next to be published come first."""


class UnmetPage(Page[UnmetRequirement]):
    """A page of requirements that are not met; lines and groups of mirror.toml come first, then projects by name."""


class ReleasePage(Page[Release]):
    """All releases in force, oldest first; `next` is null."""


class SelectionPage(Page[SelectedLine]):
    """A page of lines: those of mirror.toml in their order, then the added ones by project."""


class Filter(BaseModel):
    """The page of a list. Unknown parameters are refused, so that a typo is noticed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(default=50, ge=1, le=200)
    after: str | None = Field(
        default=None,
        min_length=1,
        max_length=512,
        description="`next` of the previous page; repeat the same filters.",
        examples=["six"],
    )


class RunFilter(Filter):
    """A filter for runs."""

    state: list[RunState] = Field(default=[], description="Any of these values.")
    kind: RunKind | None = None
    trigger: list[Trigger] = Field(default=[], description="Any of these values.")
    since: Annotated[datetime, BeforeValidator(_check_time), AfterValidator(_to_utc)] | None = Field(
        default=None,
        description="Created at or after this time; UTC unless it has an offset; a day means its start.",
        examples=["2026-11-22T16:12:33Z", "2026-11-22"],
    )
    project: ProjectName | None = Field(
        default=None,
        description="Only those of the last 1,000 runs that name it: in the request, the first hundred failures or the "
        "first hundred changes.",
        examples=["django"],
    )


class ProjectFilter(Filter):
    """A filter for projects."""

    name: list[ProjectName] = Field(
        default=[],
        max_length=MAX_NAMES,
        description="Only these projects, in this order; `q`, `sort` and `after` are then ignored.",
    )
    state: list[ProjectState] = Field(default=[], description="Any of these values.")
    q: str | None = Field(
        default=None,
        min_length=1,
        max_length=214,
        description="Part of the name, in any spelling.",
        examples=["dateutil"],
    )
    sort: ProjectSort | None = Field(
        default=None,
        description="match: the name itself, then names that begin with `q`, then those with a word that does, then "
        "others; shorter names first. size, files: the largest first. changed: the last changed page first. Without "
        "`sort`: match if there is a `q`, otherwise name.",
        examples=["size"],
    )


class HeldDecision(StrEnum):
    """Why clients cannot download a file for now."""

    HOLD = "hold"  # it waits
    BLOCK = "block"  # mirror.toml or an advisory blocks it


class HeldFilter(Filter):
    """A filter for held and blocked files."""

    project: ProjectName | None = Field(
        default=None, description="Only files of this project; any spelling of its name.", examples=["django"]
    )
    decision: list[HeldDecision] = Field(default=[], description="Any of these values.")


class UnmetFilter(Filter):
    """A filter for unmet requirements."""

    project: ProjectName | None = Field(
        default=None,
        description="Only requirements of this project's releases, or lines that name it; any spelling.",
        examples=["django"],
    )
    reason: list[UnmetReason] = Field(default=[], description="Any of these values.")
