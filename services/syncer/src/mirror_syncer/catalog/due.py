"""
Queries for projects due for a request (scope everything), page by page; none reads more rows than it returns.

Each query repeats the condition of an index that contains exactly its rows; see ``schema``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from packaging.utils import NormalizedName

from mirror_syncer.catalog.listing import CONFIRMED_ABSENT
from mirror_syncer.catalog.schema import (
    ABSENT,
    CHANGED,
    CHECKED,
    DOUBTED,
    EXPIRING,
    LISTED,
    NEW,
    QUARANTINED,
    RETRIED,
    SHRINKING,
    project,
)

_BATCH_ROWS = 1_000
# A quarantined project is removed only once its page is a 404.
_REMOVABLE = sa.or_(sa.not_(project.c.quarantined), project.c.absent_since == CONFIRMED_ABSENT)
_CHECKED = sa.or_(project.c.serial == project.c.wanted_serial, project.c.seen_serial == project.c.wanted_serial)


@dataclass(frozen=True, slots=True)
class DueProject:
    """A project to request, with its serial in upstream's list."""

    name: NormalizedName
    wanted: int | None


@dataclass(frozen=True, slots=True)
class Amounts:
    """The numbers of due projects, by reason."""

    changed: int = 0
    new: int = 0
    retried: int = 0
    backlog: int = 0

    @property
    def total(self) -> int:
        """The number of all due projects."""
        return self.changed + self.new + self.retried + self.backlog


class Due:
    """Queries on the project table; each yields lists of at most a thousand projects."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def changed(self) -> Iterator[list[DueProject]]:
        """Yield known projects whose serial changed, latest change first."""
        return self._by_serial(CHANGED)

    def new(self) -> Iterator[list[DueProject]]:
        """Yield projects that were never requested, latest change first, so that new ones precede the backlog."""
        return self._by_serial(NEW)

    def retried(self, *, now: int) -> Iterator[list[DueProject]]:
        """Yield projects whose retry after a complete or partial failure is due."""
        return self._by_time(project.c.due_at, RETRIED, before=now + 1)

    def expired(self, *, now: int) -> Iterator[list[DueProject]]:
        """Yield projects whose decision has expired: a file has waited, or stayed, long enough."""
        return self._by_time(project.c.expires_at, EXPIRING, before=now + 1)

    def next_expiry(self) -> int | None:
        """Return when the next decision expires; None if none ever does."""
        query = sa.select(sa.func.min(project.c.expires_at)).where(EXPIRING)
        with self._engine.connect() as connection:
            found: int | None = connection.scalar(query)
            return found

    def stale(self, *, before: int) -> Iterator[list[DueProject]]:
        """Yield listed projects last requested before a time, oldest request first."""
        return self._by_time(project.c.checked_at, CHECKED, before=before)

    def unnumbered(self, *, before: int) -> Iterator[list[DueProject]]:
        """Yield listed projects without a serial that were not requested since a time."""
        return self._by_name(project.c.wanted_serial == 0, project.c.checked_at <= before)

    def latest(self, *, tick: int, before: int) -> Iterator[list[DueProject]]:
        """Yield projects with this serial or a later one that were not requested since and wait for no retry."""
        return self._by_serial(CHECKED, *_latest(tick=tick, before=before))

    def count_latest(self, *, tick: int, before: int) -> int:
        """Return the number of projects that ``latest`` yields and ``amounts`` does not count."""
        return self._count(CHECKED, *_latest(tick=tick, before=before), _CHECKED)

    def doubted(self, *, before: int) -> Iterator[list[DueProject]]:
        """Yield projects whose serial does not reflect their content and that were not requested since a time."""
        return self._by_name(project.c.checked_at <= before, condition=DOUBTED)

    def count_doubted(self) -> int:
        """Return the number of listed projects whose serial does not reflect their content."""
        return self._count(DOUBTED)

    def quarantined(self, *, before: int) -> Iterator[list[DueProject]]:
        """Yield quarantined projects, absent from the list, not requested since a time."""
        return self._by_name(_not_requested(since=before), condition=QUARANTINED)

    def count_quarantined(self, *, before: int) -> int:
        """Return the number of projects that ``quarantined`` yields."""
        return self._count(QUARANTINED, _not_requested(since=before))

    def everything(self, *, before: int) -> Iterator[list[DueProject]]:
        """Yield all listed projects that were not requested since a time."""
        return self._by_name(_not_requested(since=before))

    def fingerprints(self) -> Iterator[list[tuple[DueProject, str | None]]]:
        """Yield all listed and published projects, each with the fingerprint of the policy of its page."""
        after = ""
        query = sa.select(project.c.name, project.c.wanted_serial, project.c.fingerprint).where(
            LISTED, project.c.published
        )
        while page := self._fetch(query.where(project.c.name > after).order_by(project.c.name)):
            after = page[-1].name
            yield [(DueProject(NormalizedName(row.name), row.wanted_serial), row.fingerprint) for row in page]

    def absent(self, *, edition: int, published: bool, limit: int) -> list[NormalizedName]:
        """
        Return some projects that a list before this edition lacked first, and that were not listed since.

        Published quarantined projects are not among them: lists omit them, and their pages confirm the quarantine.
        """
        query = sa.select(project.c.name).where(ABSENT, project.c.absent_since < edition)
        query = query.where(*((project.c.published, _REMOVABLE) if published else (sa.not_(project.c.published),)))
        with self._engine.connect() as connection:
            found = connection.scalars(query.order_by(project.c.absent_since, project.c.name).limit(limit))
            return [NormalizedName(name) for name in found]

    def count_absent(self, *, edition: int) -> int:
        """Return the number of published projects that ``absent`` returns."""
        query = sa.select(sa.func.count()).select_from(project)
        query = query.where(ABSENT, project.c.absent_since < edition, project.c.published, _REMOVABLE)
        with self._engine.connect() as connection:
            return connection.scalar(query) or 0

    def shrinking(self) -> list[NormalizedName]:
        """Return the projects whose upstream page lacks files of the published page: see the deletion guard."""
        with self._engine.connect() as connection:
            query = sa.select(project.c.name).where(SHRINKING).order_by(project.c.name)
            return [NormalizedName(name) for name in connection.scalars(query)]

    def count_shrinking(self) -> int:
        """Return the number of projects that ``shrinking`` returns."""
        return self._count(SHRINKING)

    def amounts(self, *, now: int, first: int) -> Amounts:
        """
        Count the due projects.

        Args:
            first: the edition of the first list; projects with later serials are new, the others are backlog.
        """
        new = project.c.wanted_serial > first
        with self._engine.connect() as connection:

            def count(*conditions: sa.ColumnElement[bool] | sa.TextClause) -> int:
                return connection.scalar(sa.select(sa.func.count()).select_from(project).where(*conditions)) or 0

            return Amounts(
                changed=count(CHANGED),
                new=count(NEW, new),
                retried=count(RETRIED, project.c.due_at <= now),
                backlog=count(NEW, sa.not_(new)),
            )

    def count_listed(self) -> int:
        """Return the number of projects in upstream's last list."""
        return self._count(LISTED)

    def count_unnumbered(self, *, before: int) -> int:
        """Return the number of projects that ``unnumbered`` yields."""
        return self._count(LISTED, project.c.wanted_serial == 0, project.c.checked_at <= before)

    def settled_serial(self, *, upstream: int) -> int:
        """Return the highest serial up to which all listed changes were processed."""
        with self._engine.connect() as connection:
            oldest = [
                connection.scalar(sa.select(sa.func.min(project.c.wanted_serial)).where(condition))
                for condition in (CHANGED, NEW)
            ]
        return min(upstream, *(int(serial) - 1 for serial in oldest if serial is not None), upstream)

    def _count(self, *conditions: sa.ColumnElement[bool] | sa.TextClause) -> int:
        query = sa.select(sa.func.count()).select_from(project).where(*conditions)
        with self._engine.connect() as connection:
            return connection.scalar(query) or 0

    def _by_serial(self, condition: sa.TextClause, *more: sa.ColumnElement[bool]) -> Iterator[list[DueProject]]:
        key = sa.tuple_(project.c.wanted_serial, project.c.name)
        query = sa.select(project.c.name, project.c.wanted_serial).where(condition, *more)
        query = query.order_by(project.c.wanted_serial.desc(), project.c.name.desc())
        page = self._fetch(query)
        while page:
            yield [DueProject(NormalizedName(row.name), row.wanted_serial) for row in page]
            page = self._fetch(query.where(key < sa.tuple_(page[-1].wanted_serial, page[-1].name)))

    def _by_time(
        self, column: sa.Column[int | None], condition: sa.TextClause, *, before: int
    ) -> Iterator[list[DueProject]]:
        key = sa.tuple_(column, project.c.name)
        query = sa.select(project.c.name, project.c.wanted_serial, column.label("at")).where(condition, column < before)
        query = query.order_by(column, project.c.name)
        page = self._fetch(query)
        while page:
            yield [DueProject(NormalizedName(row.name), row.wanted_serial) for row in page]
            page = self._fetch(query.where(key > sa.tuple_(page[-1].at, page[-1].name)))

    def _by_name(
        self, *conditions: sa.ColumnElement[bool], condition: sa.TextClause = LISTED
    ) -> Iterator[list[DueProject]]:
        after = ""
        query = sa.select(project.c.name, project.c.wanted_serial).where(condition, *conditions)
        query = query.order_by(project.c.name)
        while page := self._fetch(query.where(project.c.name > after)):
            after = page[-1].name
            yield [DueProject(NormalizedName(row.name), row.wanted_serial) for row in page]

    def _fetch(self, query: sa.Select[*tuple[Any, ...]]) -> list[sa.Row[*tuple[Any, ...]]]:
        with self._engine.connect() as connection:
            return list(connection.execute(query.limit(_BATCH_ROWS)))


def _not_requested(*, since: int) -> sa.ColumnElement[bool]:
    # None: a new catalog found it in the tree, or upstream was changed.
    return sa.or_(project.c.checked_at.is_(None), project.c.checked_at <= since)


def _latest(*, tick: int, before: int) -> tuple[sa.ColumnElement[bool], ...]:
    # The sum has no index: SQLite would take that by time, which has every project, as gladly as that by serial.
    checked = project.c.checked_at + 0 <= before
    return project.c.wanted_serial >= max(tick, 1), checked, project.c.due_at.is_(None)
