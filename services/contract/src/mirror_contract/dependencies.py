"""What the selected projects depend on: requirements that are not met here, and why each release is kept."""

from datetime import datetime

from pydantic import BaseModel, Field

from mirror_contract.words import RequirementState, SelectionCause, UnmetReason


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
