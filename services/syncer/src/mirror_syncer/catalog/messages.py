"""Undelivered webhook messages: runs that ended, and whose receiver was not notified yet."""

from contextlib import suppress

import sqlalchemy as sa
from pydantic import ValidationError

from mirror_contract import Run
from mirror_syncer.catalog.schema import message, run


class Messages:
    """The message table; ``RunLog`` inserts a row in the transaction that ends a run."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def undelivered(self, *, limit: int) -> list[Run]:
        """Return the runs, oldest first, except those that this version cannot parse."""
        query = sa.select(run.c.document).join(message, message.c.run_id == run.c.id).order_by(run.c.id).limit(limit)
        with self._engine.connect() as connection:
            documents = connection.scalars(query).all()
        runs = list[Run]()
        for document in documents:
            with suppress(ValidationError):
                runs.append(Run.model_validate_json(document))
        return runs

    def mark_delivered(self, run_id: str) -> bool:
        """Delete the message of a run; return whether there was one."""
        with self._engine.begin() as connection:
            return connection.execute(message.delete().where(message.c.run_id == run_id)).rowcount > 0
