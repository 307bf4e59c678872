"""The mirror's last whole syncs, for the chart."""

from mirror_contract import Run, RunKind, RunState, Status
from mirror_control.client.api_client import ApiError
from mirror_control.client.shapes import RunFilter
from mirror_control.syncer.connection import SyncerClient

# Two days of a sync every half an hour are 96. Each may tell a hundred failures, so an answer may hold fewer.
_LOOKED_AT = 100
_ANSWERS_MOST = 50
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
                ended = await _last_syncs(syncer)
            except ApiError:
                return self._runs
            whole = [run for run in ended if run.request.projects is None and run.started_at and run.finished_at]
            self._runs = list(reversed(whole))
            self._newest = newest
        return self._runs


async def _last_syncs(syncer: SyncerClient) -> list[Run]:
    """Return the last syncs that ended, newest first, without their failures."""
    found, after = list[Run](), None
    for _ in range(_ANSWERS_MOST):
        wanted = RunFilter(kind=RunKind.SYNC, state=_ENDED, limit=_LOOKED_AT - len(found), after=after)
        page = await syncer.runs(wanted)
        found += (run.model_copy(update={"failures": []}) for run in page.items)
        after = page.next
        if after is None or len(found) >= _LOOKED_AT:
            break
    return found
