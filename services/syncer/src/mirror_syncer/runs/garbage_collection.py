"""Collection: removes files that no page names any longer, when their grace period is over."""

import asyncio
import time
from dataclasses import dataclass

from packaging.utils import NormalizedName

from mirror_contract import Failure
from mirror_syncer.catalog import Catalog
from mirror_syncer.errors import InvalidPageError, PathError, VolumeFullError
from mirror_syncer.model.names import PackagePath, possible_projects
from mirror_syncer.model.project import Pending, Retirement
from mirror_syncer.publish import read_published
from mirror_syncer.publish.generations import Generations
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.context import RunContext
from mirror_syncer.runs.executor import RunExecutor
from mirror_syncer.runs.queue import Action, Task
from mirror_syncer.volume import AnyVolume


@dataclass(frozen=True, slots=True)
class Collected:
    """
    The removed files of a project.

    Attributes:
        files: how many left the document root.
        bytes: how many were freed.
        failures: files that could not be removed; they stay due.
    """

    files: int
    bytes: int
    failures: tuple[Failure, ...] = ()


class Collection(RunExecutor):
    """Removes due files, in a run of its own or as a phase of a sync or a verify."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._applied_grace: int | None = None
        """The grace period, in seconds, that all retired files were last given."""

    async def execute(self, run: ActiveRun) -> None:
        """Remove due files by the grace period that ``mirror.toml`` names now."""
        await self._context.reload_policy(run)
        await self.collect(run)

    async def save(self, run: ActiveRun) -> None:
        """Store the counts."""
        await asyncio.to_thread(self._context.runs.save, run)

    def conclude(self, run: ActiveRun) -> None:
        """Record nothing: a collection has no further effect."""

    async def collect(self, run: ActiveRun) -> None:
        """Remove the due files of the projects that the run covers."""
        with run.progress.phase("collect"):
            due = await self.due_projects(now=run.request.now)
            tasks = (Task(run.id, name, Action.COLLECT, run.priority) for name in due if run.covers(name))
            await self._context.feed.run_to_completion(run, tasks)

    async def due_projects(self, *, now: bool = False) -> list[NormalizedName]:
        """
        Return the projects that have due files, by the grace period in force.

        Args:
            now: make all retired files due.
        """
        await self._context.clock.check()  # a run may take weeks, so the check at its start is not enough
        return await asyncio.to_thread(self._due_projects, now=now)

    def _due_projects(self, *, now: bool) -> list[NormalizedName]:
        files = self._context.catalog.files
        if now:
            files.end_grace()
        elif (grace := self._context.grace_seconds) != self._applied_grace:
            files.apply_grace(grace)
            self._applied_grace = grace
        return files.due_projects(now=int(time.time()))


def collect(name: NormalizedName, *, catalog: Catalog, volume: AnyVolume, generations: Generations) -> Collected:
    """
    Remove the due files of a project; files of quarantined releases move to ``.withdrawn/``.

    Their rows were committed after a ``sync`` that was later than the page that dropped them, so no page that a power
    cut could bring back names them. Three kinds of files stay: one that a page names after all (one project's page may
    have named another's file, and dropped it), one that another project is about to change, and one that cannot be
    removed. The caller ensures that no other task works on the project.

    A file whose removal needs disk space, for the tombstone in its place, is retried after the others are removed.
    """
    found = catalog.files.due(name, now=int(time.time()))
    taken = catalog.files.claim([Pending(name, r.place, r.sha256, r.withdraw) for r in found])
    due = [retirement for retirement in found if retirement.place not in taken]
    pages = dict[NormalizedName, frozenset[PackagePath]]()
    removed, kept = list[Retirement](), list[Retirement]()
    failed: dict[PackagePath, Failure] = {}
    while due:
        full = list[Retirement]()
        for retirement in due:
            try:
                if _is_named(volume, retirement, pages):
                    kept.append(retirement)
                else:
                    _remove(volume, retirement)
                    removed.append(retirement)
            except (PathError, VolumeFullError) as error:
                filename = retirement.place.rpartition("/")[2]
                failed[retirement.place] = Failure(project=name, file=filename, reason=str(error))
                full += [retirement] if isinstance(error, VolumeFullError) else []
        if len(full) == len(due):
            break
        due = full  # the removed files may have freed enough space for these
        for retirement in due:
            del failed[retirement.place]
    if any(retirement.withdraw for retirement in removed):
        volume.sync()  # a power cut must not bring back a quarantined file
    generation = generations.advance() if removed else None
    done = [retirement.place for retirement in (*removed, *kept)]
    catalog.files.record_removal(name, done, staying=list(failed), generation=generation)
    return Collected(len(removed), sum(retirement.size for retirement in removed), tuple(failed.values()))


def _remove(volume: AnyVolume, retirement: Retirement) -> None:
    if retirement.withdraw:
        try:
            return volume.withdraw(retirement.place)
        except VolumeFullError:
            pass  # a quarantined file must leave at once, even if it must be downloaded again should it come back
    return volume.remove(retirement.place)


def _is_named(volume: AnyVolume, retirement: Retirement, pages: dict[NormalizedName, frozenset[PackagePath]]) -> bool:
    """
    Return whether a page names a file: its project's, or one of a project whose name the file's name begins with.

    Args:
        pages: caches what each page names. All 50,000 files of a project may leave at once, and its page takes 1.5 s
            to read.

    Raises:
        PathError: one of these pages cannot be read.
    """
    filename = retirement.place.rpartition("/")[2]
    try:
        for name in {retirement.project, *possible_projects(filename)}:
            if name not in pages and (published := read_published(volume, name)) is not None:
                pages[name] = frozenset(published.places.values())
            if retirement.place in pages.get(name, ()):
                return True
    except InvalidPageError:
        return True  # a damaged page may name it
    return False
