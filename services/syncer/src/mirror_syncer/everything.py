"""
A sync of everything: upstream's list says what changed, and the catalog what is to do.

It may take half a second or, the first time, weeks; nothing of it is kept in memory but the two thousand tasks that
wait next. Asked again meanwhile, it reads the list once more, and what changed comes before the backlog. A process that
starts anew goes on from what the catalog says.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

import structlog
from packaging.utils import NormalizedName

from mirror_contract import Failure
from mirror_syncer.catalog import Catalog, Fact, KnownList, Merged
from mirror_syncer.catalog.due import DueProject
from mirror_syncer.errors import Abandoned, ConfigurationError, InvalidPage, MirrorError, UpstreamError
from mirror_syncer.guard import Taken
from mirror_syncer.metrics import Metrics
from mirror_syncer.policy import Policy, PolicySource, fingerprint
from mirror_syncer.priority import Priority
from mirror_syncer.publish.project_list import ProjectList
from mirror_syncer.rows import GONE
from mirror_syncer.runs import FEW, ActiveRun
from mirror_syncer.upstream import Index, ListAnswer, ListedProjects, ListReader, NotModified, Validators
from mirror_syncer.volume import state_disk_says
from mirror_syncer.workqueue import Action, Task, WorkQueue

log = structlog.get_logger()

_PUBLISH_SECONDS = 300.0  # of a long sync, the project list is published so often
_FORGOTTEN_AT_ONCE = 1_000
_ASKED_AFTER_MOST = 1_000  # PyPI loses some 300 projects a day; a list that lacks more is for the guard to judge
_OLDER_SECONDS = 86_400  # an edge of the CDN is behind for an hour

Pages = Iterator[list[DueProject]]


class Everything:
    """
    Syncs all that upstream lists.

    Args:
        origin: the upstream that the list is of.
        directory: where the list lies while it is read, in a file without a name; PyPI's has 45 MB.
    """

    def __init__(
        self,
        *,
        origin: str,
        directory: Path,
        policy: PolicySource,
        catalog: Catalog,
        index: Index,
        queue: WorkQueue,
        project_list: ProjectList,
        taken: Taken,
        metrics: Metrics,
        publish_seconds: float = _PUBLISH_SECONDS,
    ) -> None:
        self._origin = origin
        self._directory = directory
        self._policy = policy
        self._catalog = catalog
        self._index = index
        self._queue = queue
        self._list = project_list
        self._taken = taken
        self._metrics = metrics
        self._publish_seconds = publish_seconds

    async def sync(self, run: ActiveRun) -> None:
        """
        Do all that there is to do, the list read once more as often as somebody asks; return when all is done.

        Raises:
            UpstreamError, InvalidPage: the list could not be had at the start; later that is noted, and work goes on.
        """
        run.follows_list = run.rereads = True
        if not await asyncio.to_thread(self._catalog.projects.any_published):
            await asyncio.to_thread(self._catalog.remember, Fact.FED_POLICY, self._policy.digest)
        ended = asyncio.Event()
        publisher = asyncio.create_task(self._publish_now_and_then(ended))
        try:
            with run.phase("plan"):
                # A run that broke off may not have asked after what the list that it read was the first to lack.
                lacking = await self._read_list(run) or run.resumed
            while True:
                with run.phase("withdraw"):
                    leaving = await self._withdraw(run)
                with run.phase("plan"):
                    asked_after = await self._ask_after(run) if lacking else 0
                with run.phase("collect"):
                    await self._collect(run)
                with run.phase("plan"):
                    await self._announce(run, leaving=leaving, asked_after=asked_after)
                with run.phase("transfer"):
                    await self._feed(run)
                if not run.reread or not self._goes_on(run):
                    break
                with run.phase("plan"):
                    lacking = await self._read_again(run)
                if not self._policy.current.everything:
                    break  # the rest is another run's
            # From here on a wish is a run of its own; what was wished up to here was heard.
            run.rereads = False
            with run.phase("transfer"):
                await _drained(run)
            with run.phase("withdraw"):
                await self._withdraw(run)
                await _drained(run)
        finally:
            run.rereads = False
            ended.set()
            await publisher
        with run.phase("publish"):
            await self._list.publish()
        with run.phase("collect"):
            await self._collect(run)
            await _drained(run)
        counts = run.document.counts
        if self._goes_on(run):
            counts.projects_planned = counts.projects_done
        if self._goes_on(run) and self._policy.current.everything:
            await asyncio.to_thread(self._catalog.remember, Fact.FED_POLICY, self._policy.digest)

    # The list

    async def _read_again(self, run: ActiveRun) -> bool:
        """
        Read policy and list while the workers have enough to do; return whether it is the first to lack some project.

        What can't be had is told, and changes nothing.
        """
        run.reread = False
        try:
            await asyncio.to_thread(self._policy.reload)
        except ConfigurationError as error:
            run.note(Failure(reason=f"{error}; what was in force before still is"))
        run.policy_digest = self._policy.digest
        try:
            return await self._read_list(run)
        except (UpstreamError, InvalidPage) as error:
            run.note(Failure(reason=str(error)))
            return False
        except Abandoned:
            return False  # what was published is still to be listed

    async def _read_list(self, run: ActiveRun) -> bool:
        """Read the list, and return whether it is the first to lack some project."""
        known = await asyncio.to_thread(self._catalog.listing.known)
        if known is not None and known.origin != self._origin:
            known = None
        force = run.request.force
        validators = known.validators if known and not force else Validators()
        with (
            state_disk_says(self._directory),
            TemporaryFile(dir=self._directory) as body,
            ListedProjects(self._directory) as listed,
        ):
            async with run.waiting():
                answer = await self._index.project_list(validators=validators, into=body, priority=Priority.CHANGED)
            if isinstance(answer, NotModified):
                log.info("list", news="none")
                await asyncio.to_thread(self._catalog.remember, Fact.LIST_OLDER, "")
                return False
            body.seek(0)
            reader = ListReader(body, is_json=answer.is_json)
            await asyncio.to_thread(listed.take, reader)
            new = _known(answer, reader, listed, origin=self._origin, last=known)
            if known is not None and not force and (new.serial or 0) < (known.serial or 0):
                # An edge of the CDN that has not heard yet, for up to an hour.
                log.info("list", news="none: it is older than the last", serial=new.serial, last=known.serial)
                await self._tell_of_older(run, new, last=known)
                return False
            merged: Merged = await asyncio.to_thread(
                self._catalog.listing.merge, listed.parts(), new, now=int(time.time()), anew=force or known is None
            )
        log.info(
            "list",
            projects=listed.count,
            serial=new.serial,
            new=merged.new,
            changed=merged.changed,
            absent=merged.absent,
            back=merged.back,
        )
        await asyncio.to_thread(self._catalog.remember, Fact.LIST_OLDER, "")
        run.note(*(Failure(reason=f"upstream's list: {fault}") for fault in listed.faults))
        return merged.absent > 0

    async def _tell_of_older(self, run: ActiveRun, new: KnownList, *, last: KnownList) -> None:
        """Tell of an older list that stays: one wrong serial, however high, must not stop the mirror unseen."""
        now = int(time.time())
        since = await asyncio.to_thread(self._catalog.recall, Fact.LIST_OLDER)
        if not since or int(since) > now:  # by a clock that has been set since
            await asyncio.to_thread(self._catalog.remember, Fact.LIST_OLDER, str(now))
        elif now - int(since) >= _OLDER_SECONDS:
            run.note(
                Failure(
                    reason=f"for more than a day upstream's list, of serial {new.serial}, has been older than the last "
                    f"one, of {last.serial}, so that nothing new is seen; `sync --force --confirm` takes what upstream "
                    "has"
                )
            )

    # What leaves

    async def _withdraw(self, run: ActiveRun) -> int:
        """
        Withdraw what is gone, let shrink what lost files, and return how many projects that are.

        All of them, or none where that is, with what was taken within a day, more than the guard allows.
        """
        known = await asyncio.to_thread(self._catalog.listing.known)
        if known is None or not self._goes_on(run):
            return 0
        due, counts = self._catalog.due, run.document.counts
        while names := await asyncio.to_thread(
            due.absent, edition=known.edition, published=False, limit=_FORGOTTEN_AT_ONCE
        ):
            await asyncio.to_thread(self._catalog.projects.forget, names)
        counts.projects_withheld = 0
        gone = await asyncio.to_thread(due.count_absent, edition=known.edition)
        removals = gone + await asyncio.to_thread(due.count_shrinking)
        if not removals:
            return 0
        told = run.allow_removals is not None
        lately = set[NormalizedName]() if told else await asyncio.to_thread(self._taken.lately)
        allowed = await self._allowed(run)
        at_hand, shrinking = self._queue.names(), list[NormalizedName]()
        if removals <= allowed + len(at_hand):
            names = await asyncio.to_thread(due.absent, edition=known.edition, published=True, limit=gone)
            names = [name for name in names if name not in at_hand]
            shrinking = [name for name in await asyncio.to_thread(due.shrinking) if name not in at_hand]
            removals = len(names) + len(shrinking)
        if removals and max(removals, len(lately.union(names, shrinking))) > allowed:
            counts.projects_withheld = removals
            log.warning("removals are withheld", projects=removals, allowed=allowed)
            return 0
        if not told:
            await asyncio.to_thread(self._taken.note, (*names, *shrinking))
        if run.request.allow_removals is None:
            run.allow_removals = None  # what a person allowed meanwhile was for once
        if names:
            # Removal goes the other way round: the list before the page, the page before its files.
            await self._list.publish(without=frozenset(names))
        await self._put(run, [Task(run.id, name, Action.WITHDRAW, Priority.CHANGED, reason=GONE) for name in names])
        await self._put(run, [Task(run.id, name, Action.SHRINK, Priority.CHANGED) for name in shrinking])
        return removals

    async def _ask_after(self, run: ActiveRun) -> int:
        """
        Ask for the pages of what the last list is the first to lack, and return how many that are.

        PyPI does not list what it quarantined, and says so on the page alone; that and a 404 are believed at once. A
        page that is there changes nothing: the next list decides.
        """
        known = await asyncio.to_thread(self._catalog.listing.known)
        if known is None:
            return 0
        due, at_hand = self._catalog.due, self._queue.names()
        before = await asyncio.to_thread(due.count_absent, edition=known.edition)
        absent = await asyncio.to_thread(due.count_absent, edition=known.edition + 1)
        if absent > _ASKED_AFTER_MOST:
            return 0
        past = await asyncio.to_thread(due.absent, edition=known.edition, published=True, limit=before)
        names = await asyncio.to_thread(due.absent, edition=known.edition + 1, published=True, limit=absent)
        names = [name for name in names if name not in at_hand.union(past)]
        await self._put(run, [Task(run.id, name, Action.REFRESH, Priority.CHANGED) for name in names])
        return len(names)

    async def _collect(self, run: ActiveRun) -> None:
        """Let go of files whose time has come: it may be what makes room."""
        due = await asyncio.to_thread(self._catalog.files.due_projects, now=int(time.time()))
        at_hand = self._queue.names()
        tasks = [Task(run.id, name, Action.COLLECT, Priority.CHANGED) for name in due if name not in at_hand]
        await self._put(run, tasks)

    async def _allowed(self, run: ActiveRun) -> int:
        """Return how many projects may be removed, those of a day together."""
        if run.allow_removals is not None:
            return run.allow_removals
        published = await asyncio.to_thread(self._catalog.projects.count_published)
        published += await asyncio.to_thread(self._taken.count_withdrawn)
        return self._policy.current.removal.allowed(published)

    # What is looked at

    async def _announce(self, run: ActiveRun, *, leaving: int, asked_after: int) -> None:
        known = await asyncio.to_thread(self._catalog.listing.known)
        amounts = await asyncio.to_thread(
            self._catalog.due.amounts, now=int(time.time()), first=known.first if known else 0
        )
        total = amounts.total
        began = _began(run)
        if known is not None and known.unnumbered:
            total += await asyncio.to_thread(self._catalog.due.count_unnumbered, before=began)
        if run.request.force:
            total = await asyncio.to_thread(self._catalog.due.count_listed)
        total += asked_after
        counts = run.document.counts
        counts.projects_planned = counts.projects_done + leaving + total
        keep = await asyncio.to_thread(self._catalog.due.count_listed) - total
        withheld = counts.projects_withheld
        numbers = {"refresh": total, "withdraw": leaving, "keep": max(0, keep), "withheld": withheld}
        self._metrics.show_plan(numbers)
        log.info("plan", **numbers, changed=amounts.changed, new=amounts.new, retry=amounts.retried)

    async def _feed(self, run: ActiveRun) -> None:
        """Put tasks into the queue as the workers need them; return when all are done, or the list is to be read."""
        known = await asyncio.to_thread(self._catalog.listing.known)
        for priority, pages in self._sources(run, known):
            while self._goes_on(run) and not run.reread:
                page = await asyncio.to_thread(next, pages, None)
                if page is None:
                    break
                at_hand = self._queue.names()
                first = known.first if known else 0
                tasks = [
                    # What came after the first list is news, although it was never looked at.
                    Task(run.id, due.name, Action.REFRESH, _priority(priority, due, first=first), wanted=due.wanted)
                    for due in page
                    if due.name not in at_hand
                ]
                await self._put(run, tasks)
                await _stirred(run, until_drained=False)
        while self._goes_on(run) and not run.reread and run.left > 0:
            await _stirred(run, until_drained=True)

    def _sources(self, run: ActiveRun, known: KnownList | None) -> Iterator[tuple[Priority, Pages]]:
        due, began, now = self._catalog.due, _began(run), int(time.time())
        if run.request.force:
            yield Priority.BACKLOG, due.everything(before=began)
            return
        yield Priority.CHANGED, due.changed()
        yield Priority.RETRY, due.retried(now=now)
        if self._catalog.recall(Fact.FED_POLICY) != self._policy.digest:
            yield Priority.RECHECK, self._unlike(self._policy.current)
        if known is not None and known.unnumbered:
            yield Priority.RECHECK, due.unnumbered(before=began)
        yield Priority.BACKLOG, due.new()

    def _unlike(self, policy: Policy) -> Pages:
        """Yield what was published by another policy than is in force."""
        others = {name: fingerprint(selection, serve=policy.serve) for name, selection in policy.projects.items()}
        usual = fingerprint(policy.usual, serve=policy.serve)
        for page in self._catalog.due.fingerprints():
            yield [due for due, by in page if by != others.get(due.name, usual)]

    async def _put(self, run: ActiveRun, tasks: list[Task]) -> None:
        if tasks and self._goes_on(run):
            run.expect(len(tasks))
            await self._queue.put(tasks)
            if not self._goes_on(run):  # it ended in this very moment, and what it had in the queue was dropped before
                run.task_done(await self._queue.drop(run.id))

    async def _publish_now_and_then(self, ended: asyncio.Event) -> None:
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), self._publish_seconds)
                return
            with contextlib.suppress(MirrorError):  # the run's end publishes again, and tells
                await self._list.publish()

    @staticmethod
    def _goes_on(run: ActiveRun) -> bool:
        return not run.cancelled and run.fatal is None


def _known(
    answer: ListAnswer, reader: ListReader, listed: ListedProjects, *, origin: str, last: KnownList | None
) -> KnownList:
    said = reader.serial if reader.serial is not None else answer.serial
    serial = said if said is not None else listed.newest or None
    return KnownList(
        origin=origin,
        # The clock may have been set back; the editions of an upstream's list go on.
        edition=serial if serial is not None else max(int(time.time()), last.edition + 1 if last else 0),
        serial=serial,
        unnumbered=listed.unnumbered,
        validators=answer.validators,
    )


def _began(run: ActiveRun) -> int:
    began = run.document.started_at
    return int(time.time() if began is None else began.timestamp())


def _priority(priority: Priority, due: DueProject, *, first: int) -> Priority:
    return Priority.CHANGED if priority is Priority.BACKLOG and (due.wanted or 0) > first else priority


async def _stirred(run: ActiveRun, *, until_drained: bool) -> None:
    """Wait until few of a run's tasks are left, or none; or it is to read the list once more."""
    few = 0 if until_drained else FEW
    while run.left > few and not run.reread:
        run.stirred.clear()
        if run.left > few and not run.reread:
            await run.stirred.wait()


async def _drained(run: ActiveRun) -> None:
    if run.left > 0:
        await run.drained.wait()
