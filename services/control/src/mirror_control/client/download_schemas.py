"""The API's types for downloads and misses: filters and answers. A miss is a request answered with 404."""

import re
from datetime import date
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mirror_contract import ProjectName

_DAY_PATTERN = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _check_day(value: object) -> object:
    """Refuse other formats: pydantic would read a number as seconds since 1970."""
    if isinstance(value, str) and not _DAY_PATTERN.fullmatch(value):
        raise ValueError("must be a day such as 2026-11-22")
    return value


class MissFilter(BaseModel):
    """The first day and the list length. Unknown parameters are refused, so that a typo is noticed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: Annotated[date, BeforeValidator(_check_day)] | None = Field(
        default=None, description="The first day, in UTC; 29 days ago by default.", examples=["2026-10-24"]
    )
    top: int = Field(default=20, ge=1, le=1000, description="Maximum length of each list, largest first.")


class DownloadFilter(MissFilter):
    """A filter for the downloads of all projects, or of one."""

    project: ProjectName | None = Field(
        default=None, description="Only this project, in any spelling.", examples=["requests"]
    )


class Share(BaseModel):
    """The downloads of one group."""

    name: str = Field(description="Empty if unknown.")
    downloads: int


class ClientShare(Share):
    """The downloads of one client version."""

    name: str = Field(
        description="pip, uv, poetry, pdm, browser or other; or another mirror: artifactory, bandersnatch, devpi, "
        "nexus, pulp or pypi-mirror."
    )
    version: str = Field(description="Empty if unknown, and for browsers and others.")
    mirror: bool = Field(default=False, description="It passes on what it downloads.")


class Day(BaseModel):
    """The downloads of one day."""

    day: date
    downloads: int
    mirrors: int = Field(default=0, description="Of these, the downloads by other mirrors.")


class Downloads(BaseModel):
    """
    The downloads of a range of days, by project, file type and client.

    Lists contain only the largest entries. Totals also include downloads that were aggregated because a day had too
    many different ones.
    """

    since: date
    until: date = Field(description="Today, in UTC.")
    project: str | None = Field(default=None, description="The project, if the request named one.")
    downloads: int
    mirrors: int = Field(default=0, description="Of these, the downloads by other mirrors, such as bandersnatch.")
    days: list[Day] = Field(description="Oldest first; days without downloads are omitted.")
    projects: list[Share] | None = Field(default=None, description="Absent if the request named a project.")
    versions: list[Share] | None = Field(default=None, description="Present if the request named a project.")
    file_types: list[Share] = Field(description="wheel, sdist, egg or other.")
    clients: list[ClientShare]
    pythons: list[Share] | None = Field(
        default=None,
        description="By the version of Python that installs, such as 3.13, as far as clients say it. Absent if the "
        "request named a project.",
    )


class MissedProject(BaseModel):
    """The misses of one project: requests for pages or files that the mirror does not have."""

    name: str = Field(description="Normalized (PEP 503).")
    requests: int
    pages: int = Field(description="Requests for the project's page: the project is not mirrored.")
    files: int = Field(description="Requests for its files: the version is not mirrored, or was removed.")
    last_day: date


class Misses(BaseModel):
    """The misses of a range of days: requests answered with 404."""

    since: date
    until: date = Field(description="Today, in UTC.")
    requests: int = Field(description="All requests, including those of projects that are not listed.")
    projects: list[MissedProject] = Field(description="The most requested first.")
