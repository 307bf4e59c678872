"""The versions that people released from the cooldown."""

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName

from mirror_syncer.catalog.schema import exemption
from mirror_syncer.config.policy.age import Exemption, format_moment


@dataclass(frozen=True, slots=True)
class StoredExemption:
    """A row: one version of a project, released by a person until a time."""

    id: str
    project: NormalizedName
    specifier: str
    because: str
    by: str
    """The name of the person's token."""
    made_at: int
    until: int

    @property
    def exemption(self) -> Exemption:
        """The row as the policy's exemption. Its reason is public, so it does not name the person."""
        reason = f"released until {format_moment(self.until)} ({self.because})"
        return Exemption(SpecifierSet(self.specifier), self.until, reason, released=True)


class Exemptions:
    """The exemption table; an expired row has no effect, and the next change deletes it."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def live(self, *, now: int) -> list[StoredExemption]:
        """Return the exemptions in force, oldest first."""
        query = sa.select(exemption).where(exemption.c.until > now).order_by(exemption.c.made_at, exemption.c.id)
        with self._engine.connect() as connection:
            return [StoredExemption(**row) for row in connection.execute(query).mappings()]

    def released(self, *, now: int) -> Mapping[NormalizedName, tuple[Exemption, ...]]:
        """Return the exemptions in force by project, for the policy."""
        released: dict[NormalizedName, tuple[Exemption, ...]] = {}
        for row in self.live(now=now):
            released[row.project] = (*released.get(row.project, ()), row.exemption)
        return released

    def count(self, *, now: int) -> int:
        """Return the number of exemptions in force."""
        query = sa.select(sa.func.count()).select_from(exemption).where(exemption.c.until > now)
        with self._engine.connect() as connection:
            return connection.scalar(query) or 0

    def add(self, row: StoredExemption, *, now: int) -> None:
        """Store an exemption in place of an earlier one for the same version; delete expired ones."""
        same = sa.and_(exemption.c.project == row.project, exemption.c.specifier == row.specifier)
        values = {column.name: getattr(row, column.name) for column in exemption.columns}
        with self._engine.begin() as connection:
            connection.execute(exemption.delete().where(sa.or_(same, exemption.c.until <= now)))
            connection.execute(exemption.insert().values(values))

    def remove(self, identifier: str, *, now: int) -> StoredExemption | None:
        """Delete an exemption, and return it if it was in force; delete expired ones, too."""
        with self._engine.begin() as connection:
            connection.execute(exemption.delete().where(exemption.c.until <= now))
            query = sa.select(exemption).where(exemption.c.id == identifier)
            found = connection.execute(query).mappings().one_or_none()
            connection.execute(exemption.delete().where(exemption.c.id == identifier))
        return None if found is None else StoredExemption(**found)
