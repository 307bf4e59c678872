"""Projects that others require and that upstream does not have, each until a time."""

from collections.abc import Iterable

import sqlalchemy as sa
from packaging.utils import NormalizedName

from mirror_syncer.catalog.batches import batched
from mirror_syncer.catalog.schema import absent_project
from mirror_syncer.catalog.upsert import upsert


class AbsentProjects:
    """The table of absent projects; an expired row has no effect, and the next change deletes it."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def contains(self, name: NormalizedName, *, now: int) -> bool:
        """Return whether upstream lacked a project a short time ago."""
        query = sa.select(absent_project.c.name).where(absent_project.c.name == name, absent_project.c.until > now)
        with self._engine.connect() as connection:
            return connection.execute(query).one_or_none() is not None

    def add(self, name: NormalizedName, *, until: int, now: int) -> None:
        """Remember until a time that upstream lacks a project."""
        with self._engine.begin() as connection:
            connection.execute(absent_project.delete().where(absent_project.c.until <= now))
            upsert(connection, absent_project, [{"name": name, "until": until}])

    def forget(self, names: Iterable[NormalizedName]) -> None:
        """Forget these projects: upstream has them, or is to be asked again."""
        with self._engine.begin() as connection:
            for some in batched(names):
                connection.execute(absent_project.delete().where(absent_project.c.name.in_(some)))

    def forget_all(self, connection: sa.Connection) -> None:
        """Forget every project: another upstream may have it."""
        connection.execute(absent_project.delete())
