"""The mirror's status: fresh, complete, and with room to grow?"""

from datetime import datetime

from pydantic import BaseModel, Field

from mirror_contract.policy import PolicyState
from mirror_contract.project import Project, ProjectState
from mirror_contract.run import Run


class Disk(BaseModel):
    """The volume's file system."""

    size_bytes: int
    free_bytes: int
    free_inodes: int | None = Field(default=None, description="Absent where the file system counts none.")


class PendingRemoval(BaseModel):
    """Files that no page names any more, and that can still be had until their grace is over."""

    files: int
    bytes: int = Field(description="What comes free when all of them are removed.")
    first_at: datetime = Field(description="When the first may be removed; one that is due goes with the next run.")
    last_at: datetime


class Schedule(BaseModel):
    """When the next run comes by itself."""

    cron: str | None = Field(description="Absent: off.")
    paused: bool = False
    paused_since: datetime | None = Field(default=None, description="Absent: it is not paused.")
    next_run_at: datetime | None = None


class Status(BaseModel):
    """Everything one look should tell."""

    syncer_up: bool = Field(description="False: the syncer does not answer; all else is the last that it said.")
    as_of: datetime = Field(description="When the syncer said it.")
    version: str
    upstream: str
    scope: str
    started_at: datetime
    schedule: Schedule
    last_run: Run | None = Field(default=None, description="The last whole sync that ended.")
    last_success_at: datetime | None = Field(default=None, description="When a whole sync last succeeded.")
    last_completed_at: datetime | None = Field(
        default=None, description="When a whole sync last did all that it could: succeeded, or was incomplete."
    )
    failing_since: datetime | None = Field(
        default=None, description="When a whole sync first failed, of those since one last did all that it could."
    )
    amiss_since: datetime | None = Field(
        default=None, description="Since when at least one project has been failing or partial; absent: none is."
    )
    damaged_files: int = Field(
        default=0, description="Published files and pages that a verify found damaged and none has found mended."
    )
    damaged_since: datetime | None = Field(default=None, description="When the first of them was found.")
    withheld_since: datetime | None = Field(
        default=None, description="Since when the deletion guard has held removals back; absent: it holds none."
    )
    policy: PolicyState | None = Field(default=None, description="Absent: a syncer of before did not say.")
    running: list[Run] = []
    queued: list[Run] = []
    serial: int | None = Field(default=None, description="Scope everything alone.")
    upstream_serial: int | None = Field(default=None, description="Scope everything alone.")
    upstream_news_at: datetime | None = Field(
        default=None,
        description="When upstream last had news: another list, another serial or another page than before.",
    )
    upstream_before: str | None = Field(
        default=None, description="The upstream of before, until a whole sync has compared everything with this one."
    )
    projects: dict[ProjectState, int]
    installable: int = Field(description="Projects with at least one published file.")
    files: int
    stored_bytes: int
    disk: Disk | None = Field(description="Absent: the volume cannot be asked.")
    pending_removal: PendingRemoval | None = Field(
        default=None, description="What a run of kind `collect` with `now` would free; absent: nothing waits."
    )
    failing: list[Project] = Field(
        default=[], description="The first twenty that are failing, partial or, of a selection, behind."
    )
    problems: list[str] = Field(default=[], description="What needs a person, each with what to do.")
