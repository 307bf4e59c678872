"""What the API says beyond the contract's words: problems, pages of lists, filters, readiness."""

import re
from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from mirror_contract import Project, ProjectState, Run, RunKind, RunState, Trigger

Item = TypeVar("Item")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?", re.ASCII | re.IGNORECASE)


class Invalid(BaseModel):
    """One thing that is wrong with a request."""

    pointer: str = Field(
        description="In the body a JSON Pointer (RFC 6901), elsewhere the place and the name.",
        examples=["#/projects/0", "query/limit"],
    )
    detail: str


class Problem(BaseModel):
    """Why a call could not be answered as wished, and what to do (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"  # RFC 9457, 4.2.1: the status says it all
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str | None = None
    errors: list[Invalid] | None = Field(default=None, description="Only with 422: all that is wrong.")


class Check(BaseModel):
    """One thing that readiness hangs on."""

    name: str
    ok: bool
    detail: str = Field(description="What was seen and, where it is wrong, what to do.")


class Readiness(BaseModel):
    """All checks, in order."""

    checks: list[Check]


def _moment(value: object) -> object:
    """Refuse what pydantic would take for a number of seconds, and say what it would not: that a + became a space."""
    if isinstance(value, str) and not _MOMENT.fullmatch(value):
        raise ValueError("must be a moment, as in 2026-11-22T16:12:33Z; in a query a + is written %2B")
    return value


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except OverflowError:  # of the year 1 or 9999, in a zone where it is another
        raise ValueError("must be a moment of our times") from None


class Page(BaseModel, Generic[Item]):
    """A part of a list."""

    items: list[Item]
    next: str | None = Field(
        default=None, description="The last item here, to be sent as `after` for the next part; null at the end."
    )


class RunPage(Page[Run]):
    """Runs, newest first."""


class ProjectPage(Page[Project]):
    """Projects by name, without their files."""


class Filter(BaseModel):
    """Which part of a list; what is misspelt is refused rather than ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(default=50, ge=1, le=200)
    after: str | None = Field(
        default=None,
        min_length=1,
        max_length=512,
        description="`next` of the part before, with the same filters.",
        examples=["six"],
    )


class RunFilter(Filter):
    """Which runs."""

    state: list[RunState] = Field(default=[], description="Any of these.")
    kind: RunKind | None = None
    trigger: list[Trigger] = Field(default=[], description="Any of these.")
    since: Annotated[datetime, BeforeValidator(_moment), AfterValidator(_in_utc)] | None = Field(
        default=None,
        description="Asked for then or later; without an offset it is UTC, and a day is its begin.",
        examples=["2026-11-22T16:12:33Z", "2026-11-22"],
    )


class ProjectFilter(Filter):
    """Which projects."""

    state: list[ProjectState] = Field(default=[], description="Any of these.")
    q: str | None = Field(
        default=None,
        min_length=1,
        max_length=214,
        description="What the name begins with, in any spelling.",
        examples=["zope.i"],
    )
