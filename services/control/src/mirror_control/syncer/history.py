"""The last full syncs, for the charts."""

from mirror_contract import Run, RunKind, RunState, Status
from mirror_control.client.api_client import ApiError
from mirror_control.client.schemas import RunFilter
from mirror_control.syncer.syncer_client import SyncerClient

# Most of a day of syncs every half hour: more would not fit into a page of 150 kB. With many failures, an answer holds
# fewer.
_MAX_SYNCS = 40
_MAX_PAGES = 50
_ENDED = [state for state in RunState if state.ended]


class SyncHistory:
    """
    A cache of the last full syncs, oldest first, because browsers reload the page every few seconds.

    While the syncer does not answer, it returns the last known syncs.
    """

    def __init__(self) -> None:
        self._newest: str | None = None
        self._runs: list[Run] = []

    async def get_syncs(self, syncer: SyncerClient, status: Status) -> list[Run]:
        """Return the last full syncs, without their failures; request them only after a new one has ended."""
        newest = status.last_run.id if status.last_run else None
        if newest != self._newest and status.syncer_up:
            try:
                ended = await _last_syncs(syncer)
            except ApiError:
                return self._runs
            full = [run for run in ended if run.request.is_whole and run.started_at and run.finished_at]
            self._runs = list(reversed(full))
            self._newest = newest
        return self._runs


async def _last_syncs(syncer: SyncerClient) -> list[Run]:
    """Return the last finished syncs, newest first, without their failures."""
    found, after = list[Run](), None
    for _ in range(_MAX_PAGES):
        wanted = RunFilter(kind=RunKind.SYNC, state=_ENDED, limit=_MAX_SYNCS - len(found), after=after)
        page = await syncer.list_runs(wanted)
        found += (run.model_copy(update={"failures": [], "withheld": []}) for run in page.items)
        after = page.next
        if after is None or len(found) >= _MAX_SYNCS:
            break
    return found
