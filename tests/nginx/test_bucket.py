"""nginx before a bucket: what is held, what was removed, and a store that is away or refuses."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

import radosgw
from buckets import TestBucket
from mirror_syncer.model.names import PackagePath
from mirror_syncer.volume import Bucket
from nginx.bucket import before_bucket
from nginx.containers import HARDENED, LOGS, connect, docker, run_to_end
from nginx.edges import until
from nginx.tree import DIGEST, OTHER_DIGEST, long_path, plant

pytestmark = pytest.mark.docker

NAME = "foo_bar-1.0.tar.gz"
SHORT = f"/packages/ab/{NAME}"
REASON = "403: blocked: MAL-2026-1, malware"


@dataclass(frozen=True)
class Site:
    """A mirror in a bucket: its objects, what its syncer does, and its nginx."""

    bucket: TestBucket
    volume: Bucket
    client: httpx2.Client


@pytest.fixture
def site(image: str, network: str, store: radosgw.Gateway, tmp_path: Path) -> Iterator[Site]:
    """Return a mirror in a bucket of its own."""
    bucket = store.new_bucket()
    bucket.upload(plant(tmp_path / "tree").root, "pypi")
    with (
        Bucket(bucket.access, scratch=tmp_path / "scratch", mirror_id="secret", known=True) as volume,
        before_bucket(image, bucket, tmp_path, LOGS, f"--network={network}") as container,
        connect(container) as client,
    ):
        yield Site(bucket, volume, client)


@pytest.mark.proves("security/project-owners", "reliability/object-store")
def test_cached_file_that_is_held_is_403(site: Site) -> None:
    """A cached file and its metadata are 403 with the reason once the file is held; released, they return."""
    long = f"/packages/{long_path(DIGEST, NAME)}"
    whole = {path: site.client.get(path).content for path in (SHORT, f"{SHORT}.metadata", long)}
    assert whole[SHORT] == whole[long] == f"content of {NAME}\n".encode()
    place = PackagePath(f"packages/ab/{NAME}")
    site.volume.hold(place, REASON, address=None)
    until(lambda: site.client.get(SHORT).status_code == 403, seconds=20)
    for path in whole:
        answer = site.client.get(path)
        assert (answer.status_code, answer.text, answer.headers["Cache-Control"]) == (403, f"{REASON}\n", "no-store")
    other = site.client.get(f"/packages/{long_path(OTHER_DIGEST, NAME)}")
    assert other.content == b"other content, same short name\n"
    site.volume.release(place, address=None)
    until(lambda: site.client.get(SHORT).status_code == 200, seconds=60)
    assert {path: site.client.get(path).content for path in whole} == whole


@pytest.mark.proves("reliability/object-store")
def test_removed_file_is_not_replaced_by_its_namesake(site: Site) -> None:
    """The long path of a removed file is 404, although the short path has a file of its name."""
    path = f"/packages/{long_path(OTHER_DIGEST, NAME)}"
    assert site.client.get(path).status_code == 200
    site.volume.remove(PackagePath(path.removeprefix("/")))
    until(lambda: site.client.get(path).status_code == 404, seconds=20)
    assert site.client.get(SHORT).status_code == 200


def test_private_objects_have_no_url(site: Site) -> None:
    """Nothing of the bucket but pages, files, documents, status and changes has a URL."""
    site.bucket.write("other/object", b"secret\n")
    for path in (
        "/pypi/.mirror-id",
        "/pypi/.withdrawn/evil.whl",
        "/.changes",
        "/other/object",
        "/packages/ab/.temporary",
    ):
        answer = site.client.get(path)
        assert answer.status_code in (403, 404), path
        assert b"secret" not in answer.content


@pytest.mark.proves("reliability/object-store")
def test_cached_objects_are_served_without_the_store(image: str, network: str, tmp_path: Path) -> None:
    """While the store hangs, cached pages and files are served, and what is not cached is 502, not 404."""
    with radosgw.serve(f"--network={network}") as gateway:
        bucket = gateway.new_bucket()
        bucket.upload(plant(tmp_path / "tree").root, "pypi")
        with (
            before_bucket(image, bucket, tmp_path, LOGS, f"--network={network}") as container,
            connect(container) as client,
        ):
            client.timeout = httpx2.Timeout(40)
            before = [client.get(path).content for path in ("/simple/foo-bar/", SHORT)]
            docker("pause", gateway.container.id)
            assert [client.get(path).content for path in ("/simple/foo-bar/", SHORT)] == before
            assert client.get("/simple/tiny/").status_code == 502
            docker("unpause", gateway.container.id)


def test_refused_key_is_no_refusal_of_the_client(
    image: str, network: str, store: radosgw.Gateway, tmp_path: Path
) -> None:
    """With a wrong key, pages and files are 502, which clients retry; 403 would say that they are blocked."""
    bucket = store.new_bucket()
    bucket.upload(plant(tmp_path / "tree").root, "pypi")
    with (
        before_bucket(image, bucket, tmp_path, LOGS, f"--network={network}", key="access-key:wrong") as container,
        connect(container) as client,
    ):
        assert [client.get(path).status_code for path in ("/simple/foo-bar/", SHORT)] == [502, 502]
        assert "the store answers 403" in container.logs


@pytest.mark.parametrize(
    ("settings", "key", "says"),
    [
        ({"MIRROR_DATA": "s3://B"}, "a:b", "must name a bucket, as in s3://bucket/prefix"),
        ({"MIRROR_DATA": "s3://bucket/$(id)"}, "a:b", "must name a bucket"),
        ({"MIRROR_S3_ENDPOINT": ""}, "a:b", "MIRROR_S3_ENDPOINT=: must be the URL of the object store"),
        ({"MIRROR_S3_ENDPOINT": "http://a/b;"}, "a:b", "must be the URL of the object store"),
        ({"MIRROR_S3_REGION": "a;b"}, "a:b", "must be a region"),
        ({"MIRROR_ORIGINS": "http://mirror"}, "a:b", "an edge has one or the other"),
        ({}, "only-one", "MIRROR_S3_KEY_FILE: must have one line"),
    ],
)
def test_wrong_setting_stops_the_start(
    image: str, tmp_path: Path, settings: dict[str, str], key: str, says: str
) -> None:
    """A setting that cannot be right stops the start with a sentence about it."""
    path = tmp_path / "key"
    path.write_text(f"{key}\n")
    path.chmod(0o644)
    whole = {"MIRROR_DATA": "s3://bucket/prefix", "MIRROR_S3_ENDPOINT": "http://store:8000", **settings}
    environment = (f"--env={name}={value}" for name, value in whole.items())
    cache = "--tmpfs=/cache:uid=10002"
    log = run_to_end(image, *HARDENED, cache, f"--volume={path}:/run/secrets/s3_key:ro", *environment, status=2)
    assert says in log
