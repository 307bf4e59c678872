"""A mirror host in a temporary directory, before a PyPI with faults on demand."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

import buckets
import fakepypi
import postgres
import radosgw
from mirror_syncer.catalog import Catalog
from syncer.bucket_site import BucketSite
from syncer.crash_injection import ForkServer, start_fork_server
from syncer.site import Site


@pytest.fixture
async def pypi() -> AsyncIterator[fakepypi.FakePyPI]:
    """An empty index, served over real HTTP."""
    async with fakepypi.serve() as server:
        yield server


@pytest.fixture
def site_catalog(request: pytest.FixtureRequest) -> str:
    """The setting MIRROR_CATALOG; for tests on both databases see ``databases.ON_BOTH``."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return ""
    server: postgres.Server = request.getfixturevalue("postgres_server")
    return server.new_setting()


@pytest.fixture
def site(tmp_path: Path, pypi: fakepypi.FakePyPI, site_catalog: str) -> Site:
    """A mirror host whose upstream is that index."""
    return Site(tmp_path, upstream=pypi.url, catalog=site_catalog)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Return the log so far: the syncer's own, which is printed, and Python's, such as asyncio's."""
    return lambda: caplog.text + capsys.readouterr().out


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """A fork server, for processes that are killed at a step, one at a time. Starting it takes two seconds."""
    with start_fork_server() as server:
        yield server


@pytest.fixture(scope="session")
def two_fork_servers(fork_server: ForkServer) -> Iterator[tuple[ForkServer, ForkServer]]:
    """Two fork servers, for processes that are killed at a step, two at a time."""
    with start_fork_server() as other:
        yield fork_server, other


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """A PostgreSQL, started for the first test that uses it."""
    with postgres.serve() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.docker)])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalog.sqlite'}"
    server: postgres.Server = request.getfixturevalue("postgres_server")
    return server.new_database()


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    """An empty catalog, on each kind of database in turn; ``catalog_url`` opens the same one again."""
    opened = Catalog(catalog_url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def moto_server() -> Iterator[buckets.ObjectStoreServer]:
    """An object store in this process, started for the first test that uses it."""
    with buckets.moto() as server:
        yield server


@pytest.fixture(scope="session")
def gateway() -> Iterator[radosgw.Gateway]:
    """Ceph's S3 gateway, started for the first test that uses it."""
    with radosgw.serve() as server:
        yield server


@pytest.fixture(params=["moto", pytest.param("radosgw", marks=pytest.mark.docker)])
def object_store(request: pytest.FixtureRequest) -> buckets.ObjectStoreServer:
    """An object store, of each kind in turn."""
    server: buckets.ObjectStoreServer = request.getfixturevalue(
        "gateway" if request.param == "radosgw" else "moto_server"
    )
    return server


@pytest.fixture
def bucket(object_store: buckets.ObjectStoreServer) -> buckets.TestBucket:
    """An empty bucket, in each kind of store in turn."""
    return object_store.new_bucket("mirrors/main")


@pytest.fixture
def bucket_site(tmp_path: Path, pypi: fakepypi.FakePyPI, bucket: buckets.TestBucket) -> BucketSite:
    """A mirror host whose tree lies in that bucket."""
    directory = tmp_path / "bucket-site"
    directory.mkdir()
    return BucketSite(directory, upstream=pypi.url, bucket=bucket)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without proxies, to which tests add some."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch
