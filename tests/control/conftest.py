"""Fixtures: a fake syncer, a real control in front of it, and a client."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx2
import pytest
import structlog

from control import live
from control.fake_syncer import FakeSyncer
from mirror_control.settings import Settings

TOKEN = "a-token-of-the-tests-0123456789"

Serve = Callable[[], AbstractContextManager[httpx2.Client]]


@pytest.fixture(scope="module", autouse=True)
def logs() -> Iterator[None]:
    """Log as the process does, through the standard library: not to mirrorctl's standard output."""
    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, structlog.processors.KeyValueRenderer()],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    yield
    structlog.configure(**before)


@pytest.fixture(scope="session")
def background() -> Iterator[live.Background]:
    """The thread that the servers of all tests run in."""
    background = live.Background()
    yield background
    background.close()


@pytest.fixture
def syncer(background: live.Background) -> Iterator[FakeSyncer]:
    """A syncer in good health."""

    async def make() -> FakeSyncer:
        syncer = FakeSyncer()
        await syncer.start()
        return syncer

    syncer = background.run(make())
    yield syncer
    background.run(syncer.stop())


@pytest.fixture
def settings(tmp_path: Path, syncer: FakeSyncer, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Control's settings, from the environment, so that mirrorctl finds the same."""
    (tmp_path / "state").mkdir()
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    monkeypatch.setenv("MIRROR_CONTROL_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("MIRROR_CONTROL_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("MIRROR_ACCESS_LOG", str(tmp_path / "logs"))
    monkeypatch.setenv("MIRROR_SYNCER_URL", syncer.url)
    return Settings.load()


@pytest.fixture
def serve(settings: Settings, background: live.Background) -> Serve:
    """Start control, as often as a test likes, on the same state."""

    @contextmanager
    def start() -> Iterator[httpx2.Client]:
        with live.control(settings, background=background) as url, httpx2.Client(base_url=url, timeout=15) as client:
            yield client

    return start


@pytest.fixture
def client(serve: Serve) -> Iterator[httpx2.Client]:
    """A client of a running control, without a token."""
    with serve() as client:
        yield client


@pytest.fixture
def holder(client: httpx2.Client) -> Iterator[httpx2.Client]:
    """A client of a running control that holds the token."""
    with httpx2.Client(base_url=client.base_url, timeout=15, headers={"Authorization": f"Bearer {TOKEN}"}) as holder:
        yield holder
