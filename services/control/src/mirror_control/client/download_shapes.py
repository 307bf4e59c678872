"""What the API says of downloads and misses, and what may be asked."""

import re
from datetime import date
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mirror_contract import ProjectName

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _day(value: object) -> object:
    """Refuse what pydantic would take for a number of seconds, too."""
    if isinstance(value, str) and not _DAY.fullmatch(value):
        raise ValueError("must be a day, as in 2026-11-22")
    return value


class MissFilter(BaseModel):
    """Since when, and how many; what is misspelt is refused rather than ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: Annotated[date, BeforeValidator(_day)] | None = Field(
        default=None, description="The first day, in UTC; 29 days ago if it is not said.", examples=["2026-10-24"]
    )
    top: int = Field(default=20, ge=1, le=1000, description="How many of each list, the largest.")


class DownloadFilter(MissFilter):
    """Of all projects, or of one."""

    project: ProjectName | None = Field(
        default=None, description="Of this one alone, in any spelling.", examples=["requests"]
    )


class Share(BaseModel):
    """A part of the downloads."""

    name: str = Field(description="Empty where it is not known.")
    downloads: int


class ClientShare(Share):
    """What one version of a client downloaded."""

    name: str = Field(description="pip, uv, poetry, pdm, bandersnatch, browser or other.")
    version: str = Field(description="Empty where it is not known, and for browsers and others.")


class Day(BaseModel):
    """What was downloaded on a day."""

    day: date
    downloads: int


class Downloads(BaseModel):
    """
    Downloads of a stretch of days, by what they were of and by whom.

    A list has the largest alone. Sums are of all, also of what a day had too much of to keep each by itself.
    """

    since: date
    until: date = Field(description="Today, in UTC.")
    project: str | None = Field(default=None, description="Whose they are, if one was named.")
    downloads: int
    days: list[Day] = Field(description="Oldest first, without those that had none.")
    projects: list[Share] | None = Field(default=None, description="Unless one was named.")
    versions: list[Share] | None = Field(default=None, description="Of the project that was named.")
    file_types: list[Share] = Field(description="wheel, sdist, egg or other.")
    clients: list[ClientShare]


class MissedProject(BaseModel):
    """What was asked for of a project and is not here."""

    name: str = Field(description="Normalized (PEP 503).")
    requests: int
    pages: int = Field(description="Requests for its page: the project is not mirrored.")
    files: int = Field(description="Requests for a file of it: a version that is not mirrored, or no longer.")
    last_day: date


class Misses(BaseModel):
    """What was asked for in a stretch of days, and answered with 404."""

    since: date
    until: date = Field(description="Today, in UTC.")
    requests: int = Field(description="Of all, listed or not.")
    projects: list[MissedProject] = Field(description="The most wanted first.")
