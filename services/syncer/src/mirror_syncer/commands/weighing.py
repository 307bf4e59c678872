"""
What a sync would fetch and what it would weigh, by upstream's pages as they are now.

Nothing is written, and the tree is not taken: it may be a running service's.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from packaging.utils import NormalizedName

from mirror_syncer.catalog import Catalog
from mirror_syncer.commands.weight import Fate, Sums, WeighedFile, Weight, gone_files, weigh_files
from mirror_syncer.config import Policy
from mirror_syncer.config.settings import Settings
from mirror_syncer.errors import InvalidPageError, PathError, UnreachableError, UpstreamError
from mirror_syncer.model.page import Page
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.project import GONE, ProjectRow
from mirror_syncer.model.validators import Validators
from mirror_syncer.publish import PublishedPage, find_published
from mirror_syncer.runs.sync.plan import Plan, Step
from mirror_syncer.upstream import Client, Gone, Index, Limits, NotModified
from mirror_syncer.volume import View
from mirror_syncer.work.transfer import UnhashedFiles, unchanged_page

# A person waits; and so many pages are asked for in a minute or two. A longer plan is told without its weight.
WEIGHED_MOST = 5_000
_ATTEMPTS = 3
_UNREACHABLE_IN_A_ROW = 10


class Scale:
    """
    Weighs projects.

    Args:
        keep_files: tell of each file by name, too.
    """

    def __init__(
        self, *, policy: Policy, catalog: Catalog, view: View, index: Index, unhashed: UnhashedFiles, keep_files: bool
    ) -> None:
        self._policy = policy
        self._catalog = catalog
        self._view = view
        self._index = index
        self._unhashed = unhashed
        self._keep_files = keep_files

    async def weigh(self, step: Step) -> Weight:
        """
        Ask for a project's page, and weigh what follows from it.

        Raises:
            UnreachableError: upstream does not answer.
        """
        selection = self._policy.selection(step.name)
        if selection is None:
            return Weight(step.name, "none", "not selected in mirror.toml")
        row = await asyncio.to_thread(self._catalog.projects.get, step.name)
        try:
            published = await asyncio.to_thread(find_published, self._view, step.name)
            page = await self._page(step.name, row, published)
        except UnreachableError:
            raise
        except (UpstreamError, InvalidPageError, PathError) as error:
            return Weight(step.name, "failing", str(error), failed=True)
        if page is None:
            if published is None:
                return Weight(step.name, "failing", "upstream has no such project; look at its name in mirror.toml")
            files: tuple[WeighedFile, ...] = tuple(gone_files(published))
            return self._weight(step.name, "withdraw", GONE, files)
        page = await asyncio.to_thread(self._unhashed.settle, page, published)
        files = await asyncio.to_thread(weigh_files, step.name, selection, page, published)
        if published is not None and not any(file.fate in (Fate.FETCH, Fate.LEAVES) for file in files):
            return self._weight(step.name, "keep", "nothing to fetch", files)
        return self._weight(step.name, "refresh", step.reason, files)

    def _weight(self, name: NormalizedName, action: str, reason: str, files: tuple[WeighedFile, ...]) -> Weight:
        return Weight(name, action, reason, Sums.of(files), files if self._keep_files else None)

    async def _page(self, name: NormalizedName, row: ProjectRow | None, published: PublishedPage | None) -> Page | None:
        validators = row.validators if row and row.published else Validators()
        answer = await self._index.page(name, validators=validators, priority=Priority.NAMED)
        match answer:
            case Gone():
                return None
            case NotModified():
                return await unchanged_page(await asyncio.to_thread(self._catalog.projects.kept, name), published)
            case _:
                return answer.page


@asynccontextmanager
async def open_index(settings: Settings) -> AsyncIterator[Index]:
    """
    Open the upstream, as a sync would ask it.

    Raises:
        ConfigurationError: its user and password cannot be read.
    """
    async with Client(settings.client_options(limits=Limits(attempts=_ATTEMPTS))) as client:
        yield Index(settings.upstream, client=client)


async def weigh(
    plan: Plan, *, scale: Scale, at_once: int, weighed: Callable[[int], None] = lambda _: None
) -> list[Weight]:
    """
    Weigh what a plan refreshes, in its order.

    Args:
        at_once: projects that are asked for together.
        weighed: told how many are done.

    Raises:
        UnreachableError: upstream answers for nobody.
    """
    weights: list[Weight | None] = [None] * len(plan.refresh)
    ahead = iter(enumerate(plan.refresh))
    done = silent = 0

    async def worker() -> None:
        nonlocal done, silent
        for place, step in ahead:
            try:
                weight = await scale.weigh(step)
                silent = 0
            except UnreachableError as error:
                silent += 1
                if silent >= min(_UNREACHABLE_IN_A_ROW, len(plan.refresh)):
                    raise UnreachableError(
                        f"upstream does not answer: {error}; `plan --offline` asks nobody"
                    ) from error
                weight = Weight(step.name, "failing", str(error), failed=True)
            weights[place] = weight
            done += 1
            weighed(done)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(at_once, len(plan.refresh))):
                group.create_task(worker())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [weight for weight in weights if weight is not None]
