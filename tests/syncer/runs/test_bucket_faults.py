"""An object store that fails: the run says so, nothing half is published, and the next run continues."""

import asyncio
import dataclasses
import hashlib
import itertools
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import pytest

import buckets
import fakepypi
import radosgw
import store_proxy
from mirror_contract import RunState
from mirror_syncer.config.bucket import BucketUrl
from mirror_syncer.errors import VolumeError, VolumeMissingError
from mirror_syncer.volume import Bucket
from mirror_syncer.volume.bucket import store
from store_proxy import StoreProxy
from syncer.bucket_site import BucketSite

_NAMED = re.compile(r'href="\.\./\.\./(packages/[^"#]+)#sha256=([0-9a-f]{64})"')


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a store up after a second."""
    monkeypatch.setattr(store, "_RETRIES", 2)
    monkeypatch.setattr(store, "_RETRY_SECONDS", 1)
    monkeypatch.setattr(store, "_REQUEST_SECONDS", 1)


@pytest.fixture
def mirror(tmp_path: Path, pypi: fakepypi.FakePyPI, moto_server: buckets.ObjectStoreServer) -> BucketSite:
    """A mirror of one project, in a new bucket."""
    pypi.index.project("six").upload("1.0")
    site = BucketSite(tmp_path, upstream=pypi.url, bucket=moto_server.new_bucket())
    site.select("six")
    return site


def assert_consistent(site: BucketSite) -> None:
    """Assert that each form of each page names only files that are there and right."""
    site.download()
    pages = [site.published(name) for name in site.pages()]
    named = {(page.places[name], file.sha256) for page in pages for name, file in page.files.items()}
    for html in site.web.glob("simple/*/index.html"):
        named.update(_NAMED.findall(html.read_text()))
    for path, sha256 in named:
        assert hashlib.sha256((site.web / path).read_bytes()).hexdigest() == sha256, path


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (503, "SlowDown", "SlowDown"),
        (500, "InternalError", "InternalError"),
        (403, "QuotaExceeded", "full"),
        (403, "AccessDenied", "MIRROR_S3_KEY_FILE"),
    ],
)
@pytest.mark.proves("reliability/object-store")
async def test_refused_write_fails_the_run(mirror: BucketSite, status: int, code: str, says: str) -> None:
    """A store that refuses files fails the run with its reason and a remedy; once it takes them, all is published."""
    with store_proxy.before(mirror.bucket.server.endpoint) as proxy:
        mirror.endpoint = proxy.url
        async with mirror.running() as running:
            proxy.refuse = lambda request: (
                (status, code) if request.method == "PUT" and "/packages/" in request.path else None
            )
            failed = await running.sync()
            assert failed.state is RunState.FAILED
            assert says in (failed.message or ""), failed.message
            assert_consistent(mirror)
            assert mirror.pages() == []
            proxy.refuse = lambda _: None
            assert (await running.sync()).state is RunState.SUCCEEDED
    assert_consistent(mirror)
    assert mirror.pages() == ["six"]


@pytest.mark.usefixtures("impatient")
@pytest.mark.proves("reliability/object-store")
async def test_store_that_hangs_fails_the_run(mirror: BucketSite) -> None:
    """A store that takes requests and never answers fails the run after the timeout; the next run continues."""
    with store_proxy.before(mirror.bucket.server.endpoint) as proxy:
        mirror.endpoint = proxy.url
        async with mirror.running() as running:
            proxy.hangs = True
            failed = await running.sync()
            assert failed.state is RunState.FAILED
            assert "does not answer" in (failed.message or "")
            proxy.hangs = False
            assert (await running.sync()).state is RunState.SUCCEEDED
    assert_consistent(mirror)


@pytest.mark.usefixtures("impatient")
async def test_busy_store_is_asked_again(mirror: BucketSite) -> None:
    """A store that says 503 once for each object costs only time."""
    seen = set[str]()

    def refuse_first(request: object) -> tuple[int, str] | None:
        path = f"{getattr(request, 'method', '')} {getattr(request, 'path', '')}"
        if path in seen:
            return None
        seen.add(path)
        return 503, "SlowDown"

    with store_proxy.before(mirror.bucket.server.endpoint) as proxy:
        mirror.endpoint = proxy.url
        proxy.refuse = refuse_first
        assert (await mirror.sync()).state is RunState.SUCCEEDED
    assert_consistent(mirror)
    assert mirror.pages() == ["six"]


async def test_lost_answer_is_no_conflict(mirror: BucketSite) -> None:
    """A file whose stored answer got lost is stored again, refused, and found to be the same."""
    lost = set[str]()

    def loses(request: object) -> bool:
        path = str(getattr(request, "path", ""))
        loses = getattr(request, "method", "") == "PUT" and "/packages/" in path and path not in lost
        lost.add(path)
        return loses

    with store_proxy.before(mirror.bucket.server.endpoint) as proxy:
        mirror.endpoint = proxy.url
        proxy.loses_answer = loses
        run = await mirror.sync()
        assert run.state is RunState.SUCCEEDED, run.message
    assert lost
    assert_consistent(mirror)


@pytest.mark.parametrize("story", ["first sync", pytest.param("change and removal", marks=pytest.mark.slow)])
@pytest.mark.proves("reliability/object-store")
async def test_kill_at_each_write_leaves_right_pages(
    tmp_path: Path, pypi: fakepypi.FakePyPI, moto_server: buckets.ObjectStoreServer, story: str
) -> None:
    """A kill before each write leaves no page that names a missing file, and the next sync publishes all."""
    six = pypi.index.project("six")
    six.upload("1.0")
    pypi.index.project("seven").upload("7.0", padding=300_000)
    before = tmp_path / "before"
    selected = ["six", "seven"] if story == "first sync" else ["six"]
    if story != "first sync":
        before.mkdir()
        earlier = BucketSite(before, upstream=pypi.url, bucket=moto_server.new_bucket())
        earlier.select("six", "seven", grace="0m", guard="100%")
        await earlier.sync()
        published = earlier.bucket.objects()
        six.upload("2.0")
        six.delete_release("1.0")

    async def killed_at(number: int) -> bool:
        directory = tmp_path / str(number)
        if before.exists():
            shutil.copytree(before, directory)
        else:
            directory.mkdir()
        site = BucketSite(directory, upstream=pypi.url, bucket=moto_server.new_bucket())
        for key, body in (published if before.exists() else {}).items():
            site.bucket.write(key, body)
        site.select(*selected, grace="0m", guard="100%")
        with store_proxy.before(site.bucket.server.endpoint) as proxy:
            site.endpoint = proxy.url
            killed = await sync_until(site, proxy, write=number)
        assert_consistent(site)
        site.endpoint = site.bucket.server.endpoint
        run = await site.sync()
        assert run.state is RunState.SUCCEEDED, (number, run.message)
        assert_consistent(site)
        expected = {name: {file.filename for file in pypi.index.project(name).files} for name in selected}
        assert {name: site.filenames(name) for name in site.pages()} == expected
        site.assert_right()
        return killed

    for first in itertools.count(1, 2):
        # Two at a time: most of it is the start of a process.
        if not all(await asyncio.gather(killed_at(first), killed_at(first + 1))):
            break


async def sync_until(site: BucketSite, proxy: StoreProxy, *, write: int) -> bool:
    """Sync in a process that is killed before a write to the store; return whether it came to that."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mirror_syncer",
        "sync",
        env={**os.environ, **site.environment(MIRROR_FILE_HOSTS="127.0.0.1", MIRROR_SCHEDULE="off")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )

    def kill() -> None:
        if len(proxy.writes) + 1 == write:
            os.kill(process.pid, signal.SIGKILL)
            proxy.refuse = lambda _: (503, "Killed")

    proxy.before_write = kill
    output, _ = await process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), output.decode()
    return process.returncode != 0


@pytest.mark.proves("reliability/object-store")
async def test_mirror_with_another_id_is_refused(mirror: BucketSite, tmp_path: Path) -> None:
    """A second mirror on the same bucket is refused, whether its catalog is empty or not."""
    await mirror.sync()
    other = tmp_path / "other"
    other.mkdir()
    second = BucketSite(other, upstream=mirror.upstream, bucket=mirror.bucket)
    second.select("six")
    before = mirror.bucket.objects()
    with pytest.raises(VolumeMissingError, match="belongs to another catalog"):
        await second.sync()
    assert mirror.bucket.objects() == before


async def test_lost_catalog_is_rebuilt_from_the_bucket(mirror: BucketSite, tmp_path: Path) -> None:
    """Without its marker, a bucket with pages gives an empty catalog its projects; no file is downloaded again."""
    await mirror.sync()
    mirror.bucket.delete("pypi/.mirror-id")
    other = tmp_path / "other"
    other.mkdir()
    second = BucketSite(other, upstream=mirror.upstream, bucket=mirror.bucket)
    second.select("six")
    run = await second.sync()
    assert (run.state, run.counts.files_fetched) == (RunState.SUCCEEDED, 0)


@pytest.mark.docker
@pytest.mark.proves("reliability/object-store")
def test_wrong_key_and_wrong_bucket_are_told(gateway: radosgw.Gateway, tmp_path: Path) -> None:
    """A wrong secret and a bucket that does not exist are refused at the start, each with what to correct."""
    access = gateway.new_bucket().access
    for wrong, says in (
        (dataclasses.replace(access, secret_key="wrong"), "MIRROR_S3_KEY_FILE"),
        (dataclasses.replace(access, access_key="wrong"), "MIRROR_S3_KEY_FILE"),
        (dataclasses.replace(access, url=BucketUrl("absent-bucket")), "no such bucket"),
    ):
        with pytest.raises(VolumeError, match=says):
            Bucket(wrong, scratch=tmp_path, mirror_id="id", known=False)


@pytest.mark.usefixtures("impatient")
def test_absent_store_is_told(tmp_path: Path, moto_server: buckets.ObjectStoreServer) -> None:
    """A store that nobody can reach is named, with the remedy."""
    access = dataclasses.replace(moto_server.new_bucket().access, endpoint="http://127.0.0.1:9")
    with pytest.raises(VolumeError, match=r"does not answer.*check it and the network"):
        Bucket(access, scratch=tmp_path, mirror_id="id", known=False)
