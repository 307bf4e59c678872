"""Projects and their published files."""

from datetime import datetime

from pydantic import BaseModel, Field

from mirror_contract.dependencies import ProjectDependencies
from mirror_contract.words import Choice, ProjectState


class ProjectLink(BaseModel):
    """A link that a project's metadata gives."""

    label: str
    url: str = Field(description="A web address; other schemes are left out.")


class ProjectAbout(BaseModel):
    """What the newest release says about its project. Its authors wrote it, and nobody has checked it."""

    version: str = Field(description="The release that says it.")
    summary: str | None = Field(default=None, description="At most 500 characters.")
    license: str | None = Field(default=None, description="An SPDX expression, or at most 100 characters.")
    links: list[ProjectLink] = Field(default=[], description="At most 20.")


class ProjectFile(BaseModel):
    """A file that upstream names or the mirror publishes, and what is decided about it."""

    filename: str
    version: str | None = Field(default=None, description="As the file's name says it; null if it says none.")
    size: int | None = Field(default=None, description="Bytes; null if upstream does not say.")
    sha256: str | None = None
    url: str | None = Field(
        default=None,
        description="Relative to the mirror's root; null if the file is not published.",
        examples=["packages/ab/six-1.17.0.tar.gz"],
    )
    upload_time: datetime | None = Field(
        default=None, description="When it was uploaded to upstream; null if upstream does not say."
    )
    requires_python: str | None = Field(default=None, description="As upstream states it.", examples=[">=3.9"])
    yanked: bool | str = Field(default=False, description="Whether upstream yanked it, or the reason why (PEP 592).")
    decision: Choice = Field(
        default=Choice.KEEP,
        description="What the mirror does with it. keep: publish it. hold: publish it after `until`. block: never "
        "publish it. drop: do not publish it. lost: upstream no longer has it, and the deletion guard decides. "
        "leaving: the next sync removes "
        "it from the page.",
    )
    reason: str | None = Field(default=None, description="Why, in one sentence.")
    until: datetime | None = Field(default=None, description="When a held file is published.")


class HeldFile(BaseModel):
    """A file that clients cannot download for now, and why."""

    project: str = Field(description="Normalized (PEP 503).")
    filename: str
    decision: Choice = Field(description="hold: it waits. block: mirror.toml or an advisory blocks it.")
    reason: str = Field(description="Why, in one sentence.")
    until: datetime | None = Field(
        default=None, description="When it is published; null: not before mirror.toml or an advisory changes."
    )


class Project(BaseModel):
    """A project on the mirror: its state, its files, and its last error."""

    name: str = Field(description="Normalized (PEP 503).")
    state: ProjectState
    serial: int | None = None
    file_count: int = 0
    stored_bytes: int = 0
    newest_version: str | None = Field(
        default=None,
        description="Of the published files: the newest final version that is not yanked, or else the newest version. "
        "Null if there is none, or if the page was published before the mirror noted it.",
    )
    error: str | None = Field(default=None, description="Why the project is not current.")
    attempts: int = Field(default=0, description="Consecutive failed attempts.")
    due_at: datetime | None = Field(default=None, description="Time of the next attempt.")
    checked_at: datetime | None = None
    changed_at: datetime | None = None
    selected: str | None = Field(
        default=None, description="The lines that select the project, of mirror.toml or added; absent if none does."
    )
    added_line: str | None = Field(
        default=None,
        description="The line that a person added for it. Present only in the response for a single project.",
    )
    withheld_files: int = Field(default=0, description="Files that upstream has and the policy excludes.")
    held_files: int = Field(default=0, description="Of these, the files that wait for their cooldown.")
    blocked_files: int = Field(default=0, description="Of these, the files that mirror.toml or an advisory blocks.")
    undated_files: int | None = Field(
        default=None,
        description="Files without an upload time. A single one makes `pip --uploaded-prior-to` refuse the project. "
        "Present only in the response for a single project.",
    )
    files: list[ProjectFile] | None = Field(
        default=None,
        description="Present only in the response for a single project. First published files: the newest 500, after "
        "up to 100 older ones without an upload time; the index page lists all. Then at most 500 unpublished files.",
    )
    about: ProjectAbout | None = Field(
        default=None,
        description="Present only in the response for a single project whose newest release has a wheel with metadata.",
    )
    dependencies: ProjectDependencies | None = Field(
        default=None,
        description="Present only in the response for a single project, where mirror.toml follows dependencies.",
    )
