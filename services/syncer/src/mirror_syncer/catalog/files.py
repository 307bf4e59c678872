"""Files between two states: about to be published or dropped, and retired."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any

import sqlalchemy as sa
from packaging.utils import NormalizedName

from mirror_syncer.catalog.rows import Pending, Retirement
from mirror_syncer.catalog.schema import pending, retired
from mirror_syncer.catalog.upsert import upsert
from mirror_syncer.names import PackagePath, Sha256

_AT_ONCE = 400


class Files:
    """The pending and the retired table."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._claiming = Lock()

    def intend(self, intents: Sequence[Pending]) -> set[PackagePath]:
        """
        Note what a publication, or a collection, is about to touch.

        Returns:
            The places among them that another project has in hand, or that held other content once. They may not be
            touched, and are not noted.
        """
        # One at a time, looking included: sqlite3 begins a transaction no earlier than at its first write.
        with self._claiming, self._engine.begin() as connection:
            places = [intent.place for intent in intents]
            held = self._held(connection, places)
            foreign = self._foreign(connection, {intent.project for intent in intents}, places)
            taken = {i.place for i in intents if i.place in foreign or held.get(i.place, i.sha256) != i.sha256}
            upsert(connection, pending, [_values(intent, pending) for intent in intents if intent.place not in taken])
        return taken

    def pending(self, project: NormalizedName | None = None) -> list[Pending]:
        """Return what publications that were broken off had in hand, by project; of one, where it is named."""
        with self._engine.connect() as connection:
            query = sa.select(pending).order_by(pending.c.project)
            if project is not None:
                query = query.where(pending.c.project == project)
            return [Pending(*found) for found in connection.execute(query)]

    def settle(
        self,
        connection: sa.Connection,
        *,
        projects: Sequence[NormalizedName],
        retirements: Iterable[Retirement],
        returned: Iterable[PackagePath],
    ) -> None:
        """Forget what these projects had in hand, since it is done; plan what leaves."""
        done = pending.delete().where(pending.c.project == sa.bindparam("of"))
        connection.execute(done, [{"of": project} for project in projects])
        if rows := [{"of": place} for place in returned]:
            stays = retired.update().where(retired.c.place == sa.bindparam("of")).values(due_at=None)
            connection.execute(stays, rows)
        upsert(connection, retired, [_values(retirement, retired) for retirement in retirements])

    def recover(self, project: NormalizedName, retirements: Sequence[Retirement]) -> None:
        """Settle what a crash left of one project: files that no page names leave like any others."""
        with self._engine.begin() as connection:
            self.settle(connection, projects=[project], retirements=retirements, returned=())

    def due_projects(self, *, now: int) -> list[NormalizedName]:
        """Return the projects that have files whose time has come."""
        with self._engine.connect() as connection:
            query = sa.select(retired.c.project).where(retired.c.due_at <= now).distinct()
            return [NormalizedName(name) for name in connection.scalars(query)]

    def due(self, project: NormalizedName, *, now: int) -> list[Retirement]:
        """Return a project's files whose time has come."""
        query = sa.select(retired).where(retired.c.project == project, retired.c.due_at <= now)
        with self._engine.connect() as connection:
            return [Retirement(**found._mapping) for found in connection.execute(query)]  # noqa: SLF001 - documented

    def removed(self, places: Sequence[PackagePath]) -> None:
        """Note that files are gone. Their rows stay, and keep their places for their content."""
        if rows := [{"of": place} for place in places]:
            with self._engine.begin() as connection:
                gone = retired.update().where(retired.c.place == sa.bindparam("of")).values(due_at=None)
                connection.execute(gone, rows)
                connection.execute(pending.delete().where(pending.c.place == sa.bindparam("of")), rows)

    def held(self, places: Sequence[PackagePath]) -> dict[str, Sha256]:
        """Return what these places hold, or once held, though no page names it."""
        with self._engine.connect() as connection:
            return self._held(connection, places)

    def known(self, directory: str) -> frozenset[str]:
        """Return the places of a directory, such as ``packages/ab/``, that are in hand or due to leave."""
        with self._engine.connect() as connection:
            known: set[str] = set()
            for table, terms in ((pending, ()), (retired, (retired.c.due_at.is_not(None),))):
                # A range, not LIKE: both databases answer it from the index.
                span = (table.c.place >= directory, table.c.place < f"{directory[:-1]}0")
                known |= set(connection.scalars(sa.select(table.c.place).where(*span, *terms)))
        return frozenset(known)

    def retire(self, orphans: Sequence[Retirement]) -> int:
        """
        Plan that files leave which nobody knew; what somebody has in hand by now stays.

        Returns:
            How many leave.
        """
        with self._claiming, self._engine.begin() as connection:
            places = [orphan.place for orphan in orphans]
            taken = self._foreign(connection, set(), places)
            held = self._held(connection, places)
            # What a place once held stays on record: no URL ever changes its bytes.
            leaving = [replace(o, sha256=held.get(o.place, o.sha256)) for o in orphans if o.place not in taken]
            upsert(connection, retired, [_values(orphan, retired) for orphan in leaving])
        return len(leaving)

    def _foreign(
        self, connection: sa.Connection, projects: set[NormalizedName], places: Sequence[PackagePath]
    ) -> set[str]:
        foreign: set[str] = set()
        for start in range(0, len(places), _AT_ONCE):
            at_hand = pending.c.place.in_(places[start : start + _AT_ONCE])
            query = sa.select(pending.c.place).where(at_hand, pending.c.project.not_in(projects))
            foreign |= set(connection.scalars(query))
        return foreign

    def _held(self, connection: sa.Connection, places: Sequence[PackagePath]) -> dict[str, Sha256]:
        held: dict[str, Sha256] = {}
        for start in range(0, len(places), _AT_ONCE):
            query = sa.select(retired.c.place, retired.c.sha256).where(
                retired.c.place.in_(places[start : start + _AT_ONCE])
            )
            held |= {place: Sha256(sha256) for place, sha256 in connection.execute(query)}
        return held


def _values(row: Pending | Retirement, table: sa.Table) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in table.columns}
