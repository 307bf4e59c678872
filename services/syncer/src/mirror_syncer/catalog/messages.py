"""Runs whose end the webhook's receiver has not heard of yet."""

from contextlib import suppress

import sqlalchemy as sa
from pydantic import ValidationError

from mirror_contract import Run
from mirror_syncer.catalog.schema import message, run


class Messages:
    """The message table, into which ``RunLog`` writes with a run's end, in one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def undelivered(self, *, limit: int) -> list[Run]:
        """Return the runs, oldest first, but for those that another version wrote, in words that this one knows not."""
        query = sa.select(run.c.document).join(message, message.c.run_id == run.c.id).order_by(run.c.id).limit(limit)
        with self._engine.connect() as connection:
            documents = connection.scalars(query).all()
        runs = list[Run]()
        for document in documents:
            with suppress(ValidationError):
                runs.append(Run.model_validate_json(document))
        return runs

    def mark_delivered(self, run_id: str) -> bool:
        """Owe no message of this run any more; return whether one was owed."""
        with self._engine.begin() as connection:
            return connection.execute(message.delete().where(message.c.run_id == run_id)).rowcount > 0
