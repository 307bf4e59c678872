"""Runs of the mirror: requests, states, counts and failures."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeInt, model_validator
from pydantic_core import PydanticKnownError

from mirror_contract.failure import Failure
from mirror_contract.names import parse_project_name
from mirror_contract.words import RunKind, RunState, Trigger

MAX_PROJECTS = 10_000
"""The most projects that a run may name."""
MAX_REPORTED_ERRORS = 20
"""The most errors that a response lists for one request."""
ProjectName = Annotated[str, AfterValidator(parse_project_name)]
"""A pydantic field of this type parses a name and holds it normalized."""


def _limit_names(names: object) -> object:
    """
    Refuse too many names before parsing any, and stop parsing once the response has enough errors to list.

    A body of one megabyte can hold 350,000 invalid names; collecting an error for each took seconds and 22 MB.
    """
    if not isinstance(names, list | tuple):
        return names
    if len(names) > MAX_PROJECTS:
        raise PydanticKnownError(
            "too_long", {"field_type": "Tuple", "max_length": MAX_PROJECTS, "actual_length": len(names)}
        )
    invalid = 0
    for number, name in enumerate(names, 1):
        try:
            invalid += not (isinstance(name, str) and parse_project_name(name))
        except ValueError:
            invalid += 1
        if invalid == MAX_REPORTED_ERRORS:
            return names[:number]
    return names


class RunRequest(BaseModel):
    """A request for a run. Two equal requests share one queued run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: RunKind
    projects: Annotated[tuple[ProjectName, ...] | None, BeforeValidator(_limit_names)] = Field(
        default=None,
        min_length=1,
        max_length=MAX_PROJECTS,
        description="Only these projects; absent: the whole mirror.",
    )
    force: bool = Field(
        default=False, description="Request all pages again without validators, and check that all files exist."
    )
    offline: bool = Field(
        default=False,
        description="Apply the policy to the pages that upstream sent last, without asking upstream for new ones "
        "(kind sync).",
    )
    repair: bool = Field(
        default=False, description="Re-download corrupt or missing files and remove orphaned ones (kind verify)."
    )
    upstream: bool = Field(default=False, description="Also compare each page with upstream (kind verify).")
    allow_removals: NonNegativeInt | None = Field(
        default=None, description="Allow this run to remove up to this many projects, overriding the deletion guard."
    )
    now: bool = Field(default=False, description="Also delete files whose grace period is not over yet (kind collect).")
    confirm: bool = Field(
        default=False, description='Confirm a forced sync of the whole index (`force` with `scope = "everything"`).'
    )

    @property
    def is_whole(self) -> bool:
        """Whether the run covers the whole mirror and, if it is a sync, asks upstream."""
        return self.projects is None and not self.offline

    @model_validator(mode="before")
    @classmethod
    def _has_few_options(cls, value: object) -> object:
        if isinstance(value, dict) and len(value) > len(cls.model_fields) + MAX_REPORTED_ERRORS:
            raise ValueError(f"{len(value):,} options are too many; valid options are {', '.join(cls.model_fields)}")
        return value

    @model_validator(mode="after")
    def _options_match_the_kind(self) -> Self:
        options = {
            "force": RunKind.SYNC,
            "offline": RunKind.SYNC,
            "allow_removals": RunKind.SYNC,
            "confirm": RunKind.SYNC,
        }
        options |= {"repair": RunKind.VERIFY, "upstream": RunKind.VERIFY, "now": RunKind.COLLECT}
        for option, kind in options.items():
            if getattr(self, option) not in (False, None) and self.kind is not kind:
                raise ValueError(f"'{option}' is only valid for kind '{kind}', not for '{self.kind}'")
        if self.kind is RunKind.COLLECT and self.projects is not None:
            raise ValueError("'projects' is only valid for kind 'sync' or 'verify', not for 'collect'")
        return self


class Counts(BaseModel):
    """The progress of a run. A failed project counts as done."""

    projects_planned: int = 0
    projects_done: int = 0
    projects_changed: int = 0
    projects_partial: int = 0
    projects_failed: int = 0
    projects_withdrawn: int = 0
    projects_withheld: int = Field(default=0, description="Removals that the deletion guard withholds.")
    files_fetched: int = 0
    files_failed: int = 0
    files_removed: int = 0
    bytes_removed: int = Field(default=0, description="Disk space freed, in bytes.")
    files_verified: int = 0
    files_damaged: int = Field(default=0, description="Published files and pages that are missing or corrupt.")
    files_orphaned: int = Field(
        default=0, description="Files that neither a page nor the catalog lists (verify of the whole mirror)."
    )
    bytes_fetched: int = 0
    bytes_verified: int = 0


class RunChange(BaseModel):
    """What a run changed about one project."""

    project: str
    newest_version: str | None = Field(default=None, description="The newest version on its page after the run.")
    files_fetched: int = Field(default=0, description="Files that the run downloaded for it.")
    bytes_fetched: int = Field(default=0, description="The bytes of these files.")
    withdrawn: bool = Field(default=False, description="The run removed the project's page.")


class Run(BaseModel):
    """A run in its current state."""

    id: str = Field(description="Ids sort by creation time.", examples=["20261122T161233042-3fa9c1"])
    request: RunRequest
    trigger: Trigger
    state: RunState
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    counts: Counts = Counts()
    failures: list[Failure] = Field(
        default=[], description="The first hundred failures; `counts` includes all of them."
    )
    changes: list[RunChange] = Field(
        default=[],
        description="A hundred projects whose page it changed or removed: those that it removed, and those "
        "that it downloaded most for; `counts` has all.",
    )
    withheld: list[str] = Field(
        default=[],
        description="The first hundred projects that the deletion guard keeps: it withholds their removal, or that of "
        "their files; `counts` has all.",
    )
    phases: dict[str, float] = Field(
        default={},
        description="Seconds that each phase took, in order; empty until the run has ended or if "
        "an earlier version ran it. After a restart of the syncer, only what the last process did.",
    )
    message: str | None = Field(default=None, description="What happened and what to do.")

    def names(self, project: str) -> bool:
        """Return whether its request, one of its failures or one of its changes names a project."""
        named = {*(self.request.projects or ()), *(one.project for one in self.failures)}
        return project in named or any(one.project == project for one in self.changes)
