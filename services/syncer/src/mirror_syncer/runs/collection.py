"""Files that no page names any more leave, once their time has come."""

import asyncio
import time
from collections.abc import Callable
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
from mirror_syncer.runs.clock import Clock
from mirror_syncer.runs.feed import Feed
from mirror_syncer.runs.queue import Action, Task
from mirror_syncer.volume import Volume


@dataclass(frozen=True, slots=True)
class Collected:
    """What became of a project's files that were due."""

    files: int
    """That left the document root."""
    bytes: int
    """That came free."""
    failures: tuple[Failure, ...] = ()
    """Files that could not be removed; they are due as before."""


class Collection:
    """
    Removes what is due on behalf of runs.

    Args:
        clock: asked first whether the host's was set, since then no time has come.
        grace: the seconds that files wait by the policy in force.
    """

    def __init__(self, *, catalog: Catalog, clock: Clock, feed: Feed, grace: Callable[[], int]) -> None:
        self._catalog = catalog
        self._clock = clock
        self._feed = feed
        self._grace = grace
        self._applied: int | None = None
        """The grace that what waits was last compared with."""

    async def run(self, run: ActiveRun) -> None:
        """Remove what is due: of the projects that the run concerns, each in its turn."""
        with run.phase("collect"):
            due = await self.due(now=run.request.now)
            await self._feed.run_to_completion(
                run, (Task(run.id, name, Action.COLLECT, run.priority) for name in due if run.concerns(name))
            )

    async def due(self, *, now: bool = False) -> list[NormalizedName]:
        """
        Return the projects that have files whose time has come, by the grace that is in force.

        Args:
            now: the time has come for all that wait.
        """
        await self._clock.look()  # a run may take weeks, so at its start alone is not enough
        return await asyncio.to_thread(self._due, now=now)

    def _due(self, *, now: bool) -> list[NormalizedName]:
        if now:
            self._catalog.files.end_grace()
        elif (grace := self._grace()) != self._applied:
            self._catalog.files.apply_grace(grace)
            self._applied = grace
        return self._catalog.files.due_projects(now=int(time.time()))


def collect(name: NormalizedName, *, catalog: Catalog, volume: Volume, generations: Generations) -> Collected:
    """
    Remove, or put aside, the retired files of a project that are due; one that cannot be removed stays due.

    Their rows were committed after a ``sync`` later than the page that dropped them, so no page that a power cut could
    bring back names them. A file that a page names all the same stays: one project's page may have named another's
    file, and dropped it. One that another project has in hand stays for now. No other task has the project in hand
    meanwhile.

    One that needs room for that, for the mark in its place, is tried again when the others are gone.
    """
    found = catalog.files.due(name, now=int(time.time()))
    taken = catalog.files.claim([Pending(name, r.place, r.sha256, r.withdraw) for r in found])
    due = [retirement for retirement in found if retirement.place not in taken]
    pages = dict[NormalizedName, frozenset[PackagePath]]()
    gone, kept = list[Retirement](), list[Retirement]()
    stuck: dict[PackagePath, Failure] = {}
    while due:
        full = list[Retirement]()
        for retirement in due:
            try:
                if _named(volume, retirement, pages):
                    kept.append(retirement)
                else:
                    _remove(volume, retirement)
                    gone.append(retirement)
            except (PathError, VolumeFullError) as error:
                filename = retirement.place.rpartition("/")[2]
                stuck[retirement.place] = Failure(project=name, file=filename, reason=str(error))
                full += [retirement] if isinstance(error, VolumeFullError) else []
        if len(full) == len(due):
            break
        due = full  # for which the others may have made room
        for retirement in due:
            del stuck[retirement.place]
    if any(retirement.withdraw for retirement in gone):
        volume.durability.sync()  # what is quarantined must not be back after a power cut
    generation = generations.advance() if gone else None
    done = [retirement.place for retirement in (*gone, *kept)]
    catalog.files.record_removal(name, done, staying=list(stuck), generation=generation)
    return Collected(len(gone), sum(retirement.size for retirement in gone), tuple(stuck.values()))


def _remove(volume: Volume, retirement: Retirement) -> None:
    if retirement.withdraw:
        try:
            return volume.withdraw(retirement.place)
        except VolumeFullError:
            pass  # what is quarantined leaves at once, though it must be fetched again should it come back
    return volume.remove(retirement.place)


def _named(volume: Volume, retirement: Retirement, pages: dict[NormalizedName, frozenset[PackagePath]]) -> bool:
    """
    Return whether a page names a file: its project's, or that of one whose name the file's begins with.

    Args:
        pages: what pages name that were read before. All of a project's 50,000 files may leave at once, and its page
            is read in a second and a half.

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
