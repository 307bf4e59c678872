"""
The words that name a kind, a state or a reason.

They import no pydantic, unlike the models that use them: a worker process needs them, and saves 11 MB.
"""

from enum import StrEnum


class RunKind(StrEnum):
    """The kind of work that a run does."""

    SYNC = "sync"  # update projects from upstream
    VERIFY = "verify"  # hash published files
    COLLECT = "collect"  # delete files that no page lists, after their grace period or now


class RunState(StrEnum):
    """The state of a run: ``queued → running → succeeded | incomplete | failed``; ``cancelled`` at any time before."""

    QUEUED = "queued"
    RUNNING = "running"  # a restart of the syncer puts it back into the queue
    SUCCEEDED = "succeeded"
    INCOMPLETE = "incomplete"  # finished, but something failed or was withheld
    FAILED = "failed"  # could not finish: upstream down, disk full or missing
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self not in (RunState.QUEUED, RunState.RUNNING)


class Trigger(StrEnum):
    """The origin of a run."""

    API = "api"
    CLI = "cli"
    SCHEDULE = "schedule"
    START = "start"
    POLICY = "policy"  # a lock file or an advisory changed


class ProjectState(StrEnum):
    """The state of a mirrored project compared with upstream."""

    CURRENT = "current"
    PARTIAL = "partial"  # published, but some files could not be downloaded
    WAITING = "waiting"  # all its files are too young or blocked; its page is empty
    BEHIND = "behind"  # upstream changed and the sync is pending, or upstream serves an older page than ours
    FAILING = "failing"  # the last refresh failed; the previous version stays published
    WITHDRAWN = "withdrawn"  # no longer published: deleted upstream or no longer selected


class Absence(StrEnum):
    """Why the mirror knows nothing about a project."""

    UNSELECTED = "unselected"  # mirror.toml does not select it
    BLOCKED = "blocked"  # mirror.toml or an advisory blocks it whole
    UPSTREAM = "upstream"  # upstream has no such project


class ProjectSort(StrEnum):
    """The order of a list of projects."""

    NAME = "name"
    MATCH = "match"  # the searched name, then names that begin with it, then those with a word that does, then others
    SIZE = "size"  # the largest first
    FILES = "files"  # most files first
    CHANGED = "changed"  # the last changed page first


class Choice(StrEnum):
    """What the mirror does with a file."""

    KEEP = "keep"  # published, or downloaded by the next sync
    HOLD = "hold"  # not published before a given time
    BLOCK = "block"  # never published: mirror.toml or an advisory blocks it
    DROP = "drop"  # named by upstream and not published
    LOST = "lost"  # no longer upstream's; the deletion guard decides whether it leaves
    LEAVING = "leaving"  # published; the next sync removes it from the page


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

    LINE = "line"  # a line names it, of mirror.toml or added
    REQUIRED = "required"  # selected releases require it
    LOCK = "lock"  # only a lock file pins it


class RequirementState(StrEnum):
    """Whether a requirement of a kept release is met on the mirror."""

    HERE = "here"  # a kept release satisfies it
    UNMET = "unmet"  # it counts, and nothing here satisfies it on some machine
    UNNEEDED = "unneeded"  # it counts on no machine, or belongs to an extra that nothing asks for
