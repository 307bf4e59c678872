"""
The data types that the syncer and control exchange: runs, projects and the mirror's status.

No I/O and no settings: both services, the command lines and the tests may import all of it.
"""

from mirror_contract.dependencies import (
    DependencySummary,
    KeptRelease,
    ProjectDependencies,
    Requirement,
    RequirementState,
    Requirer,
    SelectionCause,
    UnmetReason,
    UnmetRequirement,
)
from mirror_contract.names import ProjectName, parse_project_name
from mirror_contract.policy import (
    FileChanges,
    FilePreview,
    PolicyCandidate,
    PolicyCheck,
    PolicyProblem,
    PolicyState,
    ProjectChanges,
)
from mirror_contract.project import Choice, HeldFile, Project, ProjectFile, ProjectState
from mirror_contract.release import Release, ReleaseRequest
from mirror_contract.run import Counts, Failure, Run, RunKind, RunRequest, RunState, Trigger
from mirror_contract.status import Disk, HeldSummary, PendingRemoval, Schedule, Status

__all__ = [
    "Choice",
    "Counts",
    "DependencySummary",
    "Disk",
    "Failure",
    "FileChanges",
    "FilePreview",
    "HeldFile",
    "HeldSummary",
    "KeptRelease",
    "PendingRemoval",
    "PolicyCandidate",
    "PolicyCheck",
    "PolicyProblem",
    "PolicyState",
    "Project",
    "ProjectChanges",
    "ProjectDependencies",
    "ProjectFile",
    "ProjectName",
    "ProjectState",
    "Release",
    "ReleaseRequest",
    "Requirement",
    "RequirementState",
    "Requirer",
    "Run",
    "RunKind",
    "RunRequest",
    "RunState",
    "Schedule",
    "SelectionCause",
    "Status",
    "Trigger",
    "UnmetReason",
    "UnmetRequirement",
    "parse_project_name",
]
