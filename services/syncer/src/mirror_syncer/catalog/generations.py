"""The catalog's record of the tree's generation: the last confirmed one, and the last begun one."""

import sqlalchemy as sa

from mirror_syncer.catalog.facts import Fact, read_fact, write_fact
from mirror_syncer.model.generation import Generation


class KnownGenerations:
    """
    The confirmed and the begun generation.

    A change records its number here before clients can see it, writes it to the tree afterwards, and confirms it in
    the transaction that stores the change. A matching tree therefore has a generation between the confirmed one and
    the begun one, and projects with later changes are pending.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def read(self) -> tuple[Generation, Generation]:
        """Return the confirmed and the begun generation."""
        with self._engine.connect() as connection:
            confirmed, begun = _read(connection, Fact.GENERATION), _read(connection, Fact.GENERATION_BEGUN)
        return confirmed, max(confirmed, begun, key=lambda generation: generation.number)

    def begin(self, generation: Generation) -> None:
        """Record a generation before its change becomes visible."""
        with self._engine.begin() as connection:
            _write(connection, Fact.GENERATION_BEGUN, generation)

    def accept(self, generation: Generation) -> None:
        """Record that the tree with this generation matches the catalog."""
        with self._engine.begin() as connection:
            _write(connection, Fact.GENERATION, generation)
            _write(connection, Fact.GENERATION_BEGUN, generation)


def confirm(connection: sa.Connection, generation: Generation | None) -> None:
    """Confirm a change's generation in its own transaction, unless a later change was confirmed first."""
    if generation is not None and generation.number > _read(connection, Fact.GENERATION).number:
        _write(connection, Fact.GENERATION, generation)


def _read(connection: sa.Connection, fact: Fact) -> Generation:
    found = read_fact(connection, fact)
    return Generation() if found is None else Generation.parse(found)


def _write(connection: sa.Connection, fact: Fact, generation: Generation) -> None:
    write_fact(connection, fact, str(generation))
