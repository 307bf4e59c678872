"""The rows of projects."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, NamedTuple

import sqlalchemy as sa
from packaging.utils import NormalizedName

from mirror_contract import ProjectState
from mirror_syncer.catalog.backend import backend_of
from mirror_syncer.catalog.batches import batched
from mirror_syncer.catalog.project_rows import ROW_COLUMNS, parse_row, row_values
from mirror_syncer.catalog.schema import (
    AMISS,
    DAMAGED,
    SHRINKING,
    kept_page,
    project,
    project_total,
)
from mirror_syncer.catalog.upsert import upsert
from mirror_syncer.errors import StateError
from mirror_syncer.model.project import EMPTIED, ProjectRow
from mirror_syncer.model.serials import newest_plausible

_BATCH_LINES = 10_000
_MAX_HIGHEST_SERIALS = 100  # serials to examine for outliers
_PUBLISHED_SERIAL = sa.func.coalesce(project.c.own_serial, project.c.serial)
_NAMES = [column.name for column in ROW_COLUMNS]


@dataclass(frozen=True, slots=True)
class Totals:
    """Totals over all projects."""

    projects: dict[ProjectState, int]
    files: int
    stored_bytes: int
    installable: int
    """Projects with at least one published file."""


class ProjectFigures(NamedTuple):
    """What lists of projects are sorted and filtered by."""

    name: str
    state: str
    file_count: int
    stored_bytes: int
    changed_at: int | None


@dataclass(frozen=True, slots=True)
class Emptied:
    """Published projects without a selected file, which the deletion guard keeps."""

    projects: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Verified:
    """The result of verifying a project."""

    at: int | None
    """Time of the verification; None if it must be repeated."""
    damaged: int
    """Number of missing or corrupt files and pages."""


class Projects:
    """The project table."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._backend = backend_of(engine)
        self._reading = Lock()
        self._reader: sa.Connection | None = None
        self._select_one = sa.select(*ROW_COLUMNS).where(project.c.name == sa.bindparam("name")).compile(engine)

    def close(self) -> None:
        """Close the connection that ``get`` keeps open."""
        with self._reading:
            self._close_reader()

    def get(self, name: NormalizedName) -> ProjectRow | None:
        """Return a project's row."""
        # Through the driver, on a connection that stays open: 11 µs for each project of a sync, instead of 94 µs with
        # a statement, a row and a pooled connection of SQLAlchemy.
        with self._reading:
            try:
                found = self._fetch_one(name)
            except StateError:
                # The server was restarted since the last call.
                self._close_reader()
                found = self._fetch_one(name)
        return None if found is None else parse_row(dict(zip(_NAMES, found, strict=True)))

    def _fetch_one(self, name: NormalizedName) -> tuple[Any, ...] | None:
        if self._reader is None:
            self._reader = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        with self._backend.cursor(self._reader) as cursor:
            cursor.execute(*self._by_name(name))
            found: tuple[Any, ...] | None = cursor.fetchone()
            return found

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def all_rows(self) -> Iterator[ProjectRow]:
        """Yield all rows by name, with at most a few thousand in memory."""
        with self._engine.connect().execution_options(yield_per=2_000) as connection:
            for found in connection.execute(sa.select(*ROW_COLUMNS).order_by(project.c.name)).mappings():
                yield parse_row(dict(found))

    def listed(self) -> Iterator[tuple[NormalizedName, int | None]]:
        """Yield name and serial of each published project, by name."""
        query = sa.select(project.c.name, _PUBLISHED_SERIAL).where(project.c.published)
        yield from self._stream(query.order_by(project.c.name))

    def page_digests(self, names: Iterable[NormalizedName]) -> dict[NormalizedName, str]:
        """Return ``ProjectRow.page_sha256`` of each of these projects that is published."""
        digests = dict[NormalizedName, str]()
        with self._engine.connect() as connection:
            for some in batched(names):
                query = sa.select(project.c.name, project.c.page_sha256).where(project.c.name.in_(some))
                found = connection.execute(query.where(project.c.published))
                digests |= {NormalizedName(name): digest or "" for name, digest in found}
        return digests

    def fingerprints(self) -> Iterator[tuple[NormalizedName, str | None]]:
        """Yield each published project with the fingerprint of the policy that made its page, by name."""
        query = sa.select(project.c.name, project.c.fingerprint).where(project.c.published)
        yield from self._stream(query.order_by(project.c.name))

    def sizes(self) -> Iterator[tuple[NormalizedName, int, int]]:
        """Yield name, number of files and their bytes of each published project, by name."""
        query = sa.select(project.c.name, project.c.file_count, project.c.stored_bytes).where(project.c.published)
        yield from self._stream(query.order_by(project.c.name))

    def figures(self) -> Iterator[ProjectFigures]:
        """Yield the figures of all projects, by name."""
        columns = (project.c[name] for name in ProjectFigures._fields)
        yield from map(ProjectFigures._make, self._stream(sa.select(*columns).order_by(project.c.name)))

    def rows(self, names: Sequence[NormalizedName]) -> list[ProjectRow]:
        """Return the rows of these projects, in this order, without those that have none."""
        found = dict[str, ProjectRow]()
        with self._engine.connect() as connection:
            for some in batched(names):
                query = sa.select(*ROW_COLUMNS).where(project.c.name.in_(some))
                found |= {row["name"]: parse_row(dict(row)) for row in connection.execute(query).mappings()}
        return [found[name] for name in names if name in found]

    def _stream(self, query: sa.Select[*tuple[Any, ...]]) -> Iterator[Any]:
        """Yield a query's rows as tuples, with at most a few thousand in memory."""
        # The driver's cursor: 886,000 tuples take 0.3 s, SQLAlchemy's rows 2 s.
        with self._engine.connect() as connection, self._backend.cursor(connection, streaming=True) as cursor:
            cursor.execute(str(query.compile(self._engine, compile_kwargs={"literal_binds": True})))
            while some := cursor.fetchmany(_BATCH_LINES):
                yield from some

    def newest_serial(self) -> int | None:
        """Return the highest published serial of a project, without outliers."""
        query = sa.select(_PUBLISHED_SERIAL).where(project.c.published, _PUBLISHED_SERIAL.is_not(None))
        with self._engine.connect() as connection:
            return newest_plausible(
                list(connection.scalars(query.order_by(_PUBLISHED_SERIAL.desc()).limit(_MAX_HIGHEST_SERIALS)))
            )

    def any_published(self) -> bool:
        """Return whether any project is published."""
        with self._engine.connect() as connection:
            return connection.scalar(sa.select(project.c.name).where(project.c.published).limit(1)) is not None

    def count_published(self) -> int:
        """Return the number of published projects."""
        query = sa.select(sa.func.count()).select_from(project).where(project.c.published)
        with self._engine.connect() as connection:
            return connection.scalar(query) or 0

    def emptied(self) -> Emptied:
        """Return the totals of the projects without a selected file that the deletion guard keeps published."""
        query = sa.select(
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(project.c.lost_files), 0),
            sa.func.coalesce(sa.func.sum(project.c.stored_bytes), 0),
        ).where(SHRINKING, project.c.error == EMPTIED)
        with self._engine.connect() as connection:
            projects, files, size = connection.execute(query).one()
        return Emptied(projects, int(files), int(size))

    def page(self, *, states: Iterable[ProjectState] = (), after: str = "", limit: int = 100) -> list[ProjectRow]:
        """Return some rows by name: those in these states, after this name."""
        query = sa.select(*ROW_COLUMNS).where(project.c.name > after).order_by(project.c.name).limit(limit)
        # One query per state: for several at once SQLite would sort all their rows, or scan the table.
        queries = [query.where(project.c.state == state) for state in dict.fromkeys(states)] or [query]
        with self._engine.connect() as connection:
            found = [parse_row(dict(row)) for query in queries for row in connection.execute(query).mappings()]
        return sorted(found, key=lambda row: row.name)[:limit]

    def totals(self) -> Totals:
        """Return the numbers of projects by state, and the totals of their files."""
        with self._engine.connect() as connection:
            rows = [*connection.execute(_TOTALS), *self._backend.read_changed_totals(connection)]
        projects = dict.fromkeys(ProjectState, 0)
        for row in rows:
            projects[ProjectState(row[0])] += int(row[1])
        return Totals(
            projects=projects,
            files=sum(int(row[2]) for row in rows),
            stored_bytes=sum(int(row[3]) for row in rows),  # PostgreSQL sums into a Decimal
            installable=sum(int(row[4]) for row in rows),
        )

    def amiss_since(self) -> int | None:
        """Return since when at least one project has been failing or partial; None if none is."""
        with self._engine.connect() as connection:
            # The same condition as the index, so that SQLite reads only the first entry.
            oldest: int | None = connection.scalar(sa.select(sa.func.min(project.c.amiss_since)).where(AMISS))
        return oldest

    def _by_name(self, name: NormalizedName) -> tuple[str, Any]:
        return self._select_one.string, (name,) if self._select_one.positional else {"name": name}

    def to_verify(
        self, *, since: int | None = None, only: Sequence[str] | None = None, after: str = "", limit: int = 500
    ) -> list[NormalizedName]:
        """Return some published projects by name, after a name: not verified since a time, and only among these."""
        query = sa.select(project.c.name).where(*_unverified(since, only), project.c.name > after)
        with self._engine.connect() as connection:
            return [NormalizedName(name) for name in connection.scalars(query.order_by(project.c.name).limit(limit))]

    def count_to_verify(self, *, since: int | None = None, only: Sequence[str] | None = None) -> int:
        """Return the number of projects that ``to_verify`` returns in total."""
        query = sa.select(sa.func.count()).select_from(project).where(*_unverified(since, only))
        with self._engine.connect() as connection:
            return connection.scalar(query) or 0

    def changed_since(self, moment: int, *, after: str = "", limit: int = 500) -> list[NormalizedName]:
        """Return some published projects by name, after a name, whose page changed since a time."""
        terms = (project.c.published, project.c.changed_at >= moment, project.c.name > after)
        query = sa.select(project.c.name).where(*terms).order_by(project.c.name).limit(limit)
        with self._engine.connect() as connection:
            return [NormalizedName(name) for name in connection.scalars(query)]

    def mark_verified(self, connection: sa.Connection, verified: Mapping[NormalizedName, Verified]) -> None:
        """Store when projects were verified, and how much of them is damaged."""
        now = int(time.time())
        rows = [
            {"of": name, "at": one.at, "damaged": one.damaged, "since": now if one.damaged else None}
            for name, one in verified.items()
        ]
        if rows:
            since = sa.bindparam("since", type_=sa.BigInteger)
            first = sa.func.coalesce(project.c.damaged_since, since)
            mark = project.update().where(project.c.name == sa.bindparam("of"))
            mark = mark.values(
                verified_at=sa.bindparam("at"),
                damaged_files=sa.bindparam("damaged"),
                # Damage that persists keeps its first time.
                damaged_since=sa.case((since.is_(None), sa.null()), else_=first),
            )
            connection.execute(mark, rows)

    def damage(self) -> tuple[int, int | None]:
        """Return the number of files and pages that are damaged as of their last verify, and since when."""
        query = sa.select(sa.func.sum(project.c.damaged_files), sa.func.min(project.c.damaged_since)).where(DAMAGED)
        with self._engine.connect() as connection:
            files, since = connection.execute(query).one()
        return int(files or 0), since

    def store(self, connection: sa.Connection, rows: Sequence[ProjectRow]) -> None:
        """Insert or replace rows; a project that keeps failing keeps the time of its first failure."""
        kept = ("amiss_since", _amiss_since), ("damaged_files", _damaged_files), ("damaged_since", _damaged_since)
        upsert(connection, project, [row_values(row) for row in rows], changes=kept)

    def replace(self, rows: Sequence[ProjectRow]) -> None:
        """Insert or replace rows as in ``store``, in a transaction of its own."""
        if rows:
            with self._engine.begin() as connection:
                self.store(connection, rows)

    def forget(self, names: Sequence[NormalizedName]) -> None:
        """Delete the rows of projects without anything published, and what is kept of their pages."""
        with self._engine.begin() as connection:
            for table in (project, kept_page):
                gone = table.delete().where(table.c.name == sa.bindparam("of"))
                connection.execute(gone, [{"of": name} for name in names])


_TOTAL_COLUMNS = ("state", "projects", "files", "stored_bytes", "installable")
_TOTALS = sa.select(*(project_total.c[name] for name in _TOTAL_COLUMNS))


def _damaged_files(excluded: Any) -> sa.ColumnElement[Any]:  # noqa: ANN401 - as below
    """Return the damage of a project that stays published; 0 for one that is removed."""
    return sa.case((excluded.published, project.c.damaged_files), else_=0)


def _damaged_since(excluded: Any) -> sa.ColumnElement[Any]:  # noqa: ANN401 - as below
    return sa.case((excluded.published, project.c.damaged_since), else_=sa.null())


def _amiss_since(excluded: Any) -> sa.ColumnElement[Any]:  # noqa: ANN401 - the columns of a row that is being stored
    """Return the first failure time of a row that keeps failing, and NULL for one that does not fail."""
    earlier = sa.func.coalesce(project.c.amiss_since, excluded.amiss_since)
    return sa.case((excluded.amiss_since.is_(None), sa.null()), else_=earlier)


def _unverified(since: int | None, only: Sequence[str] | None) -> list[sa.ColumnElement[bool]]:
    terms: list[sa.ColumnElement[bool]] = [project.c.published]
    if since is not None:
        terms.append(sa.or_(project.c.verified_at.is_(None), project.c.verified_at < since))
    if only is not None:
        terms.append(project.c.name.in_(only))
    return terms
