"""Runs, as they were last seen."""

from collections.abc import Iterable

import sqlalchemy as sa

from mirror_contract import Run, RunKind, RunState
from mirror_syncer.catalog.schema import run, run_key

# Enough to look back over a year of half-hourly runs; older ones that ended go.
_KEPT = 20_000


class RunLog:
    """The run table."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, new: Run, *, idempotency_key: str | None = None) -> None:
        """Store a new run."""
        with self._engine.begin() as connection:
            connection.execute(run.insert().values(**_values(new)))
            if idempotency_key:
                connection.execute(run_key.insert().values(key=idempotency_key, run_id=new.id))
            oldest = sa.select(run.c.id).order_by(run.c.id.desc()).offset(_KEPT).limit(1).scalar_subquery()
            connection.execute(run.delete().where(run.c.id <= oldest, run.c.finished_at.is_not(None)))
            connection.execute(run_key.delete().where(run_key.c.run_id <= oldest))

    def add_key(self, identifier: str, idempotency_key: str) -> None:
        """Let one more key stand for a run."""
        with self._engine.begin() as connection:
            connection.execute(run_key.insert().values(key=idempotency_key, run_id=identifier))

    def update(self, changed: Run) -> None:
        """Store a run's progress."""
        with self._engine.begin() as connection:
            self.store(connection, changed)

    def store(self, connection: sa.Connection, changed: Run) -> None:
        """Store a run's progress with what else a transaction holds."""
        # What has ended stays so: a progress that was on its way in a thread comes too late.
        going = run.update().where(run.c.id == changed.id, run.c.finished_at.is_(None))
        connection.execute(going.values(**_values(changed)))

    def get(self, identifier: str) -> Run | None:
        """Return a run."""
        with self._engine.connect() as connection:
            return _parse(connection.scalar(sa.select(run.c.document).where(run.c.id == identifier)))

    def by_key(self, idempotency_key: str) -> Run | None:
        """Return the run that a request with this Idempotency-Key made."""
        query = sa.select(run.c.document).join(run_key, run_key.c.run_id == run.c.id)
        with self._engine.connect() as connection:
            return _parse(connection.scalar(query.where(run_key.c.key == idempotency_key)))

    def page(
        self,
        *,
        states: Iterable[RunState] = (),
        kind: RunKind | None = None,
        whole: bool | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[Run]:
        """Return runs, newest first: of these states and this kind, older than a run."""
        query = sa.select(run.c.document).order_by(run.c.id.desc()).limit(limit)
        if states := tuple(states):
            query = query.where(run.c.state.in_(states))
        if kind is not None:
            query = query.where(run.c.kind == kind)
        if whole is not None:
            query = query.where(run.c.whole == whole)
        if before is not None:
            query = query.where(run.c.id < before)
        with self._engine.connect() as connection:
            return [Run.model_validate_json(document) for document in connection.scalars(query)]


def _parse(document: str | None) -> Run | None:
    return None if document is None else Run.model_validate_json(document)


def _values(of: Run) -> dict[str, object]:
    return {
        "id": of.id,
        "kind": of.request.kind,
        "state": of.state,
        "whole": of.request.projects is None,
        "finished_at": of.finished_at and int(of.finished_at.timestamp()),
        "document": of.model_dump_json(),
    }
