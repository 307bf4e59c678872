"""The issues that need a person, found in a status: what is wrong, since when, what still works, and what to do."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from rich.filesize import decimal

from mirror_contract import ProjectState, Run, RunKind, RunState, Status
from mirror_control.client.formatting import format_count, format_duration, format_time

# A daily sync, plus two hours for the sync itself.
SYNC_OVERDUE_AFTER = timedelta(hours=26)
# The syncer's clock and control's may differ.
_SCHEDULE_TOLERANCE = timedelta(minutes=10)
# Below MIRROR_DISK_RESERVE, the syncer itself reports a problem.
_MIN_FREE_FRACTION = 0.1
# Below 1,000 inodes, the syncer itself reports a problem. A small ext4 has 130,000 when it is empty.
_MIN_FREE_INODES = 20_000
# At least one of 10,000 projects changes within an hour, so six hours without changes mean a frozen cache or upstream.
_UPSTREAM_STALE_AFTER, _UPSTREAM_STALE_MIN_PROJECTS = timedelta(hours=6), 10_000
# The full command: the mirror's host has no mirrorctl of its own.
_MIRRORCTL = "docker compose exec control mirrorctl"


class HealthLevel(StrEnum):
    """The urgency of an issue, or the health of the mirror."""

    GOOD = "good"
    BUSY = "busy"  # nothing is wrong, but work is unfinished
    WARNING = "warning"  # a person should look soon
    ALARM = "alarm"  # the mirror gets no updates until a person acts


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """
    An issue that needs a person.

    Attributes:
        detail: the message of the syncer or of upstream.
        since: when it began, or the last time it was known to be absent; None if unknown.
        remedy: what to do; commands are in backquotes.
    """

    level: HealthLevel
    title: str
    detail: str | None = None
    since: datetime | None = None
    still_works: str
    remedy: str


def find_issues(status: Status, *, now: datetime) -> list[Issue]:
    """Return all issues, not sorted by urgency."""
    return [
        *_find_syncer_issues(status),
        *_find_volume_issues(status),
        *_find_policy_issues(status),
        *_find_sync_issues(status, now=now),
        *_find_withheld_removals(status),
        *_find_project_issues(status),
        *_find_damaged_files(status),
        *_find_upstream_issues(status),
        *_find_schedule_issues(status),
        *_find_space_issues(status),
    ]


def _find_syncer_issues(status: Status) -> list[Issue]:
    if status.syncer_up:
        return []
    return [
        Issue(
            level=HealthLevel.ALARM,
            title="The syncer does not answer",
            since=status.as_of,
            still_works=f"{describe_stock(status)} Updates have stopped, and everything below is the last known state.",
            remedy="`docker compose ps syncer` and `docker compose logs syncer` show why; "
            "`docker compose up -d` starts a stopped syncer.",
        )
    ]


def _find_volume_issues(status: Status) -> list[Issue]:
    return [
        Issue(
            level=HealthLevel.ALARM,
            title="The volume has a problem" if status.disk else "The volume can't be read",
            detail=problem,
            since=status.failing_since if status.last_run and status.last_run.state is RunState.FAILED else None,
            still_works="nginx serves every file that it can read. Syncs fail until the problem is solved.",
            remedy=f"Solve the problem above; then run `{_MIRRORCTL} sync`, or wait for the next run.",
        )
        for problem in status.problems
    ]


def _find_policy_issues(status: Status) -> list[Issue]:
    if status.policy is None or not status.policy.problems:
        return []
    return [
        Issue(
            level=HealthLevel.WARNING,
            title="mirror.toml cannot be used",
            detail="; ".join(map(str, status.policy.problems)),
            since=status.policy.invalid_since,
            still_works="The last good policy stays in force, and syncs use it.",
            remedy="Correct `config/mirror.toml`: the syncer notices within seconds, and the next run uses it. "
            "`docker compose exec -T syncer mirror-syncer check` checks it.",
        )
    ]


def _find_sync_issues(status: Status, *, now: datetime) -> list[Issue]:
    run, completed = status.last_run, last_completed_at(status)
    if run is None:
        if status.running or status.queued:
            return []
        return [
            Issue(
                level=HealthLevel.WARNING,
                title="No sync has run with this catalog yet"
                if status.installable
                else "Nothing has been mirrored yet",
                still_works=describe_stock(status),
                remedy=f"`{_MIRRORCTL} sync` starts a sync. {_describe_next_run(status, now=now)}",
            )
        ]
    if run.state in (RunState.FAILED, RunState.CANCELLED) and (recovering := _find_recovery(status, run)) is not None:
        counts, outcome = recovering.counts, "failed" if run.state is RunState.FAILED else "was cancelled"
        return [
            Issue(
                level=HealthLevel.BUSY,
                title=f"A sync is running: {counts.projects_done:,} of {counts.projects_planned:,} projects",
                detail=f"The previous sync {outcome}{f': {run.message}' if run.message else ''}",
                since=recovering.started_at,
                still_works=f"{describe_stock(status)} Changes from upstream arrive while the sync runs.",
                remedy="Wait until it ends.",
            )
        ]
    if run.state in (RunState.FAILED, RunState.CANCELLED):
        upstream = (
            "If upstream does not answer, check the mirror host's network, and `HTTPS_PROXY` and `MIRROR_UPSTREAM` "
            "in `.env`. Once upstream answers, the next run catches up. "
            "`docker compose logs syncer` has the details."
        )
        return [
            Issue(
                level=HealthLevel.ALARM if run.state is RunState.FAILED else HealthLevel.WARNING,
                title=f"The last sync {'failed' if run.state is RunState.FAILED else 'was cancelled'}",
                detail=run.message,
                since=_failing_since(status, run),
                still_works=f"{describe_stock(status)} Later changes at upstream are missing.",
                remedy=f"{'Solve the problem with the volume first.' if status.problems else upstream} "
                f"`{_MIRRORCTL} sync` retries at once. {_describe_next_run(status, now=now)}",
            )
        ]
    planned = status.schedule.next_run_at
    waiting = planned is not None and planned > now - _SCHEDULE_TOLERANCE and not status.running
    recent = completed is None or now - completed < SYNC_OVERDUE_AFTER
    if recent or waiting or status.schedule.paused or not status.schedule.cron:
        return []
    return [
        Issue(
            level=HealthLevel.WARNING,
            title="No full sync has finished for more than a day",
            since=completed,
            still_works=describe_stock(status),
            remedy="If the running sync makes progress, wait; otherwise `docker compose logs syncer` shows the cause.",
        )
    ]


def _find_withheld_removals(status: Status) -> list[Issue]:
    run = status.last_run
    if run is None or not run.counts.projects_withheld:
        return []
    withheld = run.counts.projects_withheld
    return [
        Issue(
            level=HealthLevel.WARNING,
            title=f"The deletion guard withholds {format_count(withheld, 'removal')}",
            detail=run.message,
            since=status.withheld_since or run.finished_at,
            still_works="These projects are still served; everything else was synced.",
            remedy="`docker compose run --rm --no-deps -T syncer plan` lists them and changes nothing. So many "
            "removals may be a mistake at upstream or in mirror.toml: once it is corrected, the next sync withholds "
            f"nothing. If they are intended: `{_MIRRORCTL} sync --allow-removals {withheld}`.",
        )
    ]


def _find_project_issues(status: Status) -> list[Issue]:
    failing, partial = (status.projects.get(state, 0) for state in (ProjectState.FAILING, ProjectState.PARTIAL))
    if not failing + partial:
        return []
    total = sum(number for state, number in status.projects.items() if state is not ProjectState.WITHDRAWN)
    parts = [f"{number:,} {word}" for number, word in ((failing, "failing"), (partial, "without some files")) if number]
    return [
        Issue(
            level=HealthLevel.WARNING,
            title=f"Not up to date: {failing + partial:,} of {total:,} projects",
            detail=f"{', '.join(parts)}.",
            since=status.needs_attention_since,
            still_works="Their previous versions are still served. Other projects are not affected.",
            remedy="The syncer retries each one automatically. The table below shows the reasons; "
            f"`{_MIRRORCTL} sync NAME` retries one now.",
        )
    ]


def _find_upstream_issues(status: Status) -> list[Issue]:
    completed, changed = last_completed_at(status), status.upstream_news_at
    many = sum(status.projects.values()) >= _UPSTREAM_STALE_MIN_PROJECTS
    if not many or completed is None or changed is None or completed - changed < _UPSTREAM_STALE_AFTER:
        return []
    return [
        Issue(
            level=HealthLevel.WARNING,
            title="Upstream answers, but has not changed for too long",
            since=changed,
            still_works=describe_stock(status),
            remedy="Compare a page of `MIRROR_UPSTREAM` with PyPI's: a cache or proxy in between may be stuck. "
            f"`{_MIRRORCTL} sync --force --confirm` requests everything without validators.",
        )
    ]


def _find_damaged_files(status: Status) -> list[Issue]:
    if not status.damaged_files:
        return []
    return [
        Issue(
            level=HealthLevel.WARNING,
            title=f"A verify found {format_count(status.damaged_files, 'damaged file')}",
            since=status.damaged_since,
            still_works="Clients reject a damaged file by its hash. All other files can be installed.",
            remedy=f"`{_MIRRORCTL} verify --repair --follow` downloads them again; `{_MIRRORCTL} runs` lists them. "
            "Check the disk and the kernel log.",
        )
    ]


def _find_schedule_issues(status: Status) -> list[Issue]:
    if not status.schedule.paused:
        return []
    return [
        Issue(
            level=HealthLevel.WARNING,
            title="The schedule is paused",
            since=status.schedule.paused_since,
            still_works=f"{describe_stock(status)} Runs that a person requests still start.",
            remedy=f"`{_MIRRORCTL} resume` starts scheduled runs again.",
        )
    ]


def _find_space_issues(status: Status) -> list[Issue]:
    disk = status.disk
    if disk is None or status.problems:
        return []
    issues = []
    if disk.free_bytes < _MIN_FREE_FRACTION * disk.size_bytes:
        issues.append(
            Issue(
                level=HealthLevel.WARNING,
                title=f"The volume is {1 - disk.free_bytes / max(disk.size_bytes, 1):.0%} full",
                still_works="Everything works until free space falls below MIRROR_DISK_RESERVE; then downloads stop.",
                remedy=f"Enlarge the volume, or mirror less (`mirror.toml`).{_describe_pending_removal(status)}",
            )
        )
    if disk.free_inodes is not None and disk.free_inodes < _MIN_FREE_INODES:
        issues.append(
            Issue(
                level=HealthLevel.WARNING,
                title=f"The volume has room for only {disk.free_inodes:,} more files",
                detail="Its file system is running out of inodes, however many bytes are free.",
                still_works="Everything works until 1,000 inodes are left; then downloads stop.",
                remedy="Mirror less (`mirror.toml`), or move to a file system with more inodes, such as XFS.",
            )
        )
    return issues


def _describe_pending_removal(status: Status) -> str:
    """Return when files in their grace period free space, and the command that frees it now; empty without any."""
    if (waiting := status.pending_removal) is None or not waiting.bytes:
        return ""
    size, last = decimal(waiting.bytes), format_time(waiting.last_at, now=status.as_of)
    return f" Files that wait for deletion free {size} {last} at the latest, or now: `{_MIRRORCTL} collect --now`."


def last_completed_at(status: Status) -> datetime | None:
    """Return when a full sync last succeeded or was incomplete; in an incomplete one, only failed projects are old."""
    return status.last_completed_at or status.last_success_at


def _find_recovery(status: Status, failed: Run) -> Run | None:
    """Return the full sync that started after a failed one, once it has updated a project."""
    for run in status.running:
        full = run.request.kind is RunKind.SYNC and run.request.projects is None
        if full and run.id > failed.id and run.counts.projects_done > run.counts.projects_failed:
            return run
    return None


def _failing_since(status: Status, run: Run) -> datetime:
    """Return when the first of the consecutive failed syncs ended; for a cancelled one, when that one ended."""
    ended = run.finished_at or run.started_at or run.created_at
    return status.failing_since or ended if run.state is RunState.FAILED else ended


def describe_stock(status: Status) -> str:
    """Return a sentence on how much can be installed."""
    if not status.installable:
        return "Nothing can be installed from here yet."
    return f"{format_count(status.installable, 'project')} with {format_count(status.files, 'file')} can be installed."


def _describe_next_run(status: Status, *, now: datetime) -> str:
    planned = status.schedule.next_run_at
    if planned is None or planned < now or not status.syncer_up:
        return ""
    return f"The next scheduled run starts in {format_duration((planned - now).total_seconds())}."
