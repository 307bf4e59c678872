"""nginx before a bucket."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from buckets import ACCESS_KEY, SECRET_KEY, TestBucket
from nginx.containers import CACHE, HARDENED, OFTEN, Container, started
from radosgw import Gateway


@contextmanager
def before_bucket(
    image: str, bucket: TestBucket, directory: Path, *options: str, key: str = f"{ACCESS_KEY}:{SECRET_KEY}"
) -> Iterator[Container]:
    """
    Run nginx before a bucket, on a free port of the loopback; it reads the list of changes every 0.2 s.

    Args:
        directory: gets the file with the key.
    """
    assert isinstance(bucket.server, Gateway)
    path = directory / "key"
    path.write_text(f"{key}\n")
    path.chmod(0o644)
    settings = (
        OFTEN,
        CACHE,
        f"--volume={path}:/run/secrets/s3_key:ro",
        f"--env=MIRROR_DATA={bucket.url}",
        f"--env=MIRROR_S3_ENDPOINT={bucket.server.inside}",
    )
    with started(image, *HARDENED, *settings, "--publish=127.0.0.1::8080", *options) as container:
        container.wait_until_healthy()
        yield container
