"""Releases: versions that a person let through the cooldown, for a while and for a reason."""

import re
from datetime import datetime, timedelta
from typing import Annotated, ClassVar

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mirror_contract.names import parse_project_name

MAX_RELEASES = 100
"""The most releases in force at a time."""
MAX_DURATION = timedelta(days=90)
_MIN_DURATION = timedelta(hours=1)
_DURATION = re.compile(r"([1-9]\d{0,3})([hdw])", re.ASCII)
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
_EXAMPLE = "'django==5.2.19'"


def _parse_requirement(text: str) -> Requirement:
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        cause = str(error).splitlines()[0]
        raise ValueError(f"must be one version of a project, such as {_EXAMPLE} ({cause})") from None


def _check_requirement(text: str) -> str:
    """Return a requirement in its normal form; a release that names no single version would switch the cooldown off."""
    requirement = _parse_requirement(text)
    name = parse_project_name(requirement.name)
    if requirement.url or requirement.marker or requirement.extras:
        raise ValueError(f"must be one version of a project, such as {_EXAMPLE}, without a URL, a marker or extras")
    clauses = list(requirement.specifier)
    if len(clauses) != 1 or clauses[0].operator != "==" or clauses[0].version.endswith(".*"):
        raise ValueError(f"must name exactly one version, such as {_EXAMPLE}; release each version by itself")
    return f"{name}{clauses[0]}"


def _parse_duration(text: str) -> timedelta | None:
    match = _DURATION.fullmatch(text)
    return timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else None


def _check_duration(text: str) -> str:
    duration = _parse_duration(text)
    if duration is None or not _MIN_DURATION <= duration <= MAX_DURATION:
        raise ValueError('must be a number with h, d or w, from "1h" to "90d"')
    return text


def _check_reason(text: str) -> str:
    if not (text := text.strip()):
        raise ValueError("must say why, for those who read it later")
    if not text.isprintable():
        raise ValueError("must be one line without control characters")
    return text


class ReleaseRequest(BaseModel):
    """A request to publish one version now, although the cooldown holds it."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True, serialize_by_alias=True)

    DEFAULT_DURATION: ClassVar = "14d"

    requirement: Annotated[str, AfterValidator(_check_requirement)] = Field(
        max_length=300, description="One version of a project.", examples=["django==5.2.19"]
    )
    because: Annotated[str, AfterValidator(_check_reason)] = Field(
        max_length=300, description="Why. Everybody who reads the project's page sees it.", examples=["CVE-2026-1234"]
    )
    valid_for: Annotated[str, AfterValidator(_check_duration)] = Field(
        default=DEFAULT_DURATION,
        alias="for",
        max_length=5,
        description="How long the release is in force: a number with h, d or w, from 1h to 90d. A version that is "
        "older than the cooldown by then stays published.",
        examples=["14d"],
    )

    @property
    def project(self) -> NormalizedName:
        """The project's normalized name."""
        return parse_project_name(_parse_requirement(self.requirement).name)

    @property
    def specifier(self) -> SpecifierSet:
        """The version, as a specifier."""
        return _parse_requirement(self.requirement).specifier

    @property
    def duration(self) -> timedelta:
        """How long the release is in force."""
        return _parse_duration(self.valid_for) or timedelta()


class Release(BaseModel):
    """A version that a person let through the cooldown."""

    id: str = Field(examples=["9f1c2d3e"])
    requirement: str = Field(description="One version of a project.", examples=["django==5.2.19"])
    project: str = Field(description="Normalized (PEP 503).")
    because: str
    by: str = Field(description="The name of the token that released it.")
    made_at: datetime
    until: datetime = Field(description="When it expires.")
    run: str | None = Field(
        default=None, description="The run that puts a change into force; only in the answer to the change."
    )
    warnings: list[str] = Field(
        default=[], description="What the release does not change; only in the answer to the change."
    )
