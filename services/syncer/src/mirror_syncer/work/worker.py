"""One worker: a client, a hand in the tree, a desk, and the turns of projects; in the parent as in a process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from mirror_syncer.upstream import Budget, Client, Index, LegacyIndex
from mirror_syncer.volume import Tree
from mirror_syncer.work.inspection import InspectionResult
from mirror_syncer.work.inspector import InspectionJob, Inspector
from mirror_syncer.work.setup import CatalogProxy, Observations, Setup
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
    """Performs jobs; any number of them may be under way together."""

    def __init__(self, transfer: Transfer, comparison: UpstreamComparison, index: Index, inspector: Inspector) -> None:
        self._transfer = transfer
        self._comparison = comparison
        self._inspector = inspector
        self.index = index

    async def perform(self, job: Job) -> Result:
        """
        See a project through to a publication that waits for its group's commit; or look at it, see ``Inspector.look``.

        Raises:
            VolumeError: the disk says no.
        """
        match job:
            case Work():
                return await self._transfer.refresh(job)
            case Withdrawal():
                return await self._transfer.withdraw(job)
            case InspectionJob():
                return await self._inspector.look(job)
            case Comparison():
                return await self._comparison.compare(job)


@asynccontextmanager
async def open_worker(
    setup: Setup, *, tree: Tree, catalog_proxy: CatalogProxy, observations: Observations
) -> AsyncIterator[Worker]:
    """Put a worker together; its connections are closed in the end."""
    async with Client(
        user_agent=setup.user_agent,
        budget=Budget(setup.connections),
        hosts=setup.hosts,
        limits=setup.limits,
        ca_file=setup.ca_file,
        bandwidth=setup.bandwidth,
        credentials=setup.credentials,
        on_request=observations.observe_request,
        on_retry=observations.count_retry,
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
