"""PostgreSQL's own ways: connections that come back after an outage, server-side cursors, errors of a server."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.abc import Buffer
from psycopg.types.string import StrDumper

from mirror_contract.secret_file import SecretFileError, read_secret_file
from mirror_syncer.catalog.batches import LISTED_BATCH_ROWS, ListedRows
from mirror_syncer.catalog.postgresql_errors import explain, explain_error, refusal
from mirror_syncer.catalog.schema import project_total, project_total_change
from mirror_syncer.catalog.upsert import insertion
from mirror_syncer.errors import CatalogRefusedError, StateError

KEPT_PAGE_INDEX = ""
"""Its planner takes the index."""

_SCHEMA_LOCK = 7_081_961_337_230_201
"""The key of the advisory lock that a process holds while it changes the schema; any number."""
_CONNECT_SECONDS = 5
_PATIENCE_SECONDS = 10.0
"""How long a connection is tried again: a restart takes 1 to 5 s. Counted from the first failure, so that during a long
outage each call fails at once."""
_RETRY_SECONDS = 0.25
_IDLE_SECONDS = 5.0
"""A connection that was idle for longer is checked before its use."""
# A syncer whose host vanished must not hold row locks, or keep a transaction open: that stops vacuum. A session that is
# idle for longer is of no use; the pool opens another one.
_SESSION = {
    "idle_in_transaction_session_timeout": "5min",
    "idle_session_timeout": "1h",
    "tcp_keepalives_idle": "60",
    # As SQLite, see Durability: with a wait for each commit, a first sync took twice the time on a busy disk.
    "synchronous_commit": "off",
}


class _TextDumper(StrDumper):
    """Sends texts without NUL, which PostgreSQL cannot store; an upstream may put one into anything it names."""

    def dump(self, obj: str) -> Buffer | None:
        return super().dump(obj.replace("\0", "\ufffd"))


class _Connector:
    """Opens connections: with the password of a file, and again and again while a server restarts."""

    def __init__(self, password_file: Path | None) -> None:
        self._password_file = password_file
        self._away_since: float | None = None
        self._was_open = False
        self._guard = threading.Lock()

    def connect(self, dialect: Any, _: Any, arguments: list[Any], options: dict[str, Any]) -> Any:  # noqa: ANN401 - SQLAlchemy's
        """Open a connection; a listener for SQLAlchemy's ``do_connect``."""
        while True:
            try:
                opened = dialect.connect(*arguments, **options, **self._password())
                opened.adapters.register_dumper(str, _TextDumper)
            except psycopg.OperationalError as error:
                if refusal(error) or not self._may_wait():
                    raise
                time.sleep(_RETRY_SECONDS)
            else:
                self._away_since = None
                self._was_open = True
                return opened

    def _password(self) -> dict[str, str]:
        if self._password_file is None:
            return {}
        try:
            return {"password": read_secret_file(self._password_file, min_bytes=1).decode()}
        except (SecretFileError, UnicodeDecodeError) as error:
            raise CatalogRefusedError(f"MIRROR_CATALOG_PASSWORD_FILE: {error}") from error

    def _may_wait(self) -> bool:
        if self._was_open and _in_event_loop():
            return False  # the API must answer, and the status says why a run fails
        with self._guard:
            now = time.monotonic()
            self._away_since = self._away_since or now
            return now < self._away_since + _PATIENCE_SECONDS


def _in_event_loop() -> bool:
    """Return whether this thread runs an event loop, which must not wait."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def create_engine(url: sa.URL, password_file: Path | None) -> sa.Engine:
    """Return an engine whose errors of the server are translated into ``StateError``."""
    options = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={
            "connect_timeout": _CONNECT_SECONDS,
            "application_name": "pypi-mirror",
            "options": options,
            # The server's host may vanish without a word.
            "keepalives_idle": 30,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
        },
    )
    # Many rows in one statement: with a statement each, a group's rows took three times the time.
    engine.dialect.use_insertmanyvalues_wo_returning = True
    sa.event.listen(engine, "do_connect", _Connector(password_file).connect)
    sa.event.listen(engine, "handle_error", explain_error)
    sa.event.listen(engine, "checkin", _note_use)
    sa.event.listen(engine, "checkout", _check_idle)
    return engine


def opening_remedy(url: sa.URL) -> str:
    """Return what to check if a catalog cannot be opened."""
    return (
        f"check that MIRROR_CATALOG names an empty database or a catalog, that {url.username} owns it, "
        "and that no newer version wrote the catalog"
    )


def lock_schema(connection: sa.Connection) -> None:
    """
    Wait for other processes that change the schema, and keep them out until the transaction ends.

    Raises:
        CatalogRefusedError: the database cannot hold every name.
    """
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_SCHEMA_LOCK)))
    connection.exec_driver_sql("SET LOCAL synchronous_commit = on")  # a crash that lost it would leave no tables at all
    encoding = connection.scalar(sa.text("SHOW server_encoding"))
    if encoding != "UTF8":
        raise CatalogRefusedError(
            f"the database has the encoding {encoding}; create it as UTF8: CREATE DATABASE … ENCODING 'UTF8' "
            "TEMPLATE template0"
        )


def repair_schema(engine: sa.Engine) -> None:
    """Add what changed the totals since the last group."""
    with engine.begin() as connection:
        add_changed_totals(connection)


class Durability:
    """
    A connection that makes the commits of all others durable, and notices if the server lost any.

    A commit does not wait for the disk, as on SQLite. A server that crashes may lose those of the last second, while
    the syncer continues. Then it also ends this connection, which serves nothing else.

    Args:
        engine: of the database.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._guard = threading.Lock()
        self._witness: sa.Connection | None = engine.connect()

    def sync(self) -> bool:
        """
        Wait until all commits are on the server's disk; return whether it lost none since the last call.

        Raises:
            StateError: the server is away.
        """
        with self._guard:
            if self._witness is not None:
                try:
                    _flush(self._witness)
                except StateError:
                    self._release()
                else:
                    return True
            self._witness = self._engine.connect()
            _flush(self._witness)
            return False

    def close(self) -> None:
        """Close the connection."""
        with self._guard:
            self._release()

    def _release(self) -> None:
        if self._witness is not None:
            self._witness.close()
            self._witness = None


def _flush(connection: sa.Connection) -> None:
    """Commit something and wait for it: the log before it is on the disk, too."""
    connection.exec_driver_sql("SET LOCAL synchronous_commit = on")
    connection.exec_driver_sql("SELECT pg_logical_emit_message(true, 'pypi-mirror', '')")
    connection.commit()


@contextmanager
def cursor(connection: sa.Connection, *, streaming: bool = False) -> Iterator[Any]:
    """Open the driver's cursor; a streaming one lives on the server, and brings a part of the rows at a time."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    try:
        with driver.cursor("streaming") if streaming else driver.cursor() as opened:
            yield opened
    except psycopg.Error as error:
        if driver.closed:
            connection.invalidate(error)
        explain(error)
        raise


def insert_listed(engine: sa.Engine, rows: ListedRows) -> None:
    """Insert the rows of new projects, a batch in a statement."""
    for start in range(0, len(rows), LISTED_BATCH_ROWS):
        names, serials = zip(*rows[start : start + LISTED_BATCH_ROWS], strict=True)
        with engine.begin() as connection, cursor(connection) as opened:
            opened.execute(_INSERT_LISTED, (list(names), list(serials)))


def indexes_afterwards(_: sa.Engine) -> nullcontext[None]:
    """Change nothing: PostgreSQL inserts into its indexes fast enough."""
    return nullcontext()


def add_changed_totals(connection: sa.Connection) -> None:
    """Add up what triggers noted of each changed row: once a group, for a change of one row slows down the next."""
    connection.execute(_ADD_CHANGED_TOTALS)


def read_changed_totals(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    """Return the sums of changes that are not added yet, by state."""
    return connection.execute(_CHANGED_TOTALS).all()


# An operator may have named a project in the meantime, so that its row exists.
_INSERT_LISTED = """
    INSERT INTO project (name, wanted_serial, state, published, file_count, stored_bytes, withheld_files, missing_files,
        attempts)
    SELECT name, wanted, 'behind', false, 0, 0, 0, 0, 0 FROM unnest(%s::text[], %s::bigint[]) AS listed (name, wanted)
    ON CONFLICT (name) DO UPDATE SET wanted_serial = excluded.wanted_serial"""


_AMOUNTS = ("projects", "files", "stored_bytes", "installable")
_CHANGED_TOTALS = sa.select(
    project_total_change.c.state, *(sa.func.sum(project_total_change.c[name]) for name in _AMOUNTS)
).group_by(project_total_change.c.state)


def _adding_changed_totals() -> sa.Insert:
    gone = project_total_change.delete().returning(*project_total_change.columns).cte("gone")
    sums = (sa.cast(sa.func.sum(gone.c[name]), sa.BigInteger) for name in _AMOUNTS)
    added = sa.select(gone.c.state, *sums).group_by(gone.c.state).order_by(gone.c.state)
    insert = insertion("postgresql", project_total).from_select(["state", *_AMOUNTS], added)
    changes = {name: project_total.c[name] + insert.excluded[name] for name in _AMOUNTS}
    statement: sa.Insert = insert.on_conflict_do_update(index_elements=[project_total.c.state], set_=changes)
    return statement


_ADD_CHANGED_TOTALS = _adding_changed_totals()


def _note_use(_: Any, record: sa.pool.ConnectionPoolEntry) -> None:  # noqa: ANN401 - the driver's connection
    record.info["used_at"] = time.monotonic()


def _check_idle(connection: Any, record: sa.pool.ConnectionPoolEntry, _: Any) -> None:  # noqa: ANN401 - as above
    """Check a connection that was idle: the server may have been restarted. A check each time would be a round trip."""
    if time.monotonic() - record.info.get("used_at", time.monotonic()) < _IDLE_SECONDS:
        return
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except psycopg.Error as error:
        raise sa.exc.DisconnectionError from error  # the pool opens another one
