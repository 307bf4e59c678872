"""A worker: performs jobs with a client of its own, in the parent process or in a worker process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from mirror_syncer.upstream import Client, Index, LegacyIndex
from mirror_syncer.volume import AnyTree
from mirror_syncer.work.inspection import InspectionResult
from mirror_syncer.work.inspector import InspectionJob, Inspector
from mirror_syncer.work.setup import CatalogProxy, Observations, WorkerSetup
from mirror_syncer.work.transfer import (
    Compared,
    Comparison,
    FileTransfer,
    LegacyTransfer,
    Outcome,
    Transfer,
    UnhashedFiles,
    UpstreamComparison,
    Withdrawal,
    Work,
)

Job = Work | Withdrawal | InspectionJob | Comparison
Result = Outcome | InspectionResult | Compared | None


class Worker:
    """Performs jobs, any number of them concurrently."""

    def __init__(self, transfer: Transfer, comparison: UpstreamComparison, index: Index, inspector: Inspector) -> None:
        self._transfer = transfer
        self._comparison = comparison
        self._inspector = inspector
        self.index = index

    async def perform(self, job: Job) -> Result:
        """
        Transfer a project up to the publication that its group commits, or inspect or compare it.

        Raises:
            VolumeError: the disk failed.
        """
        match job:
            case Work():
                return await self._transfer.refresh(job)
            case Withdrawal():
                return await self._transfer.withdraw(job)
            case InspectionJob():
                return await self._inspector.inspect(job)
            case Comparison():
                return await self._comparison.compare(job)


@asynccontextmanager
async def open_worker(
    setup: WorkerSetup, *, tree: AnyTree, catalog_proxy: CatalogProxy, observations: Observations
) -> AsyncIterator[Worker]:
    """Open a worker; its connections are closed at the end."""
    async with Client(
        setup.client, on_request=observations.observe_request, on_retry=observations.count_retry
    ) as client:
        index = Index(setup.upstream, client=client)
        unhashed = UnhashedFiles(setup.without_hash, upstream=setup.upstream, digest_of=tree.other_digest)
        transfer = Transfer(
            index=index,
            tree=tree,
            files=FileTransfer(
                index=index, tree=tree, claim=catalog_proxy.claim, at_once=setup.files_at_once, unhashed=unhashed
            ),
            unhashed=unhashed,
            claim=catalog_proxy.claim,
            kept=catalog_proxy.kept,
            legacy=LegacyTransfer(LegacyIndex(setup.upstream, client=client), tree=tree, stale_waits=setup.stale_waits),
            stale_waits=setup.stale_waits,
        )
        with closing(Inspector(tree)) as inspector:
            yield Worker(transfer, UpstreamComparison(index=index, tree=tree, unhashed=unhashed), index, inspector)
