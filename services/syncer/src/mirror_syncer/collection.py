"""Files that no page names any more leave, once their time has come."""

import asyncio
import time

from packaging.utils import NormalizedName

from mirror_syncer.catalog import Catalog
from mirror_syncer.errors import InvalidPage
from mirror_syncer.feed import Feed
from mirror_syncer.names import PackagePath, possible_projects
from mirror_syncer.publish import read_published
from mirror_syncer.publish.generations import Generations
from mirror_syncer.rows import Pending, Retirement
from mirror_syncer.runs import ActiveRun
from mirror_syncer.volume import Volume
from mirror_syncer.workqueue import Action, Task


class Collection:
    """Lets go of what is due on behalf of runs."""

    def __init__(self, *, catalog: Catalog, feed: Feed) -> None:
        self._catalog = catalog
        self._feed = feed

    async def run(self, run: ActiveRun) -> None:
        """Let go of what is due: of the projects that the run concerns, each in its turn."""
        with run.phase("collect"):
            due = await asyncio.to_thread(self._catalog.files.due_projects, now=int(time.time()))
            await self._feed.have_done(
                run, (Task(run.id, name, Action.COLLECT, run.priority) for name in due if run.concerns(name))
            )


def collect(name: NormalizedName, *, catalog: Catalog, volume: Volume, generations: Generations) -> int:
    """
    Remove, or put aside, the retired files of a project that are due.

    Their rows were committed after a ``sync`` later than the page that dropped them, so no page that a power cut could
    bring back names them. A file that a page names all the same stays: one project's page may have named another's
    file, and dropped it. One that another project has in hand stays for now. No other task has the project in hand
    meanwhile.

    Returns:
        How many files left the document root.
    """
    found = catalog.files.due(name, now=int(time.time()))
    taken = catalog.files.intend([Pending(name, r.place, r.sha256, r.withdraw) for r in found])
    due = [retirement for retirement in found if retirement.place not in taken]
    pages = dict[NormalizedName, frozenset[PackagePath]]()
    leaving = [retirement for retirement in due if not _named(volume, retirement, pages)]
    for retirement in leaving:
        if retirement.withdraw:
            volume.withdraw(retirement.place)
        else:
            volume.remove(retirement.place)
    if any(retirement.withdraw for retirement in leaving):
        volume.durability.sync()  # what is quarantined must not be back after a power cut
    generation = generations.advance() if leaving else None
    catalog.files.removed(name, [retirement.place for retirement in due], generation=generation)
    return len(leaving)


def _named(volume: Volume, retirement: Retirement, pages: dict[NormalizedName, frozenset[PackagePath]]) -> bool:
    """
    Return whether a page names a file: its project's, or that of one whose name the file's begins with.

    Args:
        pages: what pages name that were read before. All of a project's 50,000 files may leave at once, and its page
            is read in a second and a half.
    """
    filename = retirement.place.rpartition("/")[2]
    try:
        for name in {retirement.project, *possible_projects(filename)}:
            if name not in pages and (published := read_published(volume, name)) is not None:
                pages[name] = frozenset(published.places.values())
            if retirement.place in pages.get(name, ()):
                return True
    except InvalidPage:
        return True  # a damaged page may name it
    return False
