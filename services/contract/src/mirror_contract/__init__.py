"""
The data types that the syncer and control exchange: runs, projects and the mirror's status.

No I/O and no settings: both services, the command lines and the tests may import all of it. A module is imported when
one of its names is: a worker process that needs only ``words`` then does without pydantic.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mirror_contract.added_line import AddedLine, AddedLineRequest, LineSource, SelectedLine
    from mirror_contract.dependencies import (
        DependencySummary,
        KeptRelease,
        ProjectDependencies,
        Requirement,
        Requirer,
        UnmetRequirement,
    )
    from mirror_contract.failure import Failure
    from mirror_contract.names import parse_project_name
    from mirror_contract.policy import (
        FileChanges,
        FilePreview,
        PolicyCandidate,
        PolicyCheck,
        PolicyFact,
        PolicyFile,
        PolicyProblem,
        PolicyState,
        ProjectChanges,
    )
    from mirror_contract.project import HeldFile, Project, ProjectAbout, ProjectFile, ProjectLink
    from mirror_contract.release import Release, ReleaseRequest
    from mirror_contract.run import Counts, ProjectName, Run, RunChange, RunRequest
    from mirror_contract.status import Disk, HeldSummary, PendingRemoval, Schedule, Status
    from mirror_contract.words import (
        Absence,
        Choice,
        ProjectSort,
        ProjectState,
        RequirementState,
        RunKind,
        RunState,
        SelectionCause,
        Trigger,
        UnmetReason,
    )

__all__ = [
    "Absence",
    "AddedLine",
    "AddedLineRequest",
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
    "LineSource",
    "PendingRemoval",
    "PolicyCandidate",
    "PolicyCheck",
    "PolicyFact",
    "PolicyFile",
    "PolicyProblem",
    "PolicyState",
    "Project",
    "ProjectAbout",
    "ProjectChanges",
    "ProjectDependencies",
    "ProjectFile",
    "ProjectLink",
    "ProjectName",
    "ProjectSort",
    "ProjectState",
    "Release",
    "ReleaseRequest",
    "Requirement",
    "RequirementState",
    "Requirer",
    "Run",
    "RunChange",
    "RunKind",
    "RunRequest",
    "RunState",
    "Schedule",
    "SelectedLine",
    "SelectionCause",
    "Status",
    "Trigger",
    "UnmetReason",
    "UnmetRequirement",
    "parse_project_name",
]

_NAMES = {
    "added_line": "AddedLine AddedLineRequest LineSource SelectedLine",
    "dependencies": "DependencySummary KeptRelease ProjectDependencies Requirement Requirer UnmetRequirement",
    "failure": "Failure",
    "names": "parse_project_name",
    "policy": "FileChanges FilePreview PolicyCandidate PolicyCheck PolicyFact PolicyFile PolicyProblem PolicyState "
    "ProjectChanges",
    "project": "HeldFile Project ProjectAbout ProjectFile ProjectLink",
    "release": "Release ReleaseRequest",
    "run": "Counts ProjectName Run RunChange RunRequest",
    "status": "Disk HeldSummary PendingRemoval Schedule Status",
    "words": "Absence Choice ProjectSort ProjectState RequirementState RunKind RunState SelectionCause Trigger "
    "UnmetReason",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    """Import a name from its module when it is first used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    setattr(sys.modules[__name__], name, value)
    return value
