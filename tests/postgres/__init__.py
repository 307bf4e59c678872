"""A PostgreSQL of Debian in a container: each test gets a new, empty database."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from nginx.containers import docker, started

_HERE = Path(__file__).parent


class Server:
    """
    A running server.

    Args:
        address: its host and port.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._numbers = itertools.count()
        self._engine = sa.create_engine(self._url("postgres"), isolation_level="AUTOCOMMIT")

    def new_database(self) -> str:
        """Return the URL of an empty database."""
        name = f"catalog{next(self._numbers)}"
        with self._engine.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name} STRATEGY file_copy"))
        return self._url(name)

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
    with started(image, "--publish=127.0.0.1::5432") as container:
        server = Server(docker("port", container.id, "5432/tcp"))
        try:
            server.wait()
            yield server
        finally:
            server.close()
