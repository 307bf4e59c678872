"""
A sync of what is selected, or of the projects that a person named: what the plan says, and then what upstream has gone.

Of each project upstream is asked for its page; its list is of no concern.
"""

import asyncio
from collections.abc import Iterable

import structlog
from packaging.utils import NormalizedName

from mirror_contract import Failure
from mirror_syncer.catalog import Catalog
from mirror_syncer.config import PolicySource, fingerprint
from mirror_syncer.metrics import Metrics
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.project import GONE, ProjectRow
from mirror_syncer.publish.project_list import ProjectList
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.collection import Collection
from mirror_syncer.runs.feed import Feed
from mirror_syncer.runs.queue import Action, Task
from mirror_syncer.runs.sync.guard import RecentRemovals
from mirror_syncer.runs.sync.plan import Plan, Step, plan_sync
from mirror_syncer.volume import Volume

log = structlog.get_logger()


class SelectionSync:
    """Syncs what ``mirror.toml`` selects, all of it or some."""

    def __init__(
        self,
        *,
        policy: PolicySource,
        catalog: Catalog,
        feed: Feed,
        project_list: ProjectList,
        collection: Collection,
        volume: Volume,
        taken: RecentRemovals,
        metrics: Metrics,
    ) -> None:
        self._volume = volume
        self._policy = policy
        self._catalog = catalog
        self._feed = feed
        self._list = project_list
        self._collection = collection
        self._taken = taken
        self._metrics = metrics

    async def sync(self, run: ActiveRun) -> None:
        """
        Withdraw what is selected no more, refresh the others, and withdraw what upstream has no more.

        Cancelled, it leaves tasks in the queue.

        Raises:
            VolumeError: the list cannot be written, or the catalog not read.
        """
        with run.phase("plan"):
            plan = await self._plan(run)
        with run.phase("withdraw"):
            if plan.withdraw:
                # Removal goes the other way round: the list before the page, the page before its files. And it goes
                # first: it may be what makes room.
                await self._list.publish_without(plan.withdraw)
                await self._feed.run_to_completion(
                    run, (Task(run.id, n, Action.WITHDRAW, Priority.CHANGED) for n in plan.withdraw)
                )
        await self._collection.run(run)
        if plan.forget:
            await asyncio.to_thread(self._catalog.projects.forget, plan.forget)
        first = await asyncio.to_thread(self._what_makes_room, plan.refresh)
        if first:
            with run.phase("transfer"):
                postponed = await self._make_room(run, first)
            await self._collection.run(run)
            first = [step for step in first if step.name not in postponed]
        with run.phase("transfer"):
            await self._refresh(run, [step for step in plan.refresh if step not in first])
        with run.phase("withdraw"):
            await self._let_go(run)
        counts = run.document.counts
        # For a named project that did not change, the list of a first sync of everything is not written anew.
        if run.request.projects is None or counts.projects_changed or counts.projects_withdrawn:
            with run.phase("publish"):
                await self._list.publish(accept_reset=run.request.force and run.request.projects is None)
        await self._collection.run(run)

    async def _refresh(self, run: ActiveRun, steps: Iterable[Step]) -> None:
        await self._feed.run_to_completion(
            run, (Task(run.id, step.name, Action.REFRESH, step.priority) for step in steps)
        )

    async def _make_room(self, run: ActiveRun, steps: Iterable[Step]) -> set[NormalizedName]:
        """Refresh what may want less by now; return those that want more, and wait until there is room."""
        run.postponed = postponed = set[NormalizedName]()
        await self._refresh(run, steps)
        run.postponed = None
        return postponed

    def _what_makes_room(self, steps: Iterable[Step]) -> list[Step]:
        """
        Return which projects come before all others on a full disk: those that were published by another policy.

        It may want less of them. Of the others the first that has anything to fetch would end the run.
        """
        if not self._volume.is_full():
            return []
        policy, projects = self._policy.current, self._catalog.projects
        published = {row.name: row.fingerprint for row in projects.all_rows() if row.published}
        wanted = {
            step.name: fingerprint(selection, serve=policy.serve)
            for step in steps
            if step.name in published and (selection := policy.selection(step.name)) is not None
        }
        return [step for step in steps if step.name in wanted and published[step.name] != wanted[step.name]]

    async def _plan(self, run: ActiveRun) -> Plan:
        began = run.document.started_at
        rows, published = await asyncio.to_thread(self._rows, _names(run))
        plan = plan_sync(
            self._policy.current,
            rows,
            only=_names(run),
            allow_removals=run.request.allow_removals,
            since=int(began.timestamp()) if run.resumed and began else None,
            published=published,
            replaceable=self._policy.replaceable,
        )
        self._announce(run, plan)
        return plan

    def _rows(self, names: tuple[NormalizedName, ...] | None) -> tuple[dict[NormalizedName, ProjectRow], int]:
        """Return what the catalog knows of these projects, or of all, and how many are, or were today, published."""
        projects = self._catalog.projects
        found = projects.all_rows() if names is None else filter(None, map(projects.get, names))
        return {row.name: row for row in found}, self._taken.of_how_many()

    def _announce(self, run: ActiveRun, plan: Plan) -> None:
        counts = run.document.counts
        counts.projects_planned = len(plan.refresh) + len(plan.withdraw) + len(plan.keep)
        counts.projects_done = len(plan.keep)
        counts.projects_withheld = len(plan.withheld)
        run.allowance = plan.allowance
        numbers = {
            "refresh": len(plan.refresh),
            "withdraw": len(plan.withdraw),
            "keep": len(plan.keep),
            "withheld": len(plan.withheld),
        }
        if run.request.projects is None:
            self._metrics.show_plan(numbers)
        log.info("plan", **numbers)
        for name in plan.unselected:
            run.note(Failure(project=name, reason="not selected; name it in mirror.toml, then sync it"))
            counts.projects_failed += 1

    async def _let_go(self, run: ActiveRun) -> None:
        """
        Withdraw what upstream has no more, and let shrink what lost files.

        All of it, or none where that is, with what was taken within a day, more than the guard allows.
        """
        counts, gone = run.document.counts, tuple(run.gone)
        shrinking = [name for name in await asyncio.to_thread(self._catalog.due.shrinking) if run.concerns(name)]
        names = {*gone, *shrinking}
        told = run.request.allow_removals is not None
        measured = names if told else names | await asyncio.to_thread(self._taken.lately)
        if names and len(measured) > run.allowance:
            counts.projects_withheld += len(names)
        elif names and not run.over:
            if not told:
                await asyncio.to_thread(self._taken.note, names)
            counts.projects_planned += len(names)
            run.note(*(Failure(project=name, reason=GONE) for name in gone))
            if gone:
                await self._list.publish_without(gone)
            await self._feed.run_to_completion(
                run, (Task(run.id, name, Action.WITHDRAW, Priority.CHANGED) for name in gone)
            )
            await self._feed.run_to_completion(
                run, (Task(run.id, name, Action.SHRINK, run.priority) for name in shrinking)
            )


def _names(run: ActiveRun) -> tuple[NormalizedName, ...] | None:
    return None if run.request.projects is None else tuple(NormalizedName(name) for name in run.request.projects)
