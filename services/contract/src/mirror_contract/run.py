"""A run: a labelled set of work, from the wish for it to its outcome."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeInt, model_validator
from pydantic_core import PydanticKnownError

from mirror_contract.names import ProjectName, parse_project_name

MAX_NAMES = 10_000
"""How many projects a run may name."""
MAX_FAULTS = 20
"""How many of a request's faults are told; who mends these hears of the next."""


class RunKind(StrEnum):
    """What a run does."""

    SYNC = "sync"  # bring projects to what upstream has
    VERIFY = "verify"  # hash published files
    COLLECT = "collect"  # remove files that no page names any more, once their grace is over, or now


class RunState(StrEnum):
    """Where a run is: ``queued → running → succeeded | incomplete | failed | cancelled``, or cancelled while queued."""

    QUEUED = "queued"
    RUNNING = "running"  # a restart of the syncer returns it to the queue
    SUCCEEDED = "succeeded"
    INCOMPLETE = "incomplete"  # done, but something failed or was withheld
    FAILED = "failed"  # could not be done: upstream down, disk full or absent
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether it is final."""
        return self not in (RunState.QUEUED, RunState.RUNNING)


class Trigger(StrEnum):
    """Who wished for a run."""

    API = "api"
    CLI = "cli"
    SCHEDULE = "schedule"
    START = "start"


def _bounded(names: object) -> object:
    """
    Refuse too many names before any is looked at, and look at no more once enough are wrong to tell.

    A megabyte has 350,000 names that are none: to find and tell all of their faults took seconds and 22 MB.
    """
    if not isinstance(names, list | tuple):
        return names
    if len(names) > MAX_NAMES:
        raise PydanticKnownError(
            "too_long", {"field_type": "Tuple", "max_length": MAX_NAMES, "actual_length": len(names)}
        )
    wrong = 0
    for number, name in enumerate(names, 1):
        try:
            wrong += not (isinstance(name, str) and parse_project_name(name))
        except ValueError:
            wrong += 1
        if wrong == MAX_FAULTS:
            return names[:number]
    return names


class RunRequest(BaseModel):
    """What a run is asked to do. Two equal requests are the same wish."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: RunKind
    projects: Annotated[tuple[ProjectName, ...] | None, BeforeValidator(_bounded)] = Field(
        default=None, min_length=1, max_length=MAX_NAMES, description="These alone; the whole mirror where absent."
    )
    force: bool = Field(default=False, description="Forget serials and validators; check that files are there.")
    repair: bool = Field(default=False, description="Fetch again what is wrong or missing (kind verify).")
    upstream: bool = Field(
        default=False, description="Also compare each page with what upstream promises (kind verify)."
    )
    allow_removals: NonNegativeInt | None = Field(
        default=None, description="Remove up to so many projects in this run, whatever the guard says."
    )
    now: bool = Field(
        default=False, description="Remove at once what still waits for the end of its grace (kind collect)."
    )
    confirm: bool = Field(default=False, description="Yes, all of it (force with scope everything).")

    @model_validator(mode="before")
    @classmethod
    def _has_few_options(cls, value: object) -> object:
        if isinstance(value, dict) and len(value) > len(cls.model_fields) + MAX_FAULTS:
            raise ValueError(f"{len(value):,} options are too many; there are {', '.join(cls.model_fields)}")
        return value

    @model_validator(mode="after")
    def _options_belong_to_the_kind(self) -> Self:
        options = {"force": RunKind.SYNC, "allow_removals": RunKind.SYNC, "confirm": RunKind.SYNC}
        options |= {"repair": RunKind.VERIFY, "upstream": RunKind.VERIFY, "now": RunKind.COLLECT}
        for option, kind in options.items():
            if getattr(self, option) not in (False, None) and self.kind is not kind:
                raise ValueError(f"'{option}' goes with kind '{kind}', not with '{self.kind}'")
        if self.kind is RunKind.COLLECT and self.projects is not None:
            raise ValueError("'projects' goes with kind 'sync' or 'verify', not with 'collect'")
        return self


class Counts(BaseModel):
    """How far a run is. What is planned and not done is still to do; what failed is done."""

    projects_planned: int = 0
    projects_done: int = 0
    projects_changed: int = 0
    projects_partial: int = 0
    projects_failed: int = 0
    projects_withdrawn: int = 0
    projects_withheld: int = Field(default=0, description="Removals that the deletion guard holds back.")
    files_fetched: int = 0
    files_failed: int = 0
    files_removed: int = 0
    bytes_removed: int = Field(default=0, description="What came free on the disk.")
    files_verified: int = 0
    files_damaged: int = Field(default=0, description="Published files and pages found missing or wrong.")
    files_orphaned: int = Field(default=0, description="Files that no page names and nobody knows (a whole verify).")
    bytes_fetched: int = 0
    bytes_verified: int = 0


class Failure(BaseModel):
    """One thing that went wrong, and what it concerns."""

    project: str | None = Field(default=None, description="Normalized name; absent where it concerns the whole run.")
    file: str | None = Field(default=None, description="The file, where only that one failed.")
    reason: Annotated[str, BeforeValidator(lambda text: text[:1000])] = Field(description="1,000 characters at most.")


class Run(BaseModel):
    """A run as it is now."""

    id: str = Field(description="Sorts by time.", examples=["20261122T161233042-3fa9c1"])
    request: RunRequest
    trigger: Trigger
    state: RunState
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    counts: Counts = Counts()
    failures: list[Failure] = Field(default=[], description="The first hundred; counts hold them all.")
    message: str | None = Field(default=None, description="What happened, and what to do about it.")
