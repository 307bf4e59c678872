"""The catalog as a whole: it commits a group of publications in one transaction."""

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from packaging.utils import NormalizedName

from mirror_contract import Run
from mirror_syncer.catalog.absent_projects import AbsentProjects
from mirror_syncer.catalog.added_lines import AddedLines
from mirror_syncer.catalog.backend import backend_of
from mirror_syncer.catalog.closures import Closures
from mirror_syncer.catalog.due import Due
from mirror_syncer.catalog.engine import open_engine
from mirror_syncer.catalog.exemptions import Exemptions
from mirror_syncer.catalog.facts import Fact, read_fact, write_fact
from mirror_syncer.catalog.files import Files
from mirror_syncer.catalog.generations import KnownGenerations, confirm
from mirror_syncer.catalog.kept_pages import KeptPages
from mirror_syncer.catalog.listing import Listing
from mirror_syncer.catalog.messages import Messages
from mirror_syncer.catalog.projects import Projects, Verified
from mirror_syncer.catalog.requirement_lines import StoredRequirementLines
from mirror_syncer.catalog.run_log import RunLog
from mirror_syncer.catalog.schema import (
    absent_project,
    pending,
    project,
    requirement_lines,
    retired,
)
from mirror_syncer.catalog.withheld import Withheld
from mirror_syncer.config.settings import Settings
from mirror_syncer.model.generation import Generation
from mirror_syncer.model.names import PackagePath
from mirror_syncer.model.project import CatalogUpdate, KeptPage, ProjectRow, Recovered, Retirement
from mirror_syncer.model.serials import MAX_SERIAL, MAX_SERIAL_LEAD, OUTLIER_FACTOR, SerialBounds


class Catalog:
    """
    The open catalog. Its methods block; the event loop calls them in threads.

    Args:
        url: a URL of SQLAlchemy, such as ``sqlite:////var/lib/pypi-mirror/catalog.sqlite``.
        password_file: for PostgreSQL; read again for each connection.

    Raises:
        ConfigurationError: it cannot be opened, refuses the syncer, or was written by a newer version.
        StateError: its disk failed, or its server does not answer; every method may raise this.
    """

    def __init__(self, url: str, *, password_file: Path | None = None) -> None:
        self._engine = open_engine(url, password_file=password_file)
        self._durability = backend_of(self._engine).Durability(self._engine)
        self.last_commit_at = time.monotonic()
        """When a transaction last began to commit, by the monotonic clock: what was read before is out of date."""
        sa.event.listen(self._engine, "commit", self._note_commit)
        self.projects = Projects(self._engine)
        self.kept_pages = KeptPages(self._engine)
        self.files = Files(self._engine)
        self.runs = RunLog(self._engine)
        self.messages = Messages(self._engine)
        self.listing = Listing(self._engine)
        self.due = Due(self._engine)
        self.withheld = Withheld(self._engine)
        self.exemptions = Exemptions(self._engine)
        self.added_lines = AddedLines(self._engine)
        self.closures = Closures(self._engine)
        self.requirement_lines = StoredRequirementLines(self._engine)
        self.absent_projects = AbsentProjects(self._engine)
        self.generations = KnownGenerations(self._engine)
        if (mirror_id := self.recall(Fact.MIRROR_ID)) is None:
            self.remember(Fact.MIRROR_ID, mirror_id := str(uuid.uuid4()))
        self.mirror_id = mirror_id

    def _note_commit(self, _: sa.Connection) -> None:
        self.last_commit_at = time.monotonic()

    @classmethod
    def in_directory(cls, directory: Path) -> "Catalog":
        """Open the SQLite catalog of a directory, which must exist."""
        return cls(f"sqlite:///{directory / 'catalog.sqlite'}")

    @classmethod
    def of_settings(cls, settings: Settings) -> "Catalog":
        """Open the catalog that the settings name."""
        if settings.catalog:
            return cls(settings.catalog, password_file=settings.catalog_password_file)
        return cls.in_directory(settings.state)

    @property
    def engine(self) -> sa.Engine:
        """The database, for what concerns all of its tables."""
        return self._engine

    def close(self) -> None:
        """Close the database."""
        self.projects.close()
        self._durability.close()
        self._engine.dispose()

    def commit(self, catalog_updates: Sequence[CatalogUpdate], *, generation: Generation | None = None) -> None:
        """Store the changes of a group's publications, and the tree's new generation, in one transaction."""
        if not catalog_updates:
            return
        names = [catalog_update.row.name for catalog_update in catalog_updates]
        with self.files.guard:
            with self._engine.begin() as connection:
                confirm(connection, generation)
                self.projects.store(connection, [catalog_update.row for catalog_update in catalog_updates])
                kept = [catalog_update.kept for catalog_update in catalog_updates if catalog_update.kept is not None]
                self.kept_pages.replace(connection, [s.row.name for s in catalog_updates if s.read], kept)
                self.listing.record_presence(
                    connection,
                    gone=[s.row.name for s in catalog_updates if s.gone],
                    there=[s.row.name for s in catalog_updates if s.row.published and not s.gone],
                )
                backend_of(connection).add_changed_totals(connection)
                self.files.finish(
                    connection,
                    projects=names,
                    retirements=[r for catalog_update in catalog_updates for r in catalog_update.retirements],
                    returned=[place for catalog_update in catalog_updates for place in catalog_update.returned],
                )
                self.files.end_grace_of(connection, [s.row.name for s in catalog_updates if s.quarantined])
            self.files.release(names)

    def page_marks(self, names: Sequence[NormalizedName]) -> dict[NormalizedName, str]:
        """
        Return a text for each project with a stored page of upstream, which changes when that page does.

        It is the digest of the kept page, or of the published page where none is kept.
        """
        return self.projects.page_digests(names) | self.kept_pages.digests(names)

    def keep_unpublished_page(self, row: ProjectRow, page: KeptPage | None) -> bool:
        """
        Keep upstream's page of a project that is not published; return False if it is, or is about to be.

        A run may publish the project meanwhile, whose row and page are then better.

        Args:
            page: replaces the kept one; None: upstream's did not change.
        """
        busy = (
            sa.select(project.c.name).where(project.c.name == row.name, project.c.published),
            sa.select(pending.c.project).where(pending.c.project == row.name),
        )
        with self.files.guard, self._engine.begin() as connection:
            if any(connection.execute(query).first() is not None for query in busy):
                return False
            self.projects.store(connection, [row])
            if page is not None:
                self.kept_pages.replace(connection, [row.name], [page])
            return True

    def store_row(self, row: ProjectRow) -> None:
        """Store only a project's row; its pending files stay pending."""
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
        """Store the result of a project's recovery; see ``recover_all``."""
        self.recover_all([Recovered(name, row, retirements, returned)])

    def recover_all(self, results: Sequence[Recovered]) -> None:
        """Store the results of recoveries in one transaction."""
        names = [result.name for result in results]
        with self.files.guard:
            with self._engine.begin() as connection:
                self.projects.store(connection, [result.row for result in results if result.row is not None])
                self.files.finish(
                    connection,
                    projects=names,
                    retirements=[retirement for result in results for retirement in result.retirements],
                    returned=[place for result in results for place in result.returned],
                )
            self.files.release(names)

    def sync(self) -> None:
        """
        Make all commits durable; those of pending files that the database lost are repeated.

        Raises:
            StateError: the disk failed, or the server is away.
        """
        while not self._durability.sync():
            self.files.store_pending_again()

    def checkpoint(self, run: Run, *, verified: Mapping[NormalizedName, Verified]) -> None:
        """Store the progress of a verify, its counts and its projects, in one transaction."""
        with self._engine.begin() as connection:
            self.projects.mark_verified(connection, verified)
            self.runs.store(connection, run)

    def shift_times(self, seconds: int) -> None:
        """
        Shift all past and scheduled times by a change of the host's clock.

        A clock that was ahead is not believed: pages that it changed are judged again, now or when they are due.
        """
        now = int(time.time())
        with self.files.guard, self._engine.begin() as connection:
            moved = (
                (project, ("due_at", "checked_at", "verified_at", "amiss_since", "damaged_since", "older_since")),
                (retired, ("due_at", "retired_at")),
                (requirement_lines, ("used_at",)),
                (absent_project, ("until",)),
            )
            for table, names in moved:
                connection.execute(table.update().values({name: table.c[name] + seconds for name in names}))
            if seconds < 0:
                ahead = project.c.published, project.c.changed_at > now, project.c.due_at.is_(None)
                connection.execute(project.update().where(*ahead).values(expires_at=now, changed_at=now))

    def adopt_tree(self, mirror_id: str, rows: Iterable[ProjectRow], *, generation: Generation | None = None) -> None:
        """Become the catalog of an existing tree, with its id and projects, in one transaction."""
        with self._engine.begin() as connection:
            self.projects.store(connection, list(rows))
            write_fact(connection, Fact.MIRROR_ID, mirror_id)
            confirm(connection, generation)
        self.mirror_id = mirror_id

    def change_upstream(self, *, old: str, new: str) -> None:
        """Delete all data that only the old upstream provided, so that every project is requested again."""
        forgotten: dict[str, Any] = dict.fromkeys(
            (
                *("serial", "own_serial", "seen_serial", "wanted_serial", "absent_since", "older_since"),
                *("etag", "last_modified", "due_at", "checked_at", "error"),
            )
        )
        # The mirror's own serials continue from those of the published pages.
        published = sa.func.coalesce(project.c.own_serial, project.c.serial)
        forgotten |= {"own_serial": published, "doubted": False, "attempts": 0, "lost_files": 0}
        with self.files.guard, self._engine.begin() as connection:
            connection.execute(project.update().values(forgotten))
            failing = project.update().where(project.c.state == "failing")
            connection.execute(failing.values(state="behind"))
            self.kept_pages.forget_all(connection)
            self.absent_projects.forget_all(connection)
            self.requirement_lines.forget_unverified(connection)
            for fact in (Fact.LIST_OLDER, Fact.SYNC_START_SERIAL, Fact.CHECKED_ABSENCES_OF, Fact.UPSTREAM_CHANGED_AT):
                write_fact(connection, fact, "")
            self.listing.forget(connection)
            write_fact(connection, Fact.UPSTREAM, new)
            write_fact(connection, Fact.SWITCHED_FROM, old)

    def serial_bounds(self, *, everything: bool) -> SerialBounds:
        """
        Return the bounds for judging a page's serial.

        Args:
            everything: the syncer reads upstream's list, so that the last one is current.
        """
        text = self.recall(Fact.LIST_SERIAL)
        newest = int(text) if text else None
        known = self.listing.last() if everything else None
        if known is not None and known.serial is not None:
            return SerialBounds(known.ceiling, newest, None if self.recall(Fact.LIST_OLDER) else known.serial)
        if newest is None or known is not None or self.recall(Fact.SWITCHED_FROM):
            return SerialBounds(newest=newest)
        return SerialBounds(min(MAX_SERIAL, OUTLIER_FACTOR * newest + MAX_SERIAL_LEAD), newest)

    def has_pending_removals(self) -> bool:
        """Return whether a project or file that upstream no longer has is still published."""
        known = self.listing.last()
        return known is not None and bool(self.due.count_absent(edition=known.edition) or self.due.count_shrinking())

    def serials(self) -> tuple[int, int] | None:
        """Return the serial up to which all changes are processed, and that of upstream's list, if any."""
        known = self.listing.last()
        if known is None or known.serial is None:
            return None
        return self.due.settled_serial(upstream=known.serial), known.serial

    def news_at(self) -> int | None:
        """Return when upstream last had a change (seconds since the epoch)."""
        return int(text) if (text := self.recall(Fact.UPSTREAM_CHANGED_AT)) else None

    def remember(self, fact: Fact, value: str) -> None:
        """Store a fact."""
        with self._engine.begin() as connection:
            write_fact(connection, fact, value)

    def recall(self, fact: Fact) -> str | None:
        """Return a stored fact."""
        with self._engine.connect() as connection:
            return read_fact(connection, fact)
