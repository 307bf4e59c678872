"""Projects' rows, and upstream's pages kept beside them."""

import gzip
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from threading import Lock
from typing import Any

import sqlalchemy as sa
from packaging.utils import NormalizedName

from mirror_contract import ProjectState
from mirror_syncer.catalog.schema import AMISS, DAMAGED, kept_page, project, project_total
from mirror_syncer.catalog.upsert import upsert
from mirror_syncer.model.project import KeptPage, ProjectRow
from mirror_syncer.model.serials import newest_plausible
from mirror_syncer.model.validators import Validators

_BATCH_LINES = 10_000
_MAX_HIGHEST_SERIALS = 100  # serials, of which those that are no outliers are the mirror's
_PUBLISHED_SERIAL = sa.func.coalesce(project.c.own_serial, project.c.serial)
_EXCLUDED_COLUMNS = {"wanted_serial", "absent_since", "verified_at", "amiss_since", "damaged_files", "damaged_since"}
_AMISS = (ProjectState.FAILING, ProjectState.PARTIAL)
_COLUMNS = [column for column in project.columns if column.name not in _EXCLUDED_COLUMNS]
_NAMES = [column.name for column in _COLUMNS]


@dataclass(frozen=True, slots=True)
class Totals:
    """The whole catalog in a few numbers."""

    projects: dict[ProjectState, int]
    files: int
    stored_bytes: int
    installable: int
    """Projects with at least one published file."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verify found of a project."""

    at: int | None
    """When; None where it is to be looked at again."""
    damaged: int
    """Files and pages that are missing or wrong."""


class Projects:
    """The project table, and the pages kept."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._reading = Lock()
        self._reader: sa.Connection | None = None
        self._select_one = sa.select(*_COLUMNS).where(project.c.name == sa.bindparam("name")).compile(engine)

    def close(self) -> None:
        """Let go of the connection that ``get`` keeps."""
        with self._reading:
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    def get(self, name: NormalizedName) -> ProjectRow | None:
        """Return a project's row."""
        # By the driver, on a connection that stays: asked for each project of a sync, SQLAlchemy's statement, row and
        # loan of a connection take 94 µs, these 11.
        with self._reading:
            if self._reader is None:
                self._reader = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            with closing(self._reader.connection.cursor()) as cursor:
                cursor.execute(*self._by_name(name))
                found = cursor.fetchone()
        return None if found is None else _row(dict(zip(_NAMES, found, strict=True)))

    def all_rows(self) -> Iterator[ProjectRow]:
        """Yield all rows by name, a few thousand in memory at once."""
        with self._engine.connect().execution_options(yield_per=2_000) as connection:
            for found in connection.execute(sa.select(*_COLUMNS).order_by(project.c.name)):
                yield _row(dict(found._mapping))  # noqa: SLF001 - its documented name

    def listed(self) -> Iterator[tuple[NormalizedName, int | None]]:
        """Yield name and serial of each published project, by name."""
        query = sa.select(project.c.name, _PUBLISHED_SERIAL).where(project.c.published).order_by(project.c.name)
        with self._engine.connect() as connection:
            # The driver's own cursor: 886,000 of SQLAlchemy's rows take two seconds, tuples a third of one. On
            # PostgreSQL it has a name, and so lives on the server: without one, all rows come before the first.
            named = ("listed",) if connection.dialect.name == "postgresql" else ()
            with closing(connection.connection.cursor(*named)) as cursor:
                cursor.execute(str(query.compile(self._engine, compile_kwargs={"literal_binds": True})))
                while some := cursor.fetchmany(_BATCH_LINES):
                    yield from some

    def newest_serial(self) -> int | None:
        """Return the highest serial that a project is published with, outliers left out."""
        query = sa.select(_PUBLISHED_SERIAL).where(project.c.published, _PUBLISHED_SERIAL.is_not(None))
        with self._engine.connect() as connection:
            return newest_plausible(
                list(connection.scalars(query.order_by(_PUBLISHED_SERIAL.desc()).limit(_MAX_HIGHEST_SERIALS)))
            )

    def any_published(self) -> bool:
        """Return whether a project is published."""
        with self._engine.connect() as connection:
            return connection.scalar(sa.select(project.c.name).where(project.c.published).limit(1)) is not None

    def count_published(self) -> int:
        """Return how many projects are published."""
        query = sa.select(sa.func.count()).select_from(project).where(project.c.published)
        with self._engine.connect() as connection:
            return connection.scalar(query) or 0

    def page(
        self, *, states: Iterable[ProjectState] = (), prefix: str = "", after: str = "", limit: int = 100
    ) -> list[ProjectRow]:
        """Return some rows by name: those of these states whose name begins so, after a name."""
        query = sa.select(*_COLUMNS).order_by(project.c.name).limit(limit)
        # One bound below and one above, and no LIKE: both databases answer that from the index. Of two below, SQLite
        # takes the first, and reads all that lies between: 45 ms of 200,000 names.
        query = query.where(project.c.name > after if after >= prefix else project.c.name >= prefix)
        if prefix:
            query = query.where(project.c.name < f"{prefix}\x7f")
        # A query a state: for several at once SQLite would sort all their rows, or look at all there are.
        queries = [query.where(project.c.state == state) for state in dict.fromkeys(states)] or [query]
        with self._engine.connect() as connection:
            found = [_row(dict(row._mapping)) for query in queries for row in connection.execute(query)]  # noqa: SLF001
        return sorted(found, key=lambda row: row.name)[:limit]

    def totals(self) -> Totals:
        """Return how many projects there are by state, and what they weigh."""
        with self._engine.connect() as connection:
            kept = connection.dialect.name == "sqlite"
            rows = connection.execute(_TOTALS if kept else _COUNT_TOTALS).all()
        return Totals(
            projects=dict.fromkeys(ProjectState, 0) | {ProjectState(row[0]): row[1] for row in rows},
            files=sum(int(row[2]) for row in rows),
            stored_bytes=sum(int(row[3]) for row in rows),  # PostgreSQL sums into a Decimal
            installable=sum(int(row[4]) for row in rows),
        )

    def amiss_since(self) -> int | None:
        """Return since when at least one project has been failing or partial; None where none is."""
        with self._engine.connect() as connection:
            # The condition is the index's, so that SQLite takes the first of its entries.
            oldest: int | None = connection.scalar(sa.select(sa.func.min(project.c.amiss_since)).where(AMISS))
        return oldest

    def kept(self, name: NormalizedName) -> KeptPage | None:
        """Return the page of upstream that was kept for a project."""
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(kept_page).where(kept_page.c.name == name)).one_or_none()
        if found is None:
            return None
        body = gzip.decompress(found.body)
        return KeptPage(name=name, url=found.url, content_type=found.content_type, serial=found.serial, body=body)

    def _by_name(self, name: NormalizedName) -> tuple[str, Any]:
        return self._select_one.string, (name,) if self._select_one.positional else {"name": name}

    def to_verify(
        self, *, since: int | None = None, only: Sequence[str] | None = None, after: str = "", limit: int = 500
    ) -> list[NormalizedName]:
        """Return some published projects by name, after a name: those not verified since then, of these alone."""
        query = sa.select(project.c.name).where(*_unverified(since, only), project.c.name > after)
        with self._engine.connect() as connection:
            return [NormalizedName(name) for name in connection.scalars(query.order_by(project.c.name).limit(limit))]

    def count_to_verify(self, *, since: int | None = None, only: Sequence[str] | None = None) -> int:
        """Return how many there are of them."""
        query = sa.select(sa.func.count()).select_from(project).where(*_unverified(since, only))
        with self._engine.connect() as connection:
            return connection.scalar(query) or 0

    def changed_since(self, moment: int, *, after: str = "", limit: int = 500) -> list[NormalizedName]:
        """Return some published projects by name, after a name, whose page changed since then."""
        terms = (project.c.published, project.c.changed_at >= moment, project.c.name > after)
        query = sa.select(project.c.name).where(*terms).order_by(project.c.name).limit(limit)
        with self._engine.connect() as connection:
            return [NormalizedName(name) for name in connection.scalars(query)]

    def mark_verified(self, connection: sa.Connection, verified: Mapping[NormalizedName, Verified]) -> None:
        """Note when projects were verified, and what of them is damaged."""
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
                # What stays damaged keeps the time when it was found.
                damaged_since=sa.case((since.is_(None), sa.null()), else_=first),
            )
            connection.execute(mark, rows)

    def damage(self) -> tuple[int, int | None]:
        """Return how many files and pages verifies found damaged, and none found mended since, and since when."""
        query = sa.select(sa.func.sum(project.c.damaged_files), sa.func.min(project.c.damaged_since)).where(DAMAGED)
        with self._engine.connect() as connection:
            files, since = connection.execute(query).one()
        return int(files or 0), since

    def store(self, connection: sa.Connection, rows: Sequence[ProjectRow]) -> None:
        """Insert or replace rows; one that fails on keeps the time when it began to."""
        kept = {"amiss_since": _amiss_since, "damaged_files": _damaged_files, "damaged_since": _damaged_since}
        upsert(connection, project, [_values(row) for row in rows], changes=kept)

    def replace(self, rows: Sequence[ProjectRow]) -> None:
        """As ``store``, in a transaction of its own."""
        if rows:
            with self._engine.begin() as connection:
                self.store(connection, rows)

    def forget(self, names: Sequence[NormalizedName]) -> None:
        """Remove rows of projects that have nothing published."""
        with self._engine.begin() as connection:
            for table in (project, kept_page):
                gone = table.delete().where(table.c.name == sa.bindparam("of"))
                connection.execute(gone, [{"of": name} for name in names])

    def keep_pages(self, connection: sa.Connection, names: Sequence[NormalizedName], pages: Iterable[KeptPage]) -> None:
        """Replace what is kept for these projects."""
        if names:
            replaced = kept_page.delete().where(kept_page.c.name == sa.bindparam("of"))
            connection.execute(replaced, [{"of": name} for name in names])
        values = [
            {
                "name": page.name,
                "url": page.url,
                "content_type": page.content_type,
                "serial": page.serial,
                "body": gzip.compress(page.body, compresslevel=6, mtime=0),
            }
            for page in pages
        ]
        if values:
            connection.execute(kept_page.insert(), values)


_TOTALS = sa.select(
    project_total.c.state,
    project_total.c.projects,
    project_total.c.files,
    project_total.c.stored_bytes,
    project_total.c.installable,
)
_COUNT_TOTALS = sa.select(
    project.c.state,
    sa.func.count(),
    sa.func.sum(project.c.file_count),
    sa.func.sum(project.c.stored_bytes),
    sa.func.count().filter(project.c.published, project.c.file_count > 0),
).group_by(project.c.state)


def _damaged_files(excluded: Any) -> sa.ColumnElement[Any]:  # noqa: ANN401 - as below
    """Return what is damaged of a project that stays published; nothing is of one that leaves."""
    return sa.case((excluded.published, project.c.damaged_files), else_=0)


def _damaged_since(excluded: Any) -> sa.ColumnElement[Any]:  # noqa: ANN401 - as below
    return sa.case((excluded.published, project.c.damaged_since), else_=sa.null())


def _amiss_since(excluded: Any) -> sa.ColumnElement[Any]:  # noqa: ANN401 - the columns of a row that is being stored
    """Return the earlier time of a row that fails on, and NULL of one that does not fail."""
    earlier = sa.func.coalesce(project.c.amiss_since, excluded.amiss_since)
    return sa.case((excluded.amiss_since.is_(None), sa.null()), else_=earlier)


def _row(values: dict[str, Any]) -> ProjectRow:
    """Make a row of a dictionary that nobody else needs."""
    values["validators"] = Validators(values.pop("etag"), values.pop("last_modified"))
    values["state"] = ProjectState(values["state"])
    # The driver's own booleans: SQLite has none.
    values["published"] = bool(values["published"])
    values["doubted"] = bool(values["doubted"])
    values["quarantined"] = bool(values["quarantined"])
    return ProjectRow(**values)


def _unverified(since: int | None, only: Sequence[str] | None) -> list[sa.ColumnElement[bool]]:
    terms: list[sa.ColumnElement[bool]] = [project.c.published]
    if since is not None:
        terms.append(sa.or_(project.c.verified_at.is_(None), project.c.verified_at < since))
    if only is not None:
        terms.append(project.c.name.in_(only))
    return terms


def _values(row: ProjectRow) -> dict[str, Any]:
    values = {column.name: getattr(row, column.name) for column in _COLUMNS if hasattr(row, column.name)}
    amiss = row.checked_at or int(time.time()) if row.state in _AMISS else None
    return values | {
        "etag": row.validators.etag,
        "last_modified": row.validators.last_modified,
        "amiss_since": amiss,
    }
