"""The issues of a mirror, found in its status."""

from datetime import datetime, timedelta

from mirror_contract import ProjectState, Run, RunKind, RunState, Status
from mirror_control.client.dependency_issues import find_dependency_issues
from mirror_control.client.formatting import format_count, format_duration
from mirror_control.client.issue import MIRRORCTL, HealthLevel, Issue
from mirror_control.client.storage_issues import find_damage_issues, find_space_issues, find_volume_issues

# A daily sync, plus two hours for the sync itself.
SYNC_OVERDUE_AFTER = timedelta(hours=26)
# The syncer's clock and control's may differ.
_SCHEDULE_TOLERANCE = timedelta(minutes=10)
# At least one of 10,000 projects changes within an hour, so six hours without changes mean a frozen cache or upstream.
_SYNC = {"name": "sync"}
_UPSTREAM_STALE_AFTER, _UPSTREAM_STALE_MIN_PROJECTS = timedelta(hours=6), 10_000


def find_issues(status: Status, *, now: datetime) -> list[Issue]:
    """Return all issues, not sorted by urgency."""
    return [
        *_find_syncer_issues(status),
        *find_volume_issues(status),
        *_find_policy_issues(status),
        *_find_sync_issues(status, now=now),
        *_find_withheld_removals(status),
        *_find_project_issues(status),
        *find_dependency_issues(status),
        *find_damage_issues(status),
        *_find_upstream_issues(status),
        *_find_schedule_issues(status),
        *find_space_issues(status),
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
                remedy=f"`{MIRRORCTL} sync` starts a sync. {_describe_next_run(status, now=now)}",
                offers=(_SYNC,),
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
        return [
            Issue(
                level=HealthLevel.ALARM if run.state is RunState.FAILED else HealthLevel.WARNING,
                title=f"The last sync {'failed' if run.state is RunState.FAILED else 'was cancelled'}",
                detail=run.message,
                since=_failing_since(status, run),
                still_works=f"{describe_stock(status)} Later changes at upstream are missing.",
                remedy=f"{_remedy_of_failed_sync(status, run)} `{MIRRORCTL} sync` retries at once. "
                f"{_describe_next_run(status, now=now)}",
                offers=(_SYNC,),
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


def _remedy_of_failed_sync(status: Status, run: Run) -> str:
    if status.problems:
        return "Solve the problem with the volume first."
    if (run.message or "").startswith("[limits]"):
        return "Change `config/mirror.toml`; the next run uses it."
    return (
        "If upstream does not answer, check the mirror host's network, and `HTTPS_PROXY` and `MIRROR_UPSTREAM` "
        "in `.env`. Once upstream answers, the next run catches up. "
        "`docker compose logs syncer` has the details."
    )


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
            f"nothing. If they are intended: `{MIRRORCTL} sync --allow-removals {withheld}`.",
            offers=({"name": "allow-removals", "number": str(withheld)},),
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
            f"`{MIRRORCTL} sync NAME` retries one now.",
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
            f"`{MIRRORCTL} sync --force --confirm` requests everything without validators.",
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
            remedy=f"`{MIRRORCTL} resume` starts scheduled runs again.",
            offers=({"name": "resume"},),
        )
    ]


def last_completed_at(status: Status) -> datetime | None:
    """Return when a full sync last succeeded or was incomplete; in an incomplete one, only failed projects are old."""
    return status.last_completed_at or status.last_success_at


def _find_recovery(status: Status, failed: Run) -> Run | None:
    """Return the full sync that started after a failed one, once it has updated a project."""
    for run in status.running:
        full = run.request.kind is RunKind.SYNC and run.request.is_whole
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
