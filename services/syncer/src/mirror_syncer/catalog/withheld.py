"""Projects with files that clients cannot download for now: held by the cooldown, or blocked."""

from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa

from mirror_syncer.catalog.project_rows import ROW_COLUMNS, parse_row
from mirror_syncer.catalog.schema import EXPIRING, WITHHELD, project
from mirror_syncer.model.project import ProjectRow

_NO_EXPIRY = 2**62
"""Sorts projects whose decision never expires after all others."""
_WITHHELD = sa.text(f"({WITHHELD})")  # in parentheses: AND binds closer than its OR
_FIELDS = ("held_files", "blocked_files")


@dataclass(frozen=True, slots=True)
class WithheldTotals:
    """Totals over all projects."""

    held_files: int = 0
    blocked_files: int = 0
    projects: int = 0


class WithheldKey(NamedTuple):
    """The place of a project in the list: the one whose decision expires first comes first."""

    expires_at: int = 0
    name: str = ""

    @classmethod
    def of(cls, row: ProjectRow) -> "WithheldKey":
        """Return the key of a project."""
        return cls(_NO_EXPIRY if row.expires_at is None else row.expires_at, row.name)


class Withheld:
    """Queries on the project table; each is answered from an index of exactly these projects."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def totals(self) -> WithheldTotals:
        """Return how many files wait, how many are blocked, and in how many projects."""
        sums = [sa.func.coalesce(sa.func.sum(project.c[name]), 0) for name in _FIELDS]
        query = sa.select(sums[0], sums[1], sa.func.count()).where(WITHHELD)
        with self._engine.connect() as connection:
            held, blocked, projects = connection.execute(query).one()
        return WithheldTotals(int(held), int(blocked), projects)

    def page(self, *, held: bool, blocked: bool, start: WithheldKey, limit: int) -> list[ProjectRow]:
        """
        Return some projects, first those whose decision expires first.

        Args:
            held, blocked: return projects with such files.
            start: the key of the first project to return.
        """
        wanted = sa.or_(*(project.c[name] > 0 for name, one in zip(_FIELDS, (held, blocked), strict=True) if one))
        found: list[ProjectRow] = []
        # Two queries, each in the order of an index: NULLs sort first on SQLite and last on PostgreSQL.
        if start.expires_at < _NO_EXPIRY:
            key = sa.tuple_(project.c.expires_at, project.c.name)
            timed = sa.select(*ROW_COLUMNS).where(EXPIRING, wanted, key >= sa.tuple_(start.expires_at, start.name))
            found = self._fetch(timed.order_by(project.c.expires_at, project.c.name).limit(limit))
        if len(found) < limit:
            after = start.name if start.expires_at == _NO_EXPIRY else ""
            rest = sa.select(*ROW_COLUMNS).where(_WITHHELD, wanted, project.c.expires_at.is_(None))
            rest = rest.where(project.c.name >= after).order_by(project.c.name)
            found += self._fetch(rest.limit(limit - len(found)))
        return found

    def _fetch(self, query: sa.Select[*tuple[object, ...]]) -> list[ProjectRow]:
        with self._engine.connect() as connection:
            return [parse_row(dict(row)) for row in connection.execute(query).mappings()]
