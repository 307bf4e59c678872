"""What runs changed within the last day."""

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from mirror_contract import RunChange
from mirror_control.client.api_client import ApiError
from mirror_control.client.schemas import RunFilter
from mirror_control.syncer.syncer_client import SyncerClient

_PERIOD: Final = timedelta(days=1)
_MAX_RUNS: Final = 200
# An open page asks every two seconds.
_FRESH_SECONDS: Final = 30.0
_MAX_NEWEST_PROJECTS: Final = 20
_MAX_LARGEST_PROJECTS: Final = 5


class RecentChanges(NamedTuple):
    """What the runs since a moment changed."""

    since: datetime
    runs: int
    is_partial: bool
    """There were more runs than were asked for."""
    projects: int
    """Changed pages; a project that changed twice counts twice."""
    withdrawn: int
    files: int
    size: int
    newest: list[tuple[str, RunChange]]
    """The first twenty projects, the last changed first, each with the id of the run."""
    largest: list[tuple[str, int]]
    """The five projects that most was downloaded for, the largest first, each with its bytes."""


class RecentChangesCache:
    """
    A cache of what changed within the last day, because browsers reload the page every few seconds.

    While the syncer is away, it has the last answer.
    """

    def __init__(self) -> None:
        self._known: RecentChanges | None = None
        self._asked_at = float("-inf")

    async def get_changes(self, syncer: SyncerClient) -> RecentChanges | None:
        """Return what changed within the last day; None if it was never known."""
        if time.monotonic() - self._asked_at < _FRESH_SECONDS:
            return self._known
        self._asked_at = time.monotonic()  # also if it fails: an open page must not ask a hanging syncer each time
        since = datetime.now(UTC) - _PERIOD
        try:
            page = await syncer.list_runs(RunFilter(since=since, limit=_MAX_RUNS))
        except ApiError:
            return self._known
        newest, sizes = dict[str, tuple[str, RunChange]](), Counter[str]()
        for run in page.items:
            for change in run.changes:
                newest.setdefault(change.project, (run.id, change))
                sizes[change.project] += change.bytes_fetched
        counts = [run.counts for run in page.items]
        self._known = RecentChanges(
            since=since,
            runs=len(page.items),
            is_partial=page.next is not None,
            projects=sum(one.projects_changed for one in counts),
            withdrawn=sum(one.projects_withdrawn for one in counts),
            files=sum(one.files_fetched for one in counts),
            size=sum(one.bytes_fetched for one in counts),
            newest=list(newest.values())[:_MAX_NEWEST_PROJECTS],
            largest=[(project, size) for project, size in sizes.most_common(_MAX_LARGEST_PROJECTS) if size],
        )
        return self._known
