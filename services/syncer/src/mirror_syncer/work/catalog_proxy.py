"""The catalog proxy: batches the catalog writes of all workers."""

import asyncio
from collections.abc import Sequence

from packaging.utils import NormalizedName

from mirror_syncer.catalog import Catalog
from mirror_syncer.model.names import PackagePath
from mirror_syncer.model.project import KeptPage, Pending

_BATCH_SECONDS = 0.006  # to wait for further intents; a project takes five times as long


class DirectCatalogProxy:
    """
    Calls the catalog on behalf of workers; intents that arrive together are recorded in one transaction.

    A transaction in a thread takes 0.37 ms for the intents of one project, and 1.6 ms for those of fifty.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._waiting: list[tuple[Sequence[Pending], asyncio.Future[set[PackagePath]]]] = []
        self._recording: asyncio.Task[None] | None = None

    async def claim(self, intents: Sequence[Pending]) -> set[PackagePath]:
        """Record which places are about to change."""
        recorded: asyncio.Future[set[PackagePath]] = asyncio.get_running_loop().create_future()
        self._waiting.append((intents, recorded))
        if self._recording is None:
            self._recording = asyncio.create_task(self._record())
        return await recorded

    async def kept(self, name: NormalizedName) -> KeptPage | None:
        """Return the copy of upstream's page that was kept for a project."""
        return await asyncio.to_thread(self._catalog.kept_pages.get, name)

    async def _record(self) -> None:
        while self._waiting:
            await asyncio.sleep(_BATCH_SECONDS)
            waiting, self._waiting = self._waiting, []
            try:
                taken = await asyncio.to_thread(self._catalog.files.claim_all, [intents for intents, _ in waiting])
            except Exception as error:  # noqa: BLE001 - the callers decide
                for _, recorded in waiting:
                    if not recorded.done():
                        recorded.set_exception(error)
                continue
            for (_, recorded), places in zip(waiting, taken, strict=True):
                if not recorded.done():
                    recorded.set_result(places)
        self._recording = None
