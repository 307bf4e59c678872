"""The mirror's last whole syncs, for the chart."""

from mirror_contract import Run, RunKind, RunState, Status
from mirror_control.client.api_client import ApiError
from mirror_control.client.shapes import RunFilter
from mirror_control.syncer.connection import SyncerClient

# Two days of a sync every half an hour are 96; each may tell a hundred failures.
_LOOKED_AT = 100
_ENDED = [state for state in RunState if state.ended]


class History:
    """
    The last whole syncs, oldest first, as long as they are the last: the page is asked for every few seconds.

    While the syncer is away they are what was known before.
    """

    def __init__(self) -> None:
        self._newest: str | None = None
        self._runs: list[Run] = []

    async def look(self, syncer: SyncerClient, status: Status) -> list[Run]:
        """Return them without their failures."""
        newest = status.last_run.id if status.last_run else None
        if newest != self._newest and status.syncer_up:
            try:
                page = await syncer.runs(RunFilter(kind=RunKind.SYNC, state=_ENDED, limit=_LOOKED_AT))
            except ApiError:
                return self._runs
            whole = [run for run in page.items if run.request.projects is None and run.started_at and run.finished_at]
            self._runs = [run.model_copy(update={"failures": []}) for run in reversed(whole)]
            self._newest = newest
        return self._runs
