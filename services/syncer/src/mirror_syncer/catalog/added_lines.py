"""The lines that people added beside those of ``mirror.toml``, one a project."""

from dataclasses import dataclass

import sqlalchemy as sa
from packaging.utils import NormalizedName

from mirror_syncer.catalog.schema import added_line
from mirror_syncer.config.policy.added_line import AddedLine


@dataclass(frozen=True, slots=True)
class StoredAddedLine:
    """A row: a line, and who added it, when and why."""

    project: NormalizedName
    line: str
    because: str
    by: str
    """The name of the person's token."""
    made_at: int

    @property
    def added_line(self) -> AddedLine:
        """The row as the policy's line. What it selects is public, so it does not name the person."""
        return AddedLine(self.project, self.line, self.because)


class AddedLines:
    """The table of added lines."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def all(self) -> list[StoredAddedLine]:
        """Return all lines, by project."""
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(added_line).order_by(added_line.c.project)).mappings()
            return [StoredAddedLine(**row) for row in found]

    def in_force(self) -> tuple[AddedLine, ...]:
        """Return all lines, for the policy."""
        return tuple(row.added_line for row in self.all())

    def get(self, project: NormalizedName) -> StoredAddedLine | None:
        """Return the line of a project; None if nobody added one."""
        query = sa.select(added_line).where(added_line.c.project == project)
        with self._engine.connect() as connection:
            found = connection.execute(query).mappings().one_or_none()
        return None if found is None else StoredAddedLine(**found)

    def count(self) -> int:
        """Return the number of lines."""
        with self._engine.connect() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(added_line)) or 0

    def put(self, row: StoredAddedLine) -> None:
        """Store a line in place of an earlier one of its project."""
        values = {column.name: getattr(row, column.name) for column in added_line.columns}
        with self._engine.begin() as connection:
            connection.execute(added_line.delete().where(added_line.c.project == row.project))
            connection.execute(added_line.insert().values(values))

    def remove(self, project: NormalizedName) -> None:
        """Delete the line of a project."""
        with self._engine.begin() as connection:
            connection.execute(added_line.delete().where(added_line.c.project == project))
