"""What the selected projects depend on: requirements that are not met here, and why each release is kept."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, Field


class UnmetReason(StrEnum):
    """Why a requirement is not met on the mirror."""

    NO_PROJECT = "no_project"  # upstream has no such project
    NO_RELEASE = "no_release"  # no release satisfies it
    NO_FILE = "no_file"  # no file for these machines
    HELD = "held"  # the releases that satisfy it wait for their cooldown
    BLOCKED = "blocked"  # mirror.toml or an advisory blocks them
    YANKED = "yanked"  # upstream yanked them
    UNREADABLE = "unreadable"  # installers cannot read the requirement
    BY_URL = "by_url"  # it names a URL instead of a project of the index
    UNKNOWN = "unknown"  # the release may require more than its metadata states
    FAILED = "failed"  # upstream did not deliver the page or the metadata; the next sync tries again
    NO_PROOF = "no_proof"  # a line or a group: its requirements exclude each other, or one of them is not met


class SelectionCause(StrEnum):
    """Why a project is mirrored."""

    LINE = "line"  # a line of mirror.toml names it
    REQUIRED = "required"  # selected releases require it
    LOCK = "lock"  # only a lock file pins it


class RequirementState(StrEnum):
    """Whether a requirement of a kept release is met on the mirror."""

    HERE = "here"  # a kept release satisfies it
    UNMET = "unmet"  # it counts, and nothing here satisfies it on some machine
    UNNEEDED = "unneeded"  # it counts on no machine, or belongs to an extra that nothing asks for


class UnmetRequirement(BaseModel):
    """A requirement that the mirror does not meet."""

    project: str = Field(description="The project that requires it; with `no_proof`, the project of the line.")
    version: str = Field(description="The release that requires it; empty for a line or a group of mirror.toml.")
    requirement: str = Field(
        description="As the metadata or mirror.toml states it; empty: the requirements of the release are not known."
    )
    machines: list[str] = Field(description="Where it counts; empty: everywhere.")
    reason: UnmetReason
    message: str = Field(description="Why, in one sentence; with `no_proof`, the words of the solver.")


class DependencySummary(BaseModel):
    """What the selected projects need, as the last resolution found it; `GET /unmet` lists what is not met."""

    resolved_at: datetime | None = Field(
        default=None, description="When the dependencies were last resolved; absent: not yet."
    )
    projects: dict[SelectionCause, int] = Field(default={}, description="Mirrored projects by why they are mirrored.")
    lines: int = Field(default=0, description="Lines and groups of mirror.toml that must be installable.")
    lines_without_proof: int = Field(
        default=0, description="Of these, those that cannot be installed from here on at least one machine."
    )
    without_proof: list[UnmetRequirement] = Field(default=[], description="The reasons, for the first twenty of them.")
    proofs: int = Field(
        default=0, description="Proved installations: pairs of a line or group and a machine on which it installs."
    )
    unmet: dict[UnmetReason, int] = Field(
        default={}, description="Unmet requirements by reason; `no_proof` counts lines and groups."
    )

    @property
    def unmet_requirements(self) -> int:
        """How many requirements of kept releases, lines and groups are not met, without lines that lack a proof."""
        return sum(number for reason, number in self.unmet.items() if reason is not UnmetReason.NO_PROOF)


class KeptRelease(BaseModel):
    """A release that the mirror keeps, and why."""

    version: str
    because: str = Field(
        description="The chain from a line of mirror.toml, a proof that needs it, or the lock file that pins it.",
        examples=["requests → urllib3<3,>=1.26", "witness of apache-airflow on Python 3.11 on linux-x86_64"],
    )


class Requirement(BaseModel):
    """A requirement of kept releases of a project."""

    requirement: str = Field(description="As the metadata states it; empty: there may be more than these.")
    project: str | None = Field(default=None, description="The required project; null: the requirement is unreadable.")
    releases: list[str] = Field(description="The releases that require it, newest first.")
    state: RequirementState = Field(
        description="here: a kept release satisfies it. unmet: it counts, and nothing here satisfies it on some "
        "machine. unneeded: it counts on no machine, or belongs to an extra that nothing asks for."
    )
    machines: list[str] = Field(default=[], description="Where it is unmet.")
    message: str | None = Field(default=None, description="Why it is unmet, or cannot be read.")


class Requirer(BaseModel):
    """A project that requires another one."""

    project: str
    requirement: str = Field(description="As the metadata of its kept releases states it.")


class ProjectDependencies(BaseModel):
    """Why the releases of a project are here, what they require, and who requires the project."""

    releases: list[KeptRelease] = Field(default=[], description="The newest hundred kept releases, newest first.")
    requires: list[Requirement] = Field(
        default=[], description="What the newest ten kept releases require; the first 500."
    )
    required_by: list[Requirer] = Field(
        default=[], description="The requirements on it that count on a machine; the first 500."
    )
