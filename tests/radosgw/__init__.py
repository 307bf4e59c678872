"""Ceph's S3 gateway in a container: a real object store, whose objects are gone at the end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from buckets import ACCESS_KEY, SECRET_KEY, ObjectStoreServer
from nginx.containers import Container, docker, started

_HERE = Path(__file__).parent
_PORT = 8000


class Gateway(ObjectStoreServer):
    """
    A running gateway.

    Args:
        container: may be paused, so that it hangs, or stopped, so that it is gone.
    """

    def __init__(self, container: Container) -> None:
        host, port = container.published(_PORT)
        super().__init__(f"http://{host}:{port}")
        self.container = container

    @property
    def inside(self) -> str:
        """Its URL for containers of its network."""
        address = self.container.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
        return f"http://{address}:{_PORT}"

    def wait(self) -> None:
        """Wait until it makes buckets; fail with its log after 60 s."""
        deadline = time.monotonic() + 60
        while True:
            try:
                self.new_bucket()
            except (BotoCoreError, ClientError):
                assert time.monotonic() < deadline, self.container.logs
                time.sleep(0.1)
            else:
                return


@contextmanager
def serve(*options: str) -> Iterator[Gateway]:
    """Build the image, which is cached, and run it on a free port of the loopback."""
    image = docker("build", "--quiet", "--tag=pypi-mirror-test-radosgw", str(_HERE)).splitlines()[-1]
    keys = (f"--env=ACCESS_KEY={ACCESS_KEY}", f"--env=SECRET_KEY={SECRET_KEY}")
    with started(image, *keys, f"--publish=127.0.0.1::{_PORT}", *options) as container:
        gateway = Gateway(container)
        gateway.wait()
        yield gateway
