"""
The group commit: what many projects' publications write becomes durable, visible and remembered together.

Files and page temporaries of a group are written → one ``sync`` → its pages are renamed in → the next group's ``sync``
→ its rows are committed, and what its pages dropped may leave. So a power cut can only forget the newest publications:
it never leaves a page that names a missing file, or a row that claims a page which is not there.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mirror_syncer.catalog import Catalog
from mirror_syncer.model.generation import Generation
from mirror_syncer.publish.generations import Generations
from mirror_syncer.publish.publication import Publication
from mirror_syncer.volume import Volume

_MAX_PUBLICATIONS = 256  # publications: 0.1–0.3 s of disk a sync, so more would only make the wait longer
_MAX_COLLECT_SECONDS = 1.0
_IDLE_SECONDS = 0.02  # nothing more is coming: close the group, so that a lone `sync requests` is done at once


@dataclass(slots=True)
class _Entry:
    publication: Publication
    committed: asyncio.Future[None] = field(repr=False)
    error: Exception | None = None
    """Why its row could not be committed."""


class CommitGroup:
    """
    Collects publications and commits them together; ``run`` is its task.

    Args:
        in_hand: how many projects somebody works at, those in the group included. While there are others, a group waits
            for them: 400 small projects took 116 syncs when it did not.
    """

    def __init__(
        self, *, volume: Volume, catalog: Catalog, generations: Generations, active_projects: Callable[[], int]
    ) -> None:
        self._volume = volume
        self._generations = generations
        self._catalog = catalog
        self._active_projects = active_projects
        self._queue: asyncio.Queue[_Entry] = asyncio.Queue(maxsize=4 * _MAX_PUBLICATIONS)

    async def submit(self, publication: Publication) -> asyncio.Future[None]:
        """
        Hand over a project's publication; waits where too many are ahead.

        Returns:
            What is done when its row is committed, or holds the VolumeError of a disk that says no. Then it may be
            visible or not, and its pending rows tell the next start.
        """
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._queue.put(_Entry(publication, committed))
        return committed

    async def run(self) -> None:
        """Commit groups until cancelled."""
        visible: list[_Entry] = []
        generation: Generation | None = None
        while True:
            group = await self._collect(visible=len(visible))
            changing = any(entry.publication.shows for entry in group)
            try:
                await asyncio.to_thread(self._sync, changing=changing)
            except Exception as error:  # noqa: BLE001 - whoever waits for it decides
                _fail(visible + group, error)
                visible = []
                continue
            await asyncio.to_thread(self._commit_rows, visible, generation)
            for entry in visible:
                if entry.error is None:
                    entry.committed.set_result(None)
                else:
                    _fail([entry], entry.error)
            visible = []
            for entry in group:
                try:
                    self._make_visible(entry.publication)
                except Exception as error:  # noqa: BLE001 - as above
                    _fail([entry], error)
                else:
                    visible.append(entry)
            try:
                generation = await asyncio.to_thread(self._generations.advance) if changing else None
            except Exception as error:  # noqa: BLE001 - as above
                _fail(visible, error)
                visible = []

    async def _collect(self, *, visible: int) -> list[_Entry]:
        """Return the next group; empty, where some are ``visible`` that wait for their rows, and nothing comes."""
        group: list[_Entry] = []
        closes = time.monotonic() + _MAX_COLLECT_SECONDS
        if not visible:
            group.append(await self._queue.get())
            closes = time.monotonic() + _MAX_COLLECT_SECONDS
        while len(group) < _MAX_PUBLICATIONS:
            try:
                patience = min(_IDLE_SECONDS, closes - time.monotonic())
                group.append(await asyncio.wait_for(self._queue.get(), max(0.0, patience)))
            except TimeoutError:
                if time.monotonic() >= closes or self._active_projects() <= visible + len(group):
                    break
        return group

    def _sync(self, *, changing: bool) -> None:
        """Make durable what was written, and the catalog's word of what is in hand: after a cut, that must be found."""
        if changing:
            self._generations.begin()
        self._volume.durability.sync()
        self._catalog.sync()

    def _make_visible(self, publication: Publication) -> None:
        if publication.staged is not None:
            publication.staged.publish(self._volume.durability)
        if publication.legacy is not None:
            publication.legacy.publish(self._volume.durability)
        if publication.withdrawn:
            self._volume.remove_page(publication.catalog_update.row.name)

    def _commit_rows(self, entries: Sequence[_Entry], generation: Generation | None) -> None:
        """Commit the rows together; where the database refuses that, each by itself: one bad row costs one project."""
        try:
            self._catalog.commit([entry.publication.catalog_update for entry in entries], generation=generation)
        except Exception:  # noqa: BLE001 - told below, by whose it is
            for entry in entries:
                try:
                    self._catalog.commit([entry.publication.catalog_update], generation=generation)
                except Exception as error:  # noqa: BLE001 - whoever waits for it decides
                    entry.error = error


def _fail(entries: Sequence[_Entry], error: Exception) -> None:
    for entry in entries:
        if not entry.committed.done():
            entry.committed.set_exception(error)
