"""Added lines: projects that a person selected through the API, beside the lines of mirror.toml."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_ADDED_LINES = 1_000
"""The most added lines; more belong into mirror.toml."""
MAX_LINE_LENGTH = 2_000
"""The most characters of a line, as in mirror.toml."""


def _check_text(text: str) -> str:
    if not (text := text.strip()):
        raise ValueError("must not be empty")
    if not text.isprintable():
        raise ValueError("must be one line without control characters")
    return text


def _check_reason(text: str) -> str:
    if not text.strip():
        raise ValueError("must say why, for those who read it later")
    return _check_text(text)


class AddedLineRequest(BaseModel):
    """A request to mirror a project from now on, and what it needs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    line: Annotated[str, AfterValidator(_check_text)] = Field(
        max_length=MAX_LINE_LENGTH,
        description="A line as in `projects` of mirror.toml: a name with optional extras, versions and a marker.",
        examples=["django[argon2]>=5.2"],
    )
    because: Annotated[str, AfterValidator(_check_reason)] = Field(
        max_length=500,
        description="Why. Everybody who reads the project's page sees it.",
        examples=["the shop's new backend"],
    )


class AddedLine(BaseModel):
    """A line that a person added."""

    line: str = Field(description="As it was written.", examples=["django[argon2]>=5.2"])
    project: str = Field(description="Normalized (PEP 503).")
    because: str
    by: str = Field(description="The name of the token that added it.")
    made_at: datetime
    run: str | None = Field(
        default=None, description="The run that puts a change into force; only in the answer to the change."
    )
    warnings: list[str] = Field(
        default=[], description="What the change does not do, or replaces; only in the answer to the change."
    )


class LineSource(StrEnum):
    """Where a line of the selection stands."""

    FILE = "mirror.toml"
    ADDED = "added"  # a person added it through the API


class SelectedLine(BaseModel):
    """A line that selects a project: of mirror.toml, or added."""

    line: str = Field(description="A name with optional extras, versions and a marker.", examples=["numpy>=2"])
    latest: int | None = Field(default=None, description="The line's own `latest`; null: that of mirror.toml.")
    project: str = Field(description="Normalized (PEP 503).")
    source: LineSource
    because: str | None = Field(default=None, description="Why it was added; null for a line of mirror.toml.")
    by: str | None = Field(default=None, description="The name of the token that added it.")
    made_at: datetime | None = Field(default=None, description="When it was added.")
