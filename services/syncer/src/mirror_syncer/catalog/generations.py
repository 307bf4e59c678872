"""The tree's generation as the catalog knows it: the last one whose rows are committed, and the last one begun."""

import sqlalchemy as sa

from mirror_syncer.catalog.schema import about
from mirror_syncer.model.generation import Generation

_CONFIRMED = "generation"
_BEGUN = "generation_begun"


class KnownGenerations:
    """
    Reads and writes both.

    A change notes its number here before clients can see it, writes it to the tree after they can, and confirms it in
    the transaction that remembers the change. So the tree that belongs to this catalog bears the confirmed generation,
    or one up to the begun one, whose projects are pending.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def read(self) -> tuple[Generation, Generation]:
        """Return what is confirmed, and what is begun."""
        with self._engine.connect() as connection:
            confirmed, begun = _read(connection, _CONFIRMED), _read(connection, _BEGUN)
        return confirmed, max(confirmed, begun, key=lambda generation: generation.number)

    def begin(self, generation: Generation) -> None:
        """Note a generation before anything of it can be seen."""
        with self._engine.begin() as connection:
            _write(connection, _BEGUN, generation)

    def accept(self, generation: Generation) -> None:
        """Note that tree and catalog belong together as they are."""
        with self._engine.begin() as connection:
            _write(connection, _CONFIRMED, generation)
            _write(connection, _BEGUN, generation)


def confirm(connection: sa.Connection, generation: Generation | None) -> None:
    """Note, with what a change wrote to the catalog, that it did; a later change may have been faster."""
    if generation is not None and generation.number > _read(connection, _CONFIRMED).number:
        _write(connection, _CONFIRMED, generation)


def _read(connection: sa.Connection, key: str) -> Generation:
    found = connection.scalar(sa.select(about.c.value).where(about.c.key == key))
    return Generation() if found is None else Generation.parse(found)


def _write(connection: sa.Connection, key: str, generation: Generation) -> None:
    connection.execute(about.delete().where(about.c.key == key))
    connection.execute(about.insert().values(key=key, value=str(generation)))
