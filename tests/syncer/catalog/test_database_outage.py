"""A database server that is away, restarts or refuses: a sentence with the remedy, and then the syncer continues."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from packaging.utils import NormalizedName

import fakepypi
import postgres
from mirror_contract import RunKind, RunState
from mirror_syncer.catalog import Catalog, Fact, postgresql
from mirror_syncer.catalog.schema import pending
from mirror_syncer.errors import ConfigurationError, StateError
from mirror_syncer.model.project import Pending
from syncer.checker import MirrorChecker, upstream_of
from syncer.commands.test_cli import mirror_syncer
from syncer.site import Site

pytestmark = pytest.mark.docker


@pytest.fixture
def own_server() -> Iterator[postgres.Server]:
    """A server that the test may stop."""
    with postgres.serve() as server:
        yield server


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A syncer that does not wait for a server that is away."""
    monkeypatch.setattr(postgresql, "_PATIENCE_SECONDS", 0.0)


@pytest.fixture
def six(tmp_path: Path, pypi: fakepypi.FakePyPI, own_server: postgres.Server) -> Site:
    """A host that is to mirror two projects, with its catalog on a server of its own."""
    for name in ("idna", "six"):
        pypi.index.project(name).upload("1.0")
    site = Site(tmp_path, upstream=pypi.url, catalog=own_server.new_setting())
    site.select("idna", "six")
    return site


@pytest.mark.proves("reliability/database")
@pytest.mark.usefixtures("impatient")
async def test_outage_fails_the_run_and_the_next_one_succeeds(
    six: Site, pypi: fakepypi.FakePyPI, own_server: postgres.Server, logged: Callable[[], str]
) -> None:
    """A server that stops fails the run with the remedy; once it is back, the same process syncs, and loses nothing."""
    async with six.running() as running:
        await running.sync()
        published = six.pages()
        pypi.index.project("six").upload("2.0")
        gate = pypi.faults.on_page("six").times(1).gate()
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        await asyncio.to_thread(own_server.stop)
        gate.open()
        failed = await running.ended(run)
        assert six.pages() == published
        away = await running.sync()
        await asyncio.to_thread(own_server.start)
        back = await running.sync()
        kept = running.mirror.catalog.runs.get(failed.id)

    for ended in (failed, away):
        assert ended.state is RunState.FAILED
        assert "check that PostgreSQL runs" in (ended.message or "")
        assert "\n" not in (ended.message or "")
    assert "Traceback" not in logged()
    assert back.state is RunState.SUCCEEDED
    assert kept == failed
    assert len(six.filenames("six")) == 4
    six.assert_whole()


@pytest.mark.proves("reliability/database")
def test_pending_files_outlive_a_crash_of_the_server(own_server: postgres.Server) -> None:
    """What a publication is about to change is durable before the change, also if the server lost its last commits."""
    url = own_server.new_setting()
    catalog = Catalog(url)
    name = NormalizedName("six")
    catalog.sync()
    catalog.files.claim([Pending.page(name)])
    with catalog.engine.begin() as connection:
        connection.execute(pending.delete())  # as if the crash had taken the commit
    own_server.crash()
    own_server.start()
    catalog.sync()
    own_server.crash()
    own_server.start()
    catalog.close()
    again = Catalog(url)
    assert [intent.project for intent in again.files.pending()] == ["six"]
    again.close()


@pytest.mark.proves("reliability/database")
async def test_crash_of_the_server_in_a_run_leaves_a_right_mirror(
    six: Site, pypi: fakepypi.FakePyPI, own_server: postgres.Server
) -> None:
    """After a crash of the server in a run, whatever became of that run, the next one ends equal to upstream."""
    gate = pypi.faults.on_page("six").times(1).gate()
    async with six.running() as running:
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        await asyncio.to_thread(own_server.crash)
        await asyncio.to_thread(own_server.start)
        gate.open()
        assert (await running.ended(run)).state.ended
        assert (await running.sync()).state is RunState.SUCCEEDED
    MirrorChecker().check_final_state(six, upstream_of(pypi))


@pytest.mark.proves("reliability/database")
async def test_restart_between_two_runs_is_not_noticed(six: Site, own_server: postgres.Server) -> None:
    """A restart of the server while no run is active fails no later run."""
    async with six.running() as running:
        assert (await running.sync()).state is RunState.SUCCEEDED
        await asyncio.to_thread(own_server.restart)
        assert (await running.sync(force=True)).state is RunState.SUCCEEDED


@pytest.mark.proves("reliability/database")
async def test_start_waits_for_a_server_that_restarts(own_server: postgres.Server) -> None:
    """A syncer that starts while its server restarts waits for it."""
    url = own_server.new_setting()
    await asyncio.to_thread(own_server.stop)
    opening = asyncio.create_task(asyncio.to_thread(Catalog, url))
    await asyncio.to_thread(own_server.start)
    (await opening).close()


@pytest.mark.proves("reliability/database")
async def test_event_loop_does_not_wait_for_the_server(own_server: postgres.Server) -> None:
    """A call in the event loop fails at once while the server is away, so that the API and the status answer."""
    catalog = Catalog(own_server.new_setting())
    await asyncio.to_thread(own_server.stop)
    for _ in range(3):
        begun = time.monotonic()
        with pytest.raises(StateError, match="check that PostgreSQL runs"):
            catalog.recall(Fact.PAUSED)
        assert time.monotonic() - begun < 5
    await asyncio.to_thread(own_server.start)
    assert catalog.recall(Fact.PAUSED) is None
    catalog.close()


@pytest.mark.proves("reliability/database")
@pytest.mark.usefixtures("impatient")
def test_absent_server_is_reported_at_once_after_the_first_wait(own_server: postgres.Server) -> None:
    """While the server is away each call fails at once, with the remedy; later calls succeed."""
    catalog = Catalog(own_server.new_setting())
    own_server.stop()
    begun = time.monotonic()
    calls: tuple[Callable[[], object], ...] = (
        lambda: catalog.recall(Fact.PAUSED),
        catalog.projects.totals,
        lambda: _get(catalog),
    )
    for call in calls:
        with pytest.raises(StateError, match=r"does not answer: .*; check that PostgreSQL runs, and that this host"):
            call()
    assert time.monotonic() - begun < 5
    own_server.start()
    assert _get(catalog) is None
    catalog.close()


def _get(catalog: Catalog) -> object:
    return catalog.projects.get(NormalizedName("six"))


@pytest.mark.proves("reliability/database")
@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        pytest.param({"database": "other"}, "create the database (CREATE DATABASE", id="database"),
        pytest.param({"username": "nobody"}, "create the role (CREATE ROLE", id="role"),
        pytest.param({"username": "locked"}, "MIRROR_CATALOG_PASSWORD_FILE", id="password"),
    ],
)
async def test_refused_connection_ends_the_command(
    tmp_path: Path,
    pypi: fakepypi.FakePyPI,
    postgres_server: postgres.Server,
    change: dict[str, str],
    remedy: str,
) -> None:
    """A wrong database, user or password ends a command with exit code 2 and one line, which shows no password."""
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    url = sa.make_url(postgres_server.new_setting())
    site = Site(tmp_path, upstream=pypi.url, catalog=url.set(**change).render_as_string())  # type: ignore[arg-type]
    site.select("six")

    ended = await mirror_syncer(site, "sync", MIRROR_CATALOG_PASSWORD_FILE=str(secret))

    assert ended.code == 2
    assert remedy in ended.err
    assert "Traceback" not in ended.err
    assert "hunter2" not in ended.err


@pytest.mark.proves("reliability/database")
def test_password_is_read_from_a_file(tmp_path: Path, postgres_server: postgres.Server) -> None:
    """The password comes from a file, and a new one in the same file applies to the next connection."""
    secret = tmp_path / "password"
    secret.write_text("right\n")
    url = sa.make_url(postgres_server.new_setting())
    locked = postgres_server.lock_out(url.database or "")
    catalog = Catalog(locked, password_file=secret)
    secret.write_text("wrong\n")
    postgres_server.disconnect(url.database or "")
    with pytest.raises(StateError):
        catalog.recall(Fact.PAUSED)
    with pytest.raises(StateError, match="correct the password"):
        catalog.recall(Fact.PAUSED)
    secret.write_text("right\n")
    assert catalog.recall(Fact.PAUSED) is None
    catalog.close()


@pytest.mark.proves("reliability/database")
def test_standby_is_refused_until_it_is_the_primary(postgres_server: postgres.Server) -> None:
    """A read-only server, such as a standby after a failover, is reported; once it accepts writes, all is well."""
    url = postgres_server.new_setting()
    catalog = Catalog(url)
    name = sa.make_url(url).database
    postgres_server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    postgres_server.disconnect(name or "")
    with pytest.raises(StateError):
        catalog.remember(Fact.PAUSED, "1")
    with pytest.raises(StateError, match="point MIRROR_CATALOG to the primary"):
        catalog.remember(Fact.PAUSED, "1")
    postgres_server.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    catalog.remember(Fact.PAUSED, "1")  # on another connection: the old one may lead to the old server
    assert catalog.recall(Fact.PAUSED) == "1"
    catalog.close()


@pytest.mark.proves("reliability/database")
def test_foreign_encoding_is_refused(postgres_server: postgres.Server) -> None:
    """A database that cannot hold every text is refused, and nothing is created in it."""
    postgres_server.execute(
        "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0"
    )
    url = sa.make_url(postgres_server.new_setting()).set(database="latin").render_as_string()
    with pytest.raises(ConfigurationError, match="create it as UTF8"):
        Catalog(url)
