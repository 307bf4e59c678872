"""
The group commit: many publications become durable, visible and recorded together.

The steps of a group: its files and temporary pages are written, one ``sync``, its pages are renamed into place, the
next group's ``sync``, its rows are committed, dropped files may be removed. A power cut can therefore only lose the
newest publications. It never leaves a page that names a missing file, or a row for a missing page.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from mirror_syncer.catalog import Catalog
from mirror_syncer.model.generation import Generation
from mirror_syncer.publish.generations import Generations
from mirror_syncer.publish.publication import Publication
from mirror_syncer.volume import AnyVolume

_MAX_PUBLICATIONS = 256  # a sync takes 0.1–0.3 s of disk time, so that more would only prolong the wait
_MAX_COLLECT_SECONDS = 1.0
_IDLE_SECONDS = 0.02  # without further publications the group is closed, so that a single `sync requests` ends at once


@dataclass(slots=True)
class _Entry:
    publication: Publication
    committed: asyncio.Future[None] = field(repr=False)
    error: Exception | None = None
    """The error that kept its row from being committed."""


class CommitGroup:
    """
    A collector of publications, which commits them together; ``run`` is its task.

    Args:
        active_projects: returns the number of projects in progress, those of the group included. A group waits for the
            others: without that, 400 small projects took 116 syncs.
    """

    def __init__(
        self, *, volume: AnyVolume, catalog: Catalog, generations: Generations, active_projects: Callable[[], int]
    ) -> None:
        self._volume = volume
        self._generations = generations
        self._catalog = catalog
        self._active_projects = active_projects
        self._queue: asyncio.Queue[list[_Entry]] = asyncio.Queue(maxsize=4 * _MAX_PUBLICATIONS)

    async def submit(self, publication: Publication) -> asyncio.Future[None]:
        """
        Queue a project's publication; wait if the queue is full.

        Returns:
            A future that ends when the row is committed, or with the error of the disk or the database. After an error
            the page may be visible or not; the next start recovers it by its pending rows.
        """
        (committed,) = await self.submit_together([publication])
        return committed

    async def submit_together(self, publications: Iterable[Publication]) -> list[asyncio.Future[None]]:
        """Queue publications that belong into one group, whatever its size; otherwise as ``submit``."""
        loop = asyncio.get_running_loop()
        entries = [_Entry(publication, loop.create_future()) for publication in publications]
        await self._queue.put(entries)
        return [entry.committed for entry in entries]

    async def run(self) -> None:
        """Commit groups until cancelled."""
        visible: list[_Entry] = []
        generation: Generation | None = None
        while True:
            group = await self._collect(visible=len(visible))
            changing = any(entry.publication.is_visible for entry in group)
            try:
                await asyncio.to_thread(self._sync, changing=changing)
            except Exception as error:  # noqa: BLE001 - the waiting task decides
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
            errors = await self._volume.call_each(self._make_visible, [entry.publication for entry in group])
            for entry, failure in zip(group, errors, strict=True):
                if failure is None:
                    visible.append(entry)
                else:
                    _fail([entry], failure)
            try:
                generation = await asyncio.to_thread(self._advance, visible) if changing else None
            except Exception as error:  # noqa: BLE001 - as above
                _fail(visible, error)
                visible = []

    async def _collect(self, *, visible: int) -> list[_Entry]:
        """Return the next group; empty if ``visible`` pages wait for their rows and no publication arrives."""
        group: list[_Entry] = []
        closes = time.monotonic() + _MAX_COLLECT_SECONDS
        if not visible:
            group += await self._queue.get()
            closes = time.monotonic() + _MAX_COLLECT_SECONDS
        while len(group) < _MAX_PUBLICATIONS:
            if self._queue.empty():
                # A pause for all that come meanwhile: a timer for each of them took a thirtieth of a sync.
                await asyncio.sleep(max(0.0, min(_IDLE_SECONDS, closes - time.monotonic())))
            if not self._queue.empty():
                group += self._queue.get_nowait()
            elif time.monotonic() >= closes or self._active_projects() <= visible + len(group):
                break
        return group

    def _sync(self, *, changing: bool) -> None:
        """Make the written files and the catalog's pending rows durable: recovery needs them after a power cut."""
        if changing:
            self._generations.begin()
        self._volume.sync()
        self._catalog.sync()

    def _advance(self, visible: Sequence[_Entry]) -> Generation:
        """List for edges the pages that they may have, and return the tree's next generation."""
        changed = [entry.publication for entry in visible if entry.publication.replaces_page]
        if changed:
            self._volume.list_changed_pages(publication.catalog_update.row.name for publication in changed)
        return self._generations.advance()

    def _make_visible(self, publication: Publication) -> None:
        if publication.staged is not None:
            self._volume.publish(publication.staged)
        if publication.legacy is not None:
            self._volume.publish_legacy(publication.legacy)
        if publication.withdrawn:
            self._volume.remove_page(publication.catalog_update.row.name)

    def _commit_rows(self, entries: Sequence[_Entry], generation: Generation | None) -> None:
        """Commit the rows together; if the database refuses, one by one, so that a bad row fails only one project."""
        try:
            self._catalog.commit([entry.publication.catalog_update for entry in entries], generation=generation)
        except Exception:  # noqa: BLE001 - reported below, per project
            for entry in entries:
                try:
                    self._catalog.commit([entry.publication.catalog_update], generation=generation)
                except Exception as error:  # noqa: BLE001 - the waiting task decides
                    entry.error = error


def _fail(entries: Sequence[_Entry], error: Exception) -> None:
    for entry in entries:
        if not entry.committed.done():
            entry.committed.set_exception(error)
