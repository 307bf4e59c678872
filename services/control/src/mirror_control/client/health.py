"""The health verdict on a mirror: a headline, and whether a person must act."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from mirror_contract import ProjectState, Run, RunKind, Status
from mirror_control.client.formatting import format_count, format_duration, format_time
from mirror_control.client.issue import HealthLevel, Issue
from mirror_control.client.issues import SYNC_OVERDUE_AFTER, describe_stock, find_issues, last_completed_at

# A sync of changes takes seconds.
_LONG_SYNC_AFTER = timedelta(hours=1)
# If upstream accepts connections but sends nothing, the first project fails after eight minutes (10 connections).
_IDLE_SYNC_AFTER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class HealthVerdict:
    """
    The headline, and all issues, the most important first.

    Attributes:
        summary: a sentence on the mirror; empty if there are issues.
    """

    level: HealthLevel
    title: str
    summary: str
    issues: list[Issue]

    @property
    def worst_level(self) -> HealthLevel:
        """The level of the worst issue; the headline may show a sync that is recovering from a failure instead."""
        return max((issue.level for issue in self.issues), key=_SEVERITY.index, default=self.level)


_SEVERITY = (HealthLevel.GOOD, HealthLevel.BUSY, HealthLevel.WARNING, HealthLevel.ALARM)
# A sync that recovers from the last failure is shown before warnings.
_DISPLAY_ORDER = (HealthLevel.ALARM, HealthLevel.BUSY, HealthLevel.WARNING)


def assess_health(status: Status, *, now: datetime) -> HealthVerdict:
    """Return the health verdict on a status."""
    # The sort is stable: issues of one level keep their order.
    issues = sorted(find_issues(status, now=now), key=lambda issue: _DISPLAY_ORDER.index(issue.level))
    if issues:
        return HealthVerdict(issues[0].level, issues[0].title, "", issues)
    return _assess_without_issues(status, now=now)


def _assess_without_issues(status: Status, *, now: datetime) -> HealthVerdict:
    if (completed := last_completed_at(status)) is None:
        if status.installable:
            title = "The first sync with this catalog is running"
            return HealthVerdict(HealthLevel.BUSY, title, describe_stock(status), [])
        summary = "Each project can be installed as soon as it is synced."
        return HealthVerdict(HealthLevel.BUSY, "The first sync is running", summary, [])
    freshness = _describe_freshness(status, now=now)
    if (run := _find_long_sync(status, now=now)) is not None:
        duration, counts = format_duration((now - (run.started_at or now)).total_seconds()), run.counts
        idle = "" if counts.projects_done else f" None of {counts.projects_planned:,} is done: does upstream answer?"
        return HealthVerdict(HealthLevel.BUSY, f"A sync has been running for {duration}", f"{freshness}{idle}", [])
    if now - completed >= SYNC_OVERDUE_AFTER:  # the schedule is weekly, or off
        title = f"Complete as of {format_time(completed, now=now)}"
        return HealthVerdict(HealthLevel.GOOD, title, freshness, [])
    if behind := _count_behind(status):
        if any(run.request.kind is RunKind.SYNC for run in status.running):
            title = f"Fresh; {format_count(behind, 'project')} still to be synced"
        else:
            title = f"Fresh; upstream serves older pages of {format_count(behind, 'project')}"
        return HealthVerdict(HealthLevel.GOOD, title, freshness, [])
    return HealthVerdict(HealthLevel.GOOD, "Fresh and complete", freshness, [])


def assess_unknown_status(reason: str) -> HealthVerdict:
    """Return the health verdict if the syncer does not answer and no earlier status is known."""
    issue = Issue(
        level=HealthLevel.ALARM,
        title="The syncer does not answer",
        detail=reason,
        still_works="nginx still serves what was mirrored. Its state is unknown: control has never reached the syncer.",
        remedy="`docker compose ps syncer` and `docker compose logs syncer` show why; "
        "`docker compose up -d` starts a stopped syncer.",
    )
    return HealthVerdict(issue.level, issue.title, "", [issue])


def _find_long_sync(status: Status, *, now: datetime) -> Run | None:
    """Return a full sync that has been running for an hour, or for a minute without finishing a project."""
    for run in status.running:
        if run.request.kind is not RunKind.SYNC or run.request.projects is not None or run.started_at is None:
            continue
        idle = run.counts.projects_planned and not run.counts.projects_done
        if now - run.started_at >= (_IDLE_SYNC_AFTER if idle else _LONG_SYNC_AFTER):
            return run
    return None


def _count_behind(status: Status) -> int:
    """Return how many selected projects are behind; with ``scope = "everything"``, those only wait for their turn."""
    return 0 if status.scope == "everything" else status.projects.get(ProjectState.BEHIND, 0)


def _describe_freshness(status: Status, *, now: datetime) -> str:
    behind = status.projects.get(ProjectState.BEHIND, 0) if not _count_behind(status) else 0
    waiting = f" Not yet synced: {format_count(behind, 'project')} that changed since then." if behind else ""
    return (
        f"Matches upstream as of {format_time(last_completed_at(status), now=now)}. {describe_stock(status)}{waiting}"
    )
