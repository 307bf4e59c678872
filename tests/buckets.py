"""Object stores for tests, their buckets, and what lies in them."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

from mirror_syncer.config.bucket import BucketAccess, BucketUrl

ACCESS_KEY = "access-key-of-tests"
SECRET_KEY = "secret-key-of-tests"
REGION = "us-east-1"


class ObjectStoreServer:
    """
    A running object store.

    Args:
        endpoint: its URL.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._numbers = itertools.count()
        self.client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(connect_timeout=2, read_timeout=20, retries={"max_attempts": 1}, proxies={}),
        )

    def new_bucket(self, prefix: str = "") -> "TestBucket":
        """Make an empty bucket."""
        name = f"mirror{next(self._numbers)}"
        self.client.create_bucket(Bucket=name)
        return TestBucket(self, BucketUrl(name, prefix))


class TestBucket:
    """A bucket, as somebody sees it who is not the syncer."""

    __test__ = False

    def __init__(self, server: ObjectStoreServer, url: BucketUrl) -> None:
        self.server = server
        self.url = url

    @property
    def access(self) -> BucketAccess:
        """What opens it."""
        return BucketAccess(self.url, self.server.endpoint, REGION, ACCESS_KEY, SECRET_KEY)

    def keys(self) -> list[str]:
        """Return the keys below its prefix, sorted."""
        prefix = f"{self.url.prefix}/" if self.url.prefix else ""
        pages = self.server.client.get_paginator("list_objects_v2").paginate(Bucket=self.url.bucket, Prefix=prefix)
        return sorted(entry["Key"].removeprefix(prefix) for page in pages for entry in page.get("Contents", ()))

    def read(self, key: str) -> bytes:
        """Return an object."""
        body: bytes = self.server.client.get_object(Bucket=self.url.bucket, Key=self._full(key))["Body"].read()
        return body

    def write(self, key: str, body: bytes) -> None:
        """Replace an object."""
        self.server.client.put_object(Bucket=self.url.bucket, Key=self._full(key), Body=body)

    def delete(self, *keys: str) -> None:
        """Delete objects."""
        for key in keys:
            self.server.client.delete_object(Bucket=self.url.bucket, Key=self._full(key))

    def objects(self) -> dict[str, bytes]:
        """Return all objects by key."""
        return {key: self.read(key) for key in self.keys()}

    def download(self, root: Path) -> None:
        """Make a directory what a directory would be that holds the same tree."""
        for key, body in self.objects().items():
            path = root / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)

    def upload(self, root: Path, directory: str) -> None:
        """Store the files below a directory of a tree."""
        for path in (root / directory).rglob("*"):
            if path.is_file():
                self.write(path.relative_to(root).as_posix(), path.read_bytes())

    def _full(self, key: str) -> str:
        return f"{self.url.prefix}/{key}" if self.url.prefix else key


@contextmanager
def moto() -> Iterator[ObjectStoreServer]:
    """Serve an object store of this process; it believes any key, and may let two creators of a race win."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield ObjectStoreServer(f"http://{host}:{port}")
    finally:
        server.stop()
