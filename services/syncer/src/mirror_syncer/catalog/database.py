"""The catalog as a whole: opened, migrated, and told of publications in one transaction a group."""

import os
import sqlite3
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from packaging.utils import NormalizedName

from mirror_contract import Run
from mirror_syncer.catalog.due import Due
from mirror_syncer.catalog.error_explanations import explain_sqlite_error
from mirror_syncer.catalog.files import Files
from mirror_syncer.catalog.generations import KnownGenerations, confirm
from mirror_syncer.catalog.listing import Listing
from mirror_syncer.catalog.messages import Messages
from mirror_syncer.catalog.projects import Projects, Verified
from mirror_syncer.catalog.run_log import RunLog
from mirror_syncer.catalog.schema import SCHEMA_VERSION, about, kept_page, metadata, project, retired
from mirror_syncer.catalog.state_disk import explain_state_disk_errors
from mirror_syncer.errors import ConfigurationError
from mirror_syncer.model.generation import Generation
from mirror_syncer.model.names import PackagePath
from mirror_syncer.model.project import CatalogUpdate, ProjectRow, Retirement
from mirror_syncer.model.serials import MAX_SERIAL, MAX_SERIAL_LEAD, OUTLIER_FACTOR, SerialBounds

# alembic's own; no table of the schema's, lest a migration should make it
_VERSION = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True))


class Fact(StrEnum):
    """What is remembered beside the tables."""

    MIRROR_ID = "mirror_id"
    SYNCED_POLICY = "synced_policy"  # the digest of the policy that the last whole success was by
    FULLY_APPLIED_POLICY = "fed_policy"  # of everything, all that was published by another was looked at
    LIST = "list"  # the digest of the published project list
    LIST_SERIAL = "list_serial"  # and its serial
    LIST_OLDER = "list_older"  # since when upstream shows a list that is older than the last; empty: it does not
    UPSTREAM = "upstream"  # the URL of the upstream that all this is of
    SWITCHED_FROM = "switched_from"  # the one of before, until a whole sync has gone through all; empty: none
    SYNC_START_SERIAL = (
        "tick"  # the newest serial of a project when the last whole sync began: more may have changed under it
    )
    CHECKED_ABSENCES_OF = (
        "asked_after"  # the edition of the last list of which all that it lacks was asked for its page
    )
    UPSTREAM_CHANGED_AT = "news"  # when upstream last had any
    LAST_CLOCK = "clock"  # the host's, when it was last looked at
    RECENT_REMOVALS = "taken"  # when upstream took something from which projects, within a day; in JSON
    PAUSED = "paused"  # when the schedule was paused, in seconds; empty: it is not
    WITHHELD_SINCE = "withheld_since"  # when the deletion guard began to hold removals back; empty: it holds none
    LIST_DAMAGED = "list_damaged"  # how many forms of the list a verify found damaged, and when; empty: none
    ADOPTING = "adopting"  # the old tree that `adopt` is not done with


class Catalog:
    """
    The open catalog. Its methods block; the event loop calls them in threads.

    Args:
        url: SQLAlchemy's, such as ``sqlite:////var/lib/pypi-mirror/catalog.sqlite``.

    Raises:
        ConfigurationError: it cannot be opened, or was written by a newer version.
        StateError: its disk says no; so may every method.
    """

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url)
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _prepare_sqlite)
            sa.event.listen(self._engine, "handle_error", explain_sqlite_error)
        try:
            self._migrate()
        except (sa.exc.DatabaseError, LookupError) as error:
            self._engine.dispose()
            problem = (
                f"{self._engine.url!r} cannot be opened ({str(error).splitlines()[0]}); is MIRROR_STATE a writable "
                "directory on a local disk, and this version not older than the one that wrote it?"
            )
            raise ConfigurationError("catalog", [problem]) from error
        self.projects = Projects(self._engine)
        self.files = Files(self._engine)
        self.runs = RunLog(self._engine)
        self.messages = Messages(self._engine)
        self.listing = Listing(self._engine)
        self.due = Due(self._engine)
        self.generations = KnownGenerations(self._engine)
        self.mirror_id = self._remembered(Fact.MIRROR_ID, otherwise=str(uuid.uuid4()))

    @classmethod
    def in_directory(cls, directory: Path) -> "Catalog":
        """Open the SQLite catalog of a directory, which must exist."""
        return cls(f"sqlite:///{directory / 'catalog.sqlite'}")

    def close(self) -> None:
        """Let go of the database."""
        self.projects.close()
        self._engine.dispose()

    def commit(self, catalog_updates: Sequence[CatalogUpdate], *, generation: Generation | None = None) -> None:
        """Store what a group's publications changed, in one transaction, and which generation of the tree that made."""
        if not catalog_updates:
            return
        names = [catalog_update.row.name for catalog_update in catalog_updates]
        with self.files.guard:
            with self._engine.begin() as connection:
                confirm(connection, generation)
                self.projects.store(connection, [catalog_update.row for catalog_update in catalog_updates])
                kept = [catalog_update.kept for catalog_update in catalog_updates if catalog_update.kept is not None]
                self.projects.keep_pages(connection, [s.row.name for s in catalog_updates if s.read], kept)
                self.listing.record_presence(
                    connection,
                    gone=[s.row.name for s in catalog_updates if s.gone],
                    there=[s.row.name for s in catalog_updates if s.row.published and not s.gone],
                )
                self.files.finish(
                    connection,
                    projects=names,
                    retirements=[r for catalog_update in catalog_updates for r in catalog_update.retirements],
                    returned=[place for catalog_update in catalog_updates for place in catalog_update.returned],
                )
                self.files.end_grace_of(connection, [s.row.name for s in catalog_updates if s.quarantined])
            self.files.release(names)

    def store_row(self, row: ProjectRow) -> None:
        """Store a project's row alone; what the project has in hand stays in hand."""
        with self.files.guard, self._engine.begin() as connection:
            self.projects.store(connection, [row])

    def recover(
        self,
        name: NormalizedName,
        row: ProjectRow | None,
        *,
        retirements: Sequence[Retirement],
        returned: Sequence[PackagePath],
    ) -> None:
        """Settle what a crash left of a project: its row, files that no page names, and those that one names again."""
        with self.files.guard:
            with self._engine.begin() as connection:
                self.projects.store(connection, [] if row is None else [row])
                self.files.finish(connection, projects=[name], retirements=retirements, returned=returned)
            self.files.release([name])

    def sync(self) -> None:
        """
        Return once all that was committed is durable; with PostgreSQL it is already.

        Raises:
            StateError: the disk says no.
        """
        if self._engine.dialect.name != "sqlite":
            return
        log = f"{self._engine.url.database}-wal"
        with (
            explain_state_disk_errors(log),
            suppress(FileNotFoundError),
        ):  # it went into the database, which was synced then
            descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def checkpoint(self, run: Run, *, verified: Mapping[NormalizedName, Verified]) -> None:
        """Store how far a verify is: what it counted, and of which projects, in one transaction."""
        with self._engine.begin() as connection:
            self.projects.mark_verified(connection, verified)
            self.runs.store(connection, run)

    def shift_times(self, seconds: int) -> None:
        """Move what happened, and what is to happen, so much later; the host's clock was."""
        with self.files.guard, self._engine.begin() as connection:
            moved = (
                (project, ("due_at", "checked_at", "verified_at", "amiss_since", "damaged_since", "older_since")),
                (retired, ("due_at", "retired_at")),
            )
            for table, names in moved:
                connection.execute(table.update().values({name: table.c[name] + seconds for name in names}))

    def adopt_tree(self, mirror_id: str, rows: Iterable[ProjectRow], *, generation: Generation | None = None) -> None:
        """Become the catalog of a tree that has an id and projects already; all of it, or nothing."""
        with self._engine.begin() as connection:
            self.projects.store(connection, list(rows))
            _set(connection, Fact.MIRROR_ID, mirror_id)
            confirm(connection, generation)
        self.mirror_id = mirror_id

    def change_upstream(self, *, old: str, new: str) -> None:
        """Forget, in one transaction, what only the old upstream said, so that every project is looked at again."""
        forgotten: dict[str, Any] = dict.fromkeys(
            (
                *("serial", "own_serial", "seen_serial", "wanted_serial", "absent_since", "older_since"),
                *("etag", "last_modified", "due_at", "checked_at", "error"),
            )
        )
        # Their pages are published with serials; ours go on from these.
        published = sa.func.coalesce(project.c.own_serial, project.c.serial)
        forgotten |= {"own_serial": published, "doubted": False, "attempts": 0, "lost_files": 0}
        with self.files.guard, self._engine.begin() as connection:
            connection.execute(project.update().values(forgotten))
            failing = project.update().where(project.c.state == "failing")
            connection.execute(failing.values(state="behind"))
            connection.execute(kept_page.delete())
            for fact in (Fact.LIST_OLDER, Fact.SYNC_START_SERIAL, Fact.CHECKED_ABSENCES_OF, Fact.UPSTREAM_CHANGED_AT):
                _set(connection, fact, "")
            self.listing.forget(connection)
            _set(connection, Fact.UPSTREAM, new)
            _set(connection, Fact.SWITCHED_FROM, old)

    def serial_bounds(self, *, everything: bool) -> SerialBounds:
        """
        Return what a page's serial is judged by.

        Args:
            everything: upstream's list is read, so that the last one is current.
        """
        said = self.recall(Fact.LIST_SERIAL)
        newest = int(said) if said else None
        known = self.listing.last() if everything else None
        if known is not None and known.serial is not None:
            return SerialBounds(known.ceiling, newest, None if self.recall(Fact.LIST_OLDER) else known.serial)
        if newest is None or known is not None or self.recall(Fact.SWITCHED_FROM):
            return SerialBounds(newest=newest)
        return SerialBounds(min(MAX_SERIAL, OUTLIER_FACTOR * newest + MAX_SERIAL_LEAD), newest)

    def has_pending_removals(self) -> bool:
        """Return whether something that upstream lacks is still published: a project, or a file of one."""
        known = self.listing.last()
        return known is not None and bool(self.due.count_absent(edition=known.edition) or self.due.count_shrinking())

    def serials(self) -> tuple[int, int] | None:
        """Return up to which serial every change was looked at, and that of upstream's list, where it has one."""
        known = self.listing.last()
        if known is None or known.serial is None:
            return None
        return self.due.settled_serial(upstream=known.serial), known.serial

    def news_at(self) -> int | None:
        """Return when upstream last had news (seconds since the epoch)."""
        return int(said) if (said := self.recall(Fact.UPSTREAM_CHANGED_AT)) else None

    def remember(self, key: "Fact", value: str) -> None:
        """Keep one small fact."""
        with self._engine.begin() as connection:
            _set(connection, key, value)

    def recall(self, key: "Fact") -> str | None:
        """Return a fact kept before."""
        with self._engine.connect() as connection:
            return connection.scalar(sa.select(about.c.value).where(about.c.key == key))

    def _remembered(self, key: "Fact", *, otherwise: str) -> str:
        if (value := self.recall(key)) is None:
            self.remember(key, value := otherwise)
        return value

    def _migrate(self) -> None:
        """Make a new catalog from the schema; bring an older one to it, by alembic, whose import takes 0.1 s."""
        with self._engine.begin() as connection:
            if _version(connection) == SCHEMA_VERSION:
                return
            if connection.dialect.name == "sqlite":
                # Its driver begins none for DDL: a kill between two statements would leave a schema that is neither.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            version = _version(connection)
            if version is None:
                metadata.create_all(connection)
                connection.execute(
                    sa.text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
                )
                connection.execute(_VERSION.insert().values(version_num=SCHEMA_VERSION))
            elif version != SCHEMA_VERSION:
                from mirror_syncer.catalog.migration import migrate  # noqa: PLC0415 - as said

                migrate(connection)


def _version(connection: sa.Connection) -> str | None:
    """Return the schema's version; None of an empty database."""
    if not sa.inspect(connection).has_table(_VERSION.name):
        return None
    version: str | None = connection.scalar(sa.select(_VERSION.c.version_num))
    return version


def _set(connection: sa.Connection, key: Fact, value: str) -> None:
    connection.execute(about.delete().where(about.c.key == key))
    connection.execute(about.insert().values(key=key, value=value))


def _prepare_sqlite(connection: sqlite3.Connection, _: Any) -> None:  # noqa: ANN401 - SQLAlchemy's own record
    # WAL: readers never wait for the writer. NORMAL: after a power cut the newest commits may be missing, never half;
    # a project whose row is older than its page is looked at again, and nothing else.
    connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 10000;")
