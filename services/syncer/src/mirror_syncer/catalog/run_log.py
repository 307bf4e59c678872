"""The log of runs, each in its latest state."""

import hashlib
import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from itertools import product
from typing import Any

import sqlalchemy as sa
import structlog
from pydantic import ValidationError

from mirror_contract import Run, RunKind, RunRequest, RunState, Trigger
from mirror_syncer.catalog.schema import message, run, run_key
from mirror_syncer.catalog.upsert import insertion
from mirror_syncer.errors import KeyReusedError

# Enough for a year of half-hourly runs; older ones that ended are deleted.
_MAX_RUNS = 20_000
# A client that lost a response repeats its request within minutes. Beyond the limit the oldest keys are deleted.
_KEY_SECONDS = 86_400
_MAX_KEYS = 20_000
# A search for a project reads the latest runs, three weeks of half-hourly syncs. A name that each of them has, such as
# that of a field, takes 0.2 s, and any other one 0.01 s.
_MAX_SEARCHED_RUNS = 1_000
_SEARCHED_AT_ONCE = 50  # documents of up to 30 kB
_MAX_UNREADABLE_RUNS = 20  # to skip in the search for a readable one

log = structlog.get_logger()


class RunLog:
    """The run table."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self.notifies_webhook = False
        """Whether a webhook receives a message at the end of each run."""

    def add(self, new: Run, *, idempotency_key: str | None = None) -> None:
        """Store a new run."""
        with self._engine.begin() as connection:
            connection.execute(run.insert().values(**_values(new)))
            if idempotency_key:
                _store_key(connection, idempotency_key, new.request, run_id=new.id)
            oldest = sa.select(run.c.id).order_by(run.c.id.desc()).offset(_MAX_RUNS).limit(1).scalar_subquery()
            connection.execute(run.delete().where(run.c.id <= oldest, run.c.finished_at.is_not(None)))
            connection.execute(run_key.delete().where(run_key.c.run_id <= oldest))

    def add_key(self, identifier: str, idempotency_key: str, request: RunRequest) -> None:
        """Add another Idempotency-Key, with its request, to a run."""
        with self._engine.begin() as connection:
            _store_key(connection, idempotency_key, request, run_id=identifier)

    def update(self, changed: Run) -> None:
        """Store a run's progress."""
        with self._engine.begin() as connection:
            self.store(connection, changed)

    def store(self, connection: sa.Connection, changed: Run) -> None:
        """Store a run's progress in a transaction; insert the run if a full disk had prevented that."""
        values = _values(changed)
        # A run that has ended stays ended: progress that a thread stores late is ignored.
        going = run.c.finished_at.is_(None)
        statement = insertion(connection.dialect.name, run).values(values)
        connection.execute(statement.on_conflict_do_update(index_elements=[run.c.id], set_=values, where=going))
        if self.notifies_webhook and changed.state.ended:
            owed = insertion(connection.dialect.name, message).values(run_id=changed.id)
            connection.execute(owed.on_conflict_do_nothing())

    def get(self, identifier: str) -> Run | None:
        """Return a run."""
        with self._engine.connect() as connection:
            document = connection.scalar(sa.select(run.c.document).where(run.c.id == identifier))
        return _parse(document, identifier=identifier)

    def get_by_key(self, idempotency_key: str, request: RunRequest) -> Run | None:
        """
        Return the run that this request created with this Idempotency-Key within the last day.

        Raises:
            KeyReusedError: another request has used the key.
        """
        query = sa.select(run.c.id, run.c.document, run_key.c.digest).join(run_key, run_key.c.run_id == run.c.id)
        query = query.where(run_key.c.key == idempotency_key, run_key.c.made_at > _oldest_key_time())
        with self._engine.connect() as connection:
            found = connection.execute(query).one_or_none()
        if found is None:
            return None
        if found.digest != _digest(request):
            raise KeyReusedError("was used for another request; a new request needs a new key.")
        return _parse(found.document, identifier=found.id)

    def page(
        self,
        *,
        states: Iterable[RunState] = (),
        kind: RunKind | None = None,
        triggers: Iterable[Trigger] = (),
        whole: bool | None = None,
        since: datetime | None = None,
        project: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[Run]:
        """
        Return runs, newest first: with these states, kind and triggers, requested since a time, older than a run.

        Args:
            project: only those among the last 1,000 that name it: in the request, the failures or the changes.
        """
        query = sa.select(run.c.id, run.c.document).order_by(run.c.id.desc())
        if kind is not None:
            query = query.where(run.c.kind == kind)
        if whole is not None:
            query = query.where(run.c.whole == whole)
        if since is not None:
            query = query.where(run.c.id >= _first_id(since))
        if before is not None:
            query = query.where(run.c.id < before)
        of_states = [run.c.state == state for state in dict.fromkeys(states)] or [sa.true()]
        of_triggers = [run.c.trigger == trigger for trigger in dict.fromkeys(triggers)] or [sa.true()]
        if project is not None:
            return self._search(project, query.where(sa.or_(*of_states), sa.or_(*of_triggers)), limit=limit)
        # One query per state and trigger: for several at once SQLite would scan or sort all runs.
        queries = [query.where(*both).limit(limit) for both in product(of_states, of_triggers)]
        runs: list[Run] = []
        with self._engine.connect() as connection:
            while len(runs) < limit:
                found = [row for query in queries for row in connection.execute(query)]
                newest = sorted(found, key=lambda row: str(row.id), reverse=True)[:limit]
                runs += filter(None, (_parse(row.document, identifier=row.id) for row in newest))
                if len(newest) < limit:
                    break
                # Further runs replace the unreadable ones, so that the list does not end early.
                queries = [query.where(run.c.id < newest[-1].id) for query in queries]
        return runs[:limit]

    def _search(self, project: str, query: sa.Select[Any], *, limit: int) -> list[Run]:
        """Return the runs of a query that are among the latest and name a project; each document is read once."""
        # As the document spells a failure and a change. Within a text, its quotes would be escaped.
        named = run.c.document.contains(f'"project":"{project}"')
        requested = sa.and_(run.c.document.contains('"projects":["'), run.c.document.contains(f'"{project}"'))
        latest = sa.select(run.c.id).order_by(run.c.id.desc()).offset(_MAX_SEARCHED_RUNS).limit(1)
        runs: list[Run] = []
        with self._engine.connect().execution_options(yield_per=_SEARCHED_AT_ONCE) as connection:
            query = query.where(run.c.id > (connection.scalar(latest) or ""), sa.or_(named, requested))
            for row in connection.execute(query):
                one = _parse(row.document, identifier=row.id)
                if one is not None and one.names(project):
                    runs.append(one)
                if len(runs) == limit:
                    break
        return runs

    def first_whole_run(self, state: RunState, *, kind: RunKind, after: str) -> Run | None:
        """Return the oldest full run with this state and kind that is newer than a run."""
        query = sa.select(run.c.id, run.c.document)
        query = query.where(run.c.kind == kind, run.c.whole, run.c.state == state, run.c.id > after)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(run.c.id).limit(_MAX_UNREADABLE_RUNS))
            return next(filter(None, (_parse(row.document, identifier=row.id) for row in rows)), None)


def _store_key(connection: sa.Connection, key: str, request: RunRequest, *, run_id: str) -> None:
    connection.execute(run_key.delete().where(run_key.c.made_at <= _oldest_key_time()))
    row = {"key": key, "run_id": run_id, "digest": _digest(request), "made_at": int(time.time())}
    connection.execute(run_key.insert().values(row))
    newest = sa.select(run_key.c.made_at).order_by(run_key.c.made_at.desc())
    connection.execute(run_key.delete().where(run_key.c.made_at <= newest.offset(_MAX_KEYS).limit(1).scalar_subquery()))


def _oldest_key_time() -> int:
    return int(time.time()) - _KEY_SECONDS


def _digest(request: RunRequest) -> str:
    return hashlib.sha256(request.model_dump_json().encode()).hexdigest()


def _first_id(moment: datetime) -> str:
    """Return the lowest id that a run requested at this time can have."""
    return re.sub(r"[-:.]", "", moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds"))


def _parse(document: str | None, *, identifier: str | None = None) -> Run | None:
    """Return a run; log and skip one that cannot be parsed, such as that of another version."""
    if document is None:
        return None
    try:
        return Run.model_validate_json(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:200]
        _warn_once(identifier, reason)
        return None


@lru_cache(maxsize=1_000)
def _warn_once(identifier: str | None, reason: str) -> None:
    """Log an unreadable run once, not at each request for the status."""
    log.warning("skipping an unreadable run in the catalog", run=identifier, reason=reason)


def _values(of: Run) -> dict[str, object]:
    return {
        "id": of.id,
        "kind": of.request.kind,
        "state": of.state,
        "trigger": of.trigger,
        "whole": of.request.is_whole,
        "finished_at": of.finished_at and int(of.finished_at.timestamp()),
        "document": of.model_dump_json(),
    }
