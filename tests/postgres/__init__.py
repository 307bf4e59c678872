"""A PostgreSQL of Debian in a container: each test gets a new, empty database."""

import itertools
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from nginx.containers import Container, docker, started

_HERE = Path(__file__).parent


class Server:
    """
    A running server.

    Args:
        address: its host and port.
        container: in which it runs.
    """

    def __init__(self, address: str, container: Container | None = None) -> None:
        self._address = address
        self._container = container
        self._numbers = itertools.count()
        self._engine = sa.create_engine(self._url("postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)

    def new_database(self) -> str:
        """Return the URL of an empty database."""
        name = f"catalog{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} STRATEGY file_copy")
        return self._url(name)

    def execute(self, statement: str) -> None:
        """Execute a statement as the superuser, outside of a transaction."""
        with self._engine.connect() as connection:
            connection.exec_driver_sql(statement)

    def lock_out(self, database: str) -> str:
        """Make a role, ``locked``, that needs the password ``right``; return a database of it as a setting."""
        self.execute("ALTER ROLE locked PASSWORD 'right'")
        self.execute(f"ALTER DATABASE {database} OWNER TO locked")
        return f"postgresql://locked@{self._address}/{database}"

    def disconnect(self, database: str) -> None:
        """End all connections to a database, as a failover does."""
        self.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")

    def stop(self) -> None:
        """End the server as a shutdown of its host does; connections are closed."""
        docker("stop", self._id)

    def crash(self) -> None:
        """End the server as a power cut does."""
        docker("kill", "--signal=KILL", self._id)

    def start(self) -> None:
        """Start a stopped server on the same port."""
        docker("start", self._id)
        self.wait()

    def restart(self) -> None:
        """Stop and start it."""
        self.stop()
        self.start()

    @property
    def _id(self) -> str:
        assert self._container is not None
        return self._container.id

    def new_setting(self) -> str:
        """Return an empty database as MIRROR_CATALOG names it."""
        return self.new_database().replace("+psycopg", "")

    def wait(self) -> None:
        """Wait until it accepts connections; fail after 20 s."""
        deadline = time.monotonic() + 20
        while True:
            try:
                self._engine.connect().close()
            except sa.exc.OperationalError:
                assert time.monotonic() < deadline, "PostgreSQL does not answer"
                time.sleep(0.05)
            else:
                return

    def close(self) -> None:
        """Close the connection to it."""
        self._engine.dispose()

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@{self._address}/{database}"


@contextmanager
def serve() -> Iterator[Server]:
    """Build the image, which is cached, and run it on a free port of the loopback."""
    image = docker("build", "--quiet", "--tag=pypi-mirror-test-postgres", str(_HERE)).splitlines()[-1]
    # A port that stays the same when the container is started again.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with started(image, f"--publish=127.0.0.1:{port}:5432") as container:
        server = Server(f"127.0.0.1:{port}", container)
        try:
            server.wait()
            yield server
        finally:
            server.close()
