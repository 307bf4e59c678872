"""A project as the mirror has it."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, Field


class ProjectState(StrEnum):
    """How a project stands against upstream."""

    CURRENT = "current"
    PARTIAL = "partial"  # published without files that could not be had
    BEHIND = "behind"  # changed upstream and not fetched yet, or upstream shows an older page than ours
    FAILING = "failing"  # could not be refreshed; what was published before stays
    WITHDRAWN = "withdrawn"  # no longer published: gone upstream, or no longer selected


class ProjectFile(BaseModel):
    """A published file."""

    filename: str
    size: int | None = Field(default=None, description="Bytes.")
    sha256: str | None = None
    url: str = Field(description="Relative to the mirror's root.", examples=["packages/ab/six-1.17.0.tar.gz"])
    upload_time: datetime | None = Field(
        default=None, description="When it was uploaded to upstream; absent where upstream gives no such moment."
    )


class Project(BaseModel):
    """What is mirrored of a project, or why it is not."""

    name: str = Field(description="Normalized (PEP 503).")
    state: ProjectState
    serial: int | None = None
    file_count: int = 0
    stored_bytes: int = 0
    error: str | None = Field(default=None, description="Why it is not current.")
    attempts: int = Field(default=0, description="Failed ones in a row.")
    due_at: datetime | None = Field(default=None, description="When it is tried again.")
    checked_at: datetime | None = None
    changed_at: datetime | None = None
    selected: str | None = Field(default=None, description="The line of mirror.toml that selects it, if one does.")
    withheld_files: int = Field(default=0, description="Files that upstream has and the policy leaves out.")
    undated_files: int | None = Field(
        default=None,
        description="Files without an upload time. One is enough for `pip --uploaded-prior-to` to refuse the project. "
        "Only in the answer for one project.",
    )
    files: list[ProjectFile] | None = Field(
        default=None,
        description="Only in the answer for one project: the newest 500, after up to 100 older ones without an upload "
        "time. The project's index page names all of them.",
    )
