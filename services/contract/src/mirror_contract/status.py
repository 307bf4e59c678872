"""The mirror's status: freshness, completeness and free disk space."""

from datetime import datetime

from pydantic import BaseModel, Field

from mirror_contract.dependencies import DependencySummary
from mirror_contract.policy import PolicyState
from mirror_contract.project import Project
from mirror_contract.run import Run
from mirror_contract.words import ProjectState


class Disk(BaseModel):
    """The volume's file system."""

    size_bytes: int
    free_bytes: int
    free_inodes: int | None = Field(default=None, description="Absent if the file system reports none.")


class PendingRemoval(BaseModel):
    """Files that no page lists any more; clients can download them until their grace period ends."""

    files: int
    bytes: int = Field(description="Disk space that their deletion frees, in bytes.")
    first_at: datetime = Field(
        description="When the first file may be deleted; the next run deletes files that are due."
    )
    last_at: datetime = Field(description="When the last file may be deleted.")


class HeldSummary(BaseModel):
    """Files that clients cannot download for now; `GET /held` lists them."""

    held_files: int = Field(description="Files that wait for their cooldown.")
    blocked_files: int = Field(description="Files that mirror.toml or an advisory blocks.")
    projects: int = Field(description="Projects with such files.")
    next_change_at: datetime | None = Field(
        default=None,
        description="When the next project is judged again because a file has waited long enough, or a release or "
        "another period ends; absent: no project waits for a time.",
    )


class Schedule(BaseModel):
    """The schedule of automatic runs."""

    cron: str | None = Field(description="Five cron fields; absent: the schedule is off.")
    paused: bool = False
    paused_since: datetime | None = Field(default=None, description="Absent: the schedule is not paused.")
    next_run_at: datetime | None = None


class Status(BaseModel):
    """The state of the whole mirror."""

    syncer_up: bool = Field(
        description="False: the syncer does not answer, and all other fields are its last known status."
    )
    as_of: datetime = Field(description="When the syncer reported this status.")
    version: str
    upstream: str
    scope: str
    started_at: datetime
    schedule: Schedule
    last_run: Run | None = Field(default=None, description="The last full sync that ended.")
    last_success_at: datetime | None = Field(default=None, description="When a full sync last succeeded.")
    last_completed_at: datetime | None = Field(
        default=None, description="When a full sync last ended as succeeded or incomplete."
    )
    failing_since: datetime | None = Field(
        default=None, description="When the first full sync failed after the last one that succeeded or was incomplete."
    )
    needs_attention_since: datetime | None = Field(
        default=None, description="Since when at least one project has been failing or partial; absent: none is."
    )
    damaged_files: int = Field(
        default=0, description="Published files and pages that a verify found damaged and that are not repaired yet."
    )
    damaged_since: datetime | None = Field(default=None, description="When a verify found the first of them.")
    withheld_since: datetime | None = Field(
        default=None, description="Since when the deletion guard has withheld removals; absent: it withholds none."
    )
    policy: PolicyState | None = Field(default=None, description="Absent: a syncer of before did not say.")
    running: list[Run] = []
    queued: list[Run] = []
    in_hand: list[str] = Field(default=[], description="The first twenty projects that are being worked on.")
    serial: int | None = Field(default=None, description='Only with `scope = "everything"`.')
    upstream_serial: int | None = Field(default=None, description='Only with `scope = "everything"`.')
    upstream_news_at: datetime | None = Field(
        default=None,
        description="When upstream last changed: another project list, serial or page.",
    )
    previous_upstream: str | None = Field(
        default=None,
        description="The upstream before the last switch, until a full sync has compared all projects.",
    )
    projects: dict[ProjectState, int]
    installable: int = Field(description="Projects with at least one published file.")
    files: int
    stored_bytes: int
    disk: Disk | None = Field(description="Absent: the volume cannot be read.")
    pending_removal: PendingRemoval | None = Field(
        default=None, description="Files that a run of kind `collect` with `now` would delete; absent: none."
    )
    held: HeldSummary | None = Field(default=None, description="Absent: no file is held or blocked.")
    dependencies: DependencySummary | None = Field(
        default=None, description="Absent: mirror.toml does not follow dependencies."
    )
    failing: list[Project] = Field(
        default=[],
        description="The first twenty projects that are failing or partial; of a selection, also those behind.",
    )
    problems: list[str] = Field(default=[], description="Problems that a person must solve, each with its remedy.")
