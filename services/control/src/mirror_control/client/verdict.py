"""What a person must know at one look: the headline, and whether anything needs a person."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from mirror_contract import ProjectState, Run, RunKind, Status
from mirror_control.client.concerns import OVERDUE, Concern, Level, completed_at, find_concerns, served
from mirror_control.client.words import ago, count, span

# What a sync of changes takes seconds for.
_LONG = timedelta(hours=1)
# Of an upstream that takes connections and says nothing the first project fails after eight minutes (10 connections).
_IDLE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    The headline, and all that needs a person, the gravest first.

    Attributes:
        sentence: what there is to say where nothing needs a person.
    """

    level: Level
    title: str
    sentence: str
    concerns: list[Concern]

    @property
    def gravest(self) -> Level:
        """The level of the gravest concern: a run that is mending one failure hides no other."""
        return max((concern.level for concern in self.concerns), key=_ORDER.index, default=self.level)


# From what needs nobody to what needs somebody at once.
_ORDER = (Level.GOOD, Level.BUSY, Level.WARNING, Level.ALARM)
# What is read first. A run that mends the last failure comes before what it leaves for later.
_FIRST_READ = (Level.ALARM, Level.BUSY, Level.WARNING)


def judge(status: Status, *, now: datetime) -> Verdict:
    """Return what the status means."""
    # A stable sort: of equal weight, what is found first.
    concerns = sorted(find_concerns(status, now=now), key=lambda concern: _FIRST_READ.index(concern.level))
    if concerns:
        return Verdict(concerns[0].level, concerns[0].title, "", concerns)
    return _well(status, now=now)


def _well(status: Status, *, now: datetime) -> Verdict:
    """Return what a status means in which nothing needs a person."""
    if (completed := completed_at(status)) is None:
        if status.installable:
            return Verdict(Level.BUSY, "The first sync with this catalog is under way", served(status), [])
        return Verdict(Level.BUSY, "The first sync is under way", "Projects can be installed as they arrive.", [])
    if (run := _long_sync(status, now=now)) is not None:
        length, counts = span((now - (run.started_at or now)).total_seconds()), run.counts
        silent = "" if counts.projects_done else f" None of {counts.projects_planned:,} is done: does upstream answer?"
        return Verdict(Level.BUSY, f"A sync has been under way for {length}", f"{_fresh(status, now=now)}{silent}", [])
    if now - completed >= OVERDUE:  # once a week, or by hand
        return Verdict(Level.GOOD, f"Complete, as upstream was {ago(completed, now=now)}", _fresh(status, now=now), [])
    if late := _late(status):
        title = f"Fresh; upstream shows older pages of {count(late, 'project')}"
        return Verdict(Level.GOOD, title, _fresh(status, now=now), [])
    return Verdict(Level.GOOD, "Fresh and complete", _fresh(status, now=now), [])


def silence(reason: str) -> Verdict:
    """Return what it means that the syncer does not answer and never did."""
    concern = Concern(
        level=Level.ALARM,
        title="The syncer does not answer",
        detail=reason,
        works="What was mirrored is served all the same; nothing is known of it here, since control never heard of it.",
        remedy="`docker compose ps syncer` and `docker compose logs syncer` say why; "
        "`docker compose up -d` starts what is stopped.",
    )
    return Verdict(concern.level, concern.title, "", [concern])


def _long_sync(status: Status, *, now: datetime) -> Run | None:
    """Return a sync of the whole mirror that is under way for long; sooner, one that has nothing done."""
    for run in status.running:
        if run.request.kind is not RunKind.SYNC or run.request.projects is not None or run.started_at is None:
            continue
        idle = run.counts.projects_planned and not run.counts.projects_done
        if now - run.started_at >= (_IDLE if idle else _LONG):
            return run
    return None


def _late(status: Status) -> int:
    """Return how many selected projects upstream shows an older page of; with everything, those only wait."""
    return 0 if status.scope == "everything" else status.projects.get(ProjectState.BEHIND, 0)


def _fresh(status: Status, *, now: datetime) -> str:
    behind = status.projects.get(ProjectState.BEHIND, 0) if not _late(status) else 0
    waiting = f" Still to be synced: {count(behind, 'project')} that changed since then." if behind else ""
    return f"As upstream was {ago(completed_at(status), now=now)}. {served(status)}{waiting}"
