"""The list of projects: searched and sorted by an index in memory, with their rows as they are now."""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import structlog
from packaging.utils import NormalizedName
from pydantic import Field
from sqlalchemy.exc import SQLAlchemyError

from mirror_contract import Project, ProjectSort, ProjectState
from mirror_syncer.catalog import Catalog
from mirror_syncer.errors import StateError
from mirror_syncer.model.project import ProjectRow
from mirror_syncer.service.problems import ProblemError
from mirror_syncer.service.project_index import ProjectIndex

log = structlog.get_logger()

# A commit is noted before it ends, so an index that was read a moment later may lack it.
_COMMIT_SECONDS = 1.0
# Faster than this, the index is read again before it answers: up to some 10,000 projects.
_QUICK_SECONDS = 0.05
# The others are read again while the last index answers, and for a twentieth of the time at most.
_REST_FACTOR = 20
# The first index of 886,000 projects takes 4 s, and control gives up after 5 s.
_PATIENCE_SECONDS = 3.0


class ListedProject(Project):
    """A project with its place in the list."""

    place: str = Field(exclude=True)


@dataclass(frozen=True, slots=True)
class ProjectPart:
    """A part of the list."""

    projects: list[ListedProject]
    next: str | None
    """Where the rest begins."""
    total: int | None
    """How many projects match; None if unknown."""


class ProjectList:
    """
    Lists projects; its methods block for the catalog.

    Args:
        describe: returns a project as the API shows it.
    """

    def __init__(self, catalog: Catalog, *, describe: Callable[[ProjectRow], Project]) -> None:
        self._catalog = catalog
        self._describe = describe
        self._index: ProjectIndex | None = None
        self._read_at = self._took_seconds = 0.0
        self._reading = threading.Lock()
        self._first_read = threading.Event()

    def list_projects(
        self,
        *,
        text: str = "",
        states: Collection[ProjectState] = (),
        sort: ProjectSort | None = None,
        after: str | None = None,
        limit: int,
    ) -> ProjectPart:
        """
        Return a part of the list.

        Args:
            text: only projects whose name contains it.
            states: only these; empty: all.
            sort: None: by match if there is a text, otherwise by name.
            after: the place of the last project of the part before.
        """
        sort = sort or (ProjectSort.MATCH if text else ProjectSort.NAME)
        if not text and sort in (ProjectSort.NAME, ProjectSort.MATCH):
            return self._by_name(states, after, limit)
        found = self._current_index().find(text, states=states, sort=sort, after=after, limit=limit)
        places = {hit.name: hit.place for hit in found.hits}
        rows = self._catalog.projects.rows(list(places))
        # The index may be older than the rows.
        listed = [self._listed(row, places[row.name]) for row in rows if not states or row.state in states]
        return ProjectPart(listed, found.hits[-1].place if found.more else None, found.total)

    def list_named(self, names: Sequence[NormalizedName]) -> list[Project]:
        """Return these projects, in this order, without those that have no row."""
        return [self._describe(row) for row in self._catalog.projects.rows(names)]

    def _by_name(self, states: Collection[ProjectState], after: str | None, limit: int) -> ProjectPart:
        if self._index is None:
            self._refresh_in_background()  # whoever lists projects is about to search
        name = "" if after is None else after.rpartition("/")[2]
        rows = self._catalog.projects.page(states=states, after=name, limit=limit + 1)
        listed = [self._listed(row, row.name) for row in rows[:limit]]
        return ProjectPart(listed, listed[-1].place if len(rows) > limit else None, None)

    def _listed(self, row: ProjectRow, place: str) -> ListedProject:
        return ListedProject(place=place, **self._describe(row).__dict__)

    def _current_index(self) -> ProjectIndex:
        if self._index is None:
            self._refresh_in_background()
            self._first_read.wait(_PATIENCE_SECONDS)
        if (index := self._index) is None:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "All project names are still being read; search again in a few seconds.",
                retry_after=2,
            )
        if self._is_outdated():
            if self._took_seconds < _QUICK_SECONDS:
                with self._reading:
                    return self._read() if self._is_outdated() else self._index or index
            if time.monotonic() > self._read_at + _REST_FACTOR * self._took_seconds:
                self._refresh_in_background()
        return index

    def _is_outdated(self) -> bool:
        return self._catalog.last_commit_at + _COMMIT_SECONDS > self._read_at

    def _refresh_in_background(self) -> None:
        if self._reading.acquire(blocking=False):
            threading.Thread(target=self._refresh, name="project-index", daemon=True).start()

    def _refresh(self) -> None:
        try:
            self._read()
        except (SQLAlchemyError, StateError) as error:
            log.warning("reading the index of projects failed; the next search tries again", reason=str(error))
        finally:
            self._reading.release()

    def _read(self) -> ProjectIndex:
        begun = time.monotonic()
        index = ProjectIndex(self._catalog.projects.figures())
        self._index, self._read_at, self._took_seconds = index, begun, time.monotonic() - begun
        self._first_read.set()
        return index
