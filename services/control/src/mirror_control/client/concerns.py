"""What needs a person, judged from a status: what is wrong, since when, what still works and what to do."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from rich.filesize import decimal

from mirror_contract import ProjectState, Run, RunKind, RunState, Status
from mirror_control.client.words import ago, count, span

# A daily sync, and the time that it takes.
OVERDUE = timedelta(hours=26)
# The clock of the schedule and ours are two.
_LATE = timedelta(minutes=10)
# Of less than MIRROR_DISK_RESERVE the syncer itself makes a problem.
_LITTLE_ROOM = 0.1
# Of less than 1,000 likewise. A small ext4 has 130,000 when it is empty.
_FEW_INODES = 20_000
# Of 10,000 projects at least one changes within an hour, so six hours without news mean a frozen cache or upstream.
_NO_NEWS, _MANY_PROJECTS = timedelta(hours=6), 10_000
# As an operator types it on the mirror's host, which has no other mirrorctl.
_MIRRORCTL = "docker compose exec control mirrorctl"


class Level(StrEnum):
    """How much it matters."""

    GOOD = "good"
    BUSY = "busy"  # nothing is wrong, and nothing is finished
    WARNING = "warning"  # someone should look, soon
    ALARM = "alarm"  # nothing new comes in until someone does


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """
    One thing that needs a person.

    Attributes:
        detail: the syncer's or upstream's own words.
        since: when it began, or when last it was otherwise; None where nobody wrote that down.
        remedy: what to do; commands stand in backquotes.
    """

    level: Level
    title: str
    detail: str | None = None
    since: datetime | None = None
    works: str
    remedy: str


def find_concerns(status: Status, *, now: datetime) -> list[Concern]:
    """Return all that needs a person, in no order of weight."""
    found = [
        *_syncer(status),
        *_volume(status),
        *_policy(status),
        *_sync(status, now=now),
        *_removals(status),
        *_projects(status),
    ]
    return [*found, *_damage(status), *_news(status), *_schedule(status), *_room(status)]


def _syncer(status: Status) -> list[Concern]:
    if status.syncer_up:
        return []
    return [
        Concern(
            level=Level.ALARM,
            title="The syncer does not answer",
            since=status.as_of,
            works=f"{served(status)} Nothing new comes in, and all below is what was last known.",
            remedy="`docker compose ps syncer` and `docker compose logs syncer` say why; "
            "`docker compose up -d` starts what is stopped.",
        )
    ]


def _volume(status: Status) -> list[Concern]:
    return [
        Concern(
            level=Level.ALARM,
            title="The volume needs a person" if status.disk else "The volume can't be read",
            detail=problem,
            since=status.failing_since if status.last_run and status.last_run.state is RunState.FAILED else None,
            works="What can be read from the volume is served. No sync gets through until this is mended.",
            remedy=f"Do as it says; then `{_MIRRORCTL} sync`, or wait for the next run.",
        )
        for problem in status.problems
    ]


def _policy(status: Status) -> list[Concern]:
    if status.policy is None or not status.policy.problems:
        return []
    return [
        Concern(
            level=Level.WARNING,
            title="mirror.toml cannot be used",
            detail="; ".join(map(str, status.policy.problems)),
            since=status.policy.invalid_since,
            works="The last good policy stays in force, and syncs go on by it.",
            remedy="Correct `config/mirror.toml`: the syncer notices within seconds, and the next run uses it. "
            "`docker compose exec -T syncer mirror-syncer check` says whether it is right.",
        )
    ]


def _sync(status: Status, *, now: datetime) -> list[Concern]:
    run, completed = status.last_run, completed_at(status)
    if run is None:
        if status.running or status.queued:
            return []
        return [
            Concern(
                level=Level.WARNING,
                title="No sync has run with this catalog yet"
                if status.installable
                else "Nothing has been mirrored yet",
                works=served(status),
                remedy=f"`{_MIRRORCTL} sync` begins. {_next(status, now=now)}",
            )
        ]
    if run.state in (RunState.FAILED, RunState.CANCELLED) and (mending := _mending(status, run)) is not None:
        counts, ended = mending.counts, "failed" if run.state is RunState.FAILED else "was cancelled"
        return [
            Concern(
                level=Level.BUSY,
                title=f"A sync is under way: {counts.projects_done:,} of {counts.projects_planned:,} projects",
                detail=f"The sync before it {ended}{f': {run.message}' if run.message else ''}",
                since=mending.started_at,
                works=f"{served(status)} What is new upstream arrives as the sync goes on.",
                remedy="Wait until it ends.",
            )
        ]
    if run.state in (RunState.FAILED, RunState.CANCELLED):
        upstream = (
            "If it is upstream that does not answer: is the mirror host's network as it was, and in `.env` "
            "`HTTPS_PROXY` and `MIRROR_UPSTREAM`? Once it answers, a run catches up by itself. "
            "`docker compose logs syncer` has the details."
        )
        return [
            Concern(
                level=Level.ALARM if run.state is RunState.FAILED else Level.WARNING,
                title=f"The last sync {'failed' if run.state is RunState.FAILED else 'was cancelled'}",
                detail=run.message,
                since=_failed_since(status, run),
                works=f"{served(status)} What is new upstream since then is not here.",
                remedy=f"{'Mend the volume first.' if status.problems else upstream} "
                f"`{_MIRRORCTL} sync` tries again at once. {_next(status, now=now)}",
            )
        ]
    planned = status.schedule.next_run_at
    waits = planned is not None and planned > now - _LATE and not status.running
    if completed is None or now - completed < OVERDUE or waits or status.schedule.paused or not status.schedule.cron:
        return []
    return [
        Concern(
            level=Level.WARNING,
            title="No full sync has finished for more than a day",
            since=completed,
            works=served(status),
            remedy="If the run under way still moves, wait; else `docker compose logs syncer` says what it waits for.",
        )
    ]


def _removals(status: Status) -> list[Concern]:
    run = status.last_run
    if run is None or not run.counts.projects_withheld:
        return []
    withheld = run.counts.projects_withheld
    return [
        Concern(
            level=Level.WARNING,
            title=f"{count(withheld, 'removal')} {'is' if withheld == 1 else 'are'} held back",
            detail=run.message,
            since=status.withheld_since or run.finished_at,
            works="These projects are served as before; everything else was synced.",
            remedy="`docker compose run --rm --no-deps -T syncer plan` says which they are, and changes nothing. So "
            "many at once may be a mistake upstream or in mirror.toml: once that is mended, the next sync withholds "
            f"nothing. If they are meant: `{_MIRRORCTL} sync --allow-removals {withheld}`.",
        )
    ]


def _projects(status: Status) -> list[Concern]:
    failing, partial = (status.projects.get(state, 0) for state in (ProjectState.FAILING, ProjectState.PARTIAL))
    if not failing + partial:
        return []
    every = sum(number for state, number in status.projects.items() if state is not ProjectState.WITHDRAWN)
    parts = [f"{number:,} {word}" for number, word in ((failing, "failing"), (partial, "without some files")) if number]
    return [
        Concern(
            level=Level.WARNING,
            title=f"Not up to date: {failing + partial:,} of {every:,} projects",
            detail=f"{', '.join(parts)}.",
            since=status.amiss_since,
            works="What was published of these is still served, and the others are not touched by it.",
            remedy="Each is tried again by itself. Below is the reason of each; "
            f"`{_MIRRORCTL} sync NAME` tries one now.",
        )
    ]


def _news(status: Status) -> list[Concern]:
    completed, news = completed_at(status), status.upstream_news_at
    many = sum(status.projects.values()) >= _MANY_PROJECTS
    if not many or completed is None or news is None or completed - news < _NO_NEWS:
        return []
    return [
        Concern(
            level=Level.WARNING,
            title="Upstream answers, but has had no news for too long",
            since=news,
            works=served(status),
            remedy="Compare a page of `MIRROR_UPSTREAM` with PyPI's: a cache or proxy in between may have frozen. "
            f"`{_MIRRORCTL} sync --force --confirm` asks for everything without validators.",
        )
    ]


def _damage(status: Status) -> list[Concern]:
    if not status.damaged_files:
        return []
    return [
        Concern(
            level=Level.WARNING,
            title=f"A verify found {count(status.damaged_files, 'damaged file')}",
            since=status.damaged_since,
            works="Clients refuse a damaged file by its hash; every other file installs.",
            remedy=f"`{_MIRRORCTL} verify --repair --follow` fetches them again; `{_MIRRORCTL} runs` names them. "
            "Is the disk sound? See the kernel's log.",
        )
    ]


def _schedule(status: Status) -> list[Concern]:
    if not status.schedule.paused:
        return []
    return [
        Concern(
            level=Level.WARNING,
            title="The schedule is paused",
            since=status.schedule.paused_since,
            works=f"{served(status)} Runs that are asked for are done.",
            remedy=f"`{_MIRRORCTL} resume` lets runs come by the clock again.",
        )
    ]


def _room(status: Status) -> list[Concern]:
    disk = status.disk
    if disk is None or status.problems:
        return []
    concerns = []
    if disk.free_bytes < _LITTLE_ROOM * disk.size_bytes:
        concerns.append(
            Concern(
                level=Level.WARNING,
                title=f"The volume is {1 - disk.free_bytes / max(disk.size_bytes, 1):.0%} full",
                works="Everything, until MIRROR_DISK_RESERVE is reached; then no more is fetched.",
                remedy=f"Grow the volume, or mirror less: `mirror.toml`.{_pending_removal(status)}",
            )
        )
    if disk.free_inodes is not None and disk.free_inodes < _FEW_INODES:
        concerns.append(
            Concern(
                level=Level.WARNING,
                title=f"The volume has room for {disk.free_inodes:,} files more",
                detail="Its file system runs out of inodes, however many bytes are free.",
                works="Everything, until 1,000 are left; then no more is fetched.",
                remedy="Mirror less, `mirror.toml`, or move to a file system with more inodes, or to XFS.",
            )
        )
    return concerns


def _pending_removal(status: Status) -> str:
    """Return when files in their grace period free their room, and the command that frees it now; empty without any."""
    if (waiting := status.pending_removal) is None or not waiting.bytes:
        return ""
    size, last = decimal(waiting.bytes), ago(waiting.last_at, now=status.as_of)
    return f" Files that wait for deletion free {size} {last} at the latest, or now: `{_MIRRORCTL} collect --now`."


def completed_at(status: Status) -> datetime | None:
    """Return when last a sync of everything came to its end; in an incomplete one all but what failed is fresh."""
    return status.last_completed_at or status.last_success_at


def _mending(status: Status, failed: Run) -> Run | None:
    """Return the full sync that was started after one that failed, once it has brought a project up to date."""
    for run in status.running:
        whole = run.request.kind is RunKind.SYNC and run.request.projects is None
        if whole and run.id > failed.id and run.counts.projects_done > run.counts.projects_failed:
            return run
    return None


def _failed_since(status: Status, run: Run) -> datetime:
    """Return when the first of the syncs ended that failed without one between them that did what it could."""
    ended = run.finished_at or run.started_at or run.created_at
    return status.failing_since or ended if run.state is RunState.FAILED else ended


def served(status: Status) -> str:
    """Return how much can be installed."""
    if not status.installable:
        return "Nothing can be installed from here yet."
    return f"{count(status.installable, 'project')} with {count(status.files, 'file')} can be installed."


def _next(status: Status, *, now: datetime) -> str:
    moment = status.schedule.next_run_at
    if moment is None or moment < now or not status.syncer_up:
        return ""
    return f"By itself the next run comes in {span((moment - now).total_seconds())}."
