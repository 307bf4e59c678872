"""A syncer killed at any step and started again has lost nothing, published nothing partial, and left nothing over."""

import asyncio
import contextlib
import random
import shutil
import signal
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.command import upgrade
from alembic.config import Config

import fakepypi
from syncer.checker import MirrorChecker, downloaded, retired_places, upstream_of, whole_files
from syncer.crash_injection import NO_CRASH, CrashPoint, ForkServer, ProcessResult
from syncer.old_mirror import OldMirror
from syncer.site import Site, same_directory

LARGE = 300_000  # bytes: too many to collect in memory
_LONG_SECONDS = 600  # eighty processes of one second take 90 seconds, and twice that on busy cores


@dataclass
class Scenario:
    """
    What a process is killed in, and the expected final state.

    Attributes:
        command: the command to kill; it runs again, and then a sync.
        names: the projects that must be mirrored in the end; empty: all.
        legacy: whether the legacy JSON is mirrored too.
        codes: the allowed exit codes of a run that is not killed: a deleted project makes it incomplete.
        damaged: files and pages whose content is wrong from the start.
    """

    site: Site
    pypi: fakepypi.FakePyPI
    command: tuple[str, ...] = ("sync",)
    names: tuple[str, ...] = ()
    legacy: bool = False
    codes: tuple[int, ...] = (0,)
    damaged: frozenset[str] = frozenset()
    workers: int = 1

    async def crash(self, fork_server: ForkServer, directory: Path, *crash_points: CrashPoint) -> ProcessResult:
        """Run the command once for each crash point, then without one; return the last result that was killed."""
        shutil.copytree(self.site.data.parent, directory)
        site, checker = Site(directory, upstream=self.pypi.url), MirrorChecker(damaged=self.damaged)
        checker.check(site)
        for crash_point in crash_points:
            result = await self._run_command(fork_server, site, *self.command, crash_point=crash_point)
            checker.check(site)
        await self._recover(fork_server, site, checker)
        return result

    async def copy_every_step(self, fork_server: ForkServer, copies: Path) -> ProcessResult:
        """Run the command, and copy the disk as it was before each step and at the end."""
        return await self._run_command(
            fork_server, self.site, *self.command, crash_point=CrashPoint(copies=str(copies))
        )

    async def recover_copy(self, fork_server: ForkServer, directory: Path, *, seen: MirrorChecker) -> ProcessResult:
        """Run the command to its end on such a copy; return the result of the process that was cut off there."""
        step_log = (directory / "steps").read_text().splitlines()
        site, checker = Site(directory, upstream=self.pypi.url), replace(seen, seen=dict(seen.seen))
        # The catalog records an adoption by the absolute path of its tree, which differs in the copy.
        with contextlib.suppress(sa.exc.OperationalError):  # at the first steps it has no table yet
            site.sql(f"UPDATE about SET value = replace(value, '{self.site.data}', '{site.data}')")
        checker.check(site)
        await self._recover(fork_server, site, checker)
        return ProcessResult(-signal.SIGKILL, step_log)

    async def _recover(self, fork_server: ForkServer, site: Site, checker: MirrorChecker) -> None:
        for command in dict.fromkeys((self.command, ("sync",))):
            last = await self._run_command(fork_server, site, *command)
            assert last.code in self.codes, site.state.with_name("steps.log").read_text()
        expected = upstream_of(self.pypi, *self.names)
        checker.check_final_state(site, expected, legacy=self.legacy)
        if retired_places(site):  # what a crash left over stays for an hour
            site.sql("UPDATE retired SET due_at = 1 WHERE due_at IS NOT NULL")
            await self._run_command(fork_server, site, "sync")
            checker.check_final_state(site, expected, legacy=self.legacy)
        assert retired_places(site) == set()
        shutil.rmtree(site.data.parent)

    async def _run_command(
        self, fork_server: ForkServer, site: Site, *argv: str, crash_point: CrashPoint = NO_CRASH
    ) -> ProcessResult:
        contact = f"https://mirror.example{site.data.parent}/"
        environment = site.environment(MIRROR_CONTACT=contact, MIRROR_WORKERS=str(self.workers))
        there, before = whole_files(site), len(self.pypi.log)
        result = await asyncio.to_thread(fork_server.run, *argv, environment=environment, crash_point=crash_point)
        assert not there & downloaded(self.pypi, by=contact, since=before), "downloaded again"
        return result


async def first_sync(site: Site, pypi: fakepypi.FakePyPI) -> Scenario:
    """Start with neither tree nor catalog."""
    pypi.index.project("six").upload("1.0", padding=LARGE)
    pypi.index.project("idna").upload("3.0")
    pypi.index.project("void").create()
    site.select("six", "idna", "void", grace="0m")
    return Scenario(site, pypi)


async def change(site: Site, pypi: fakepypi.FakePyPI) -> Scenario:
    """Upload, delete and yank files of one project without a grace period; change only the page of another."""
    six, idna = pypi.index.project("six"), pypi.index.project("idna")
    for version in ("1.0", "1.1", "1.2"):
        six.upload(version)
    idna.upload("3.0")
    site.select("six", "idna", grace="0m")
    await site.sync()
    six.upload("1.3", padding=LARGE)
    six.delete_release("1.0")
    six.yank("1.1", reason="no")
    idna.yank("3.0")
    return Scenario(site, pypi)


async def shorter_page(site: Site, pypi: fakepypi.FakePyPI) -> Scenario:
    """Shorten a page so much that it needs no compressed copies any more."""
    six = pypi.index.project("six")
    for number in range(5):
        six.upload(f"1.{number}")
    site.select("six", grace="0m")
    await site.sync()
    for number in range(4):
        six.delete_release(f"1.{number}")
    return Scenario(site, pypi)


async def quarantine(site: Site, pypi: fakepypi.FakePyPI) -> Scenario:
    """Quarantine a project, and a release of another: their files leave the document root at once."""
    for name in ("six", "idna"):
        pypi.index.project(name).upload("1.0")
    pypi.index.project("idna").upload("1.1")
    site.select("six", "idna", grace="0m")
    await site.sync()
    pypi.index.project("six").quarantine()
    pypi.index.project("idna").quarantine_release("1.0")
    return Scenario(site, pypi)


async def restoration(site: Site, pypi: fakepypi.FakePyPI) -> Scenario:
    """End a quarantine: the files set aside come back, without another download."""
    pypi.index.project("six").upload("1.0", padding=LARGE)
    site.select("six", grace="0m")
    await site.sync()
    pypi.index.project("six").quarantine()
    await site.sync()
    pypi.index.project("six").clear_quarantine()
    return Scenario(site, pypi)


async def blocking(site: Site, pypi: fakepypi.FakePyPI) -> Scenario:
    """Block a project as a whole: its page and its files leave at once."""
    for name in ("six", "idna"):
        pypi.index.project(name).upload("1.0")
    site.select("six", "idna", grace="0m")
    await site.sync()
    _add(site, '[block]\nprojects = ["six"]')
    return Scenario(site, pypi, names=("idna",))


async def unblocking(site: Site, pypi: fakepypi.FakePyPI) -> Scenario:
    """End the block of a version and the cooldown of a project: their files come back, without another download."""
    for name in ("six", "idna"):
        for version in ("1.0", "1.1"):
            pypi.index.project(name).upload(version, padding=LARGE)
    site.select("six", "idna", grace="0m")
    await site.sync()
    _add(site, '[block]\nprojects = ["six==1.0"]\n[age]\nnot_after = 2025-01-01\nexempt = ["six"]')
    await site.sync()
    assert site.filenames("idna") == set()
    site.select("six", "idna", grace="0m")
    return Scenario(site, pypi)


def _add(site: Site, tables: str) -> None:
    site.policy.write_text(f"{site.policy.read_text()}\n{tables}\n")


async def deletion(site: Site, pypi: fakepypi.FakePyPI) -> Scenario:
    """Delete a project upstream, and deselect another."""
    for name in ("six", "idna", "toml"):
        pypi.index.project(name).upload("1.0")
    site.select("six", "idna", "toml", grace="0m")
    await site.sync()
    pypi.index.project("six").delete()
    site.select("six", "toml", grace="0m")
    pypi.index.project("toml").upload("1.1")
    return Scenario(site, pypi, command=("sync", "--allow-removals", "2"), names=("six", "toml"), codes=(0, 3))


async def other_owner(site: Site, pypi: fakepypi.FakePyPI) -> Scenario:
    """Give a project's name to another owner, who uploads other bytes with the same file names and directory."""
    six = pypi.index.project("six")
    before = b"as it was"
    six.upload_file("six-1.0.tar.gz", before, version="1.0")
    site.select("six", grace="0m")
    await site.sync()
    six.delete()
    six.upload_file("six-1.0.tar.gz", same_directory(before), version="1.0", replace=True)
    return Scenario(site, pypi)


async def long_names(site: Site, pypi: fakepypi.FakePyPI) -> Scenario:
    """Upload, delete and quarantine files whose names have no room for `.metadata`, without a grace period."""
    six, idna = pypi.index.project("six"), pypi.index.project("idna")
    for number, length in enumerate((246, 247, 255)):
        six.upload(long_version(f"1.{number}", of="six", length=length))
    idna.upload(long_version("3.0", of="idna", length=255))
    site.select("six", "idna", grace="0m")
    await site.sync()
    six.delete_release(long_version("1.1", of="six", length=247))
    six.delete_release(long_version("1.2", of="six", length=255))
    six.upload(long_version("1.3", of="six", length=254), padding=LARGE)
    idna.quarantine()
    return Scenario(site, pypi)


def long_version(version: str, *, of: str, length: int) -> str:
    """Return a version whose wheel has a name of this many bytes."""
    return f"{version}+{'b' * (length - len(f'{of}-{version}+-py3-none-any.whl'))}"


async def everything(site: Site, pypi: fakepypi.FakePyPI) -> Scenario:
    """Mirror the whole index: one project is new, one changes, and one is deleted."""
    for name in ("six", "idna", "toml"):
        pypi.index.project(name).upload("1.0")
    site.everything(grace="0m", guard="50%")
    await site.sync()
    pypi.index.project("attrs").upload("1.0")
    pypi.index.project("idna").upload("1.1")
    pypi.index.project("six").delete()
    return Scenario(site, pypi)


async def legacy_json(site: Site, pypi: fakepypi.FakePyPI) -> Scenario:
    """Change the legacy JSON with its page, add one with a new page, and remove one that has no files left."""
    for name in ("six", "idna"):
        for number in range(6):
            pypi.index.project(name).upload(f"1.{number}")
    site.select("six", "idna", "toml", grace="0m", legacy_json=True)
    pypi.index.project("toml").create()
    await site.sync()
    pypi.index.project("toml").upload("1.0")
    pypi.index.project("six").delete_release("1.0")
    pypi.index.project("idna").quarantine()
    return Scenario(site, pypi, legacy=True)


async def repair(site: Site, pypi: fakepypi.FakePyPI) -> Scenario:
    """Verify finds a corrupt file, a missing one, a damaged page and an orphan."""
    for name in ("six", "idna"):
        pypi.index.project(name).upload("1.0", padding=LARGE)
        pypi.index.project(name).upload("1.1")
    site.select("six", "idna", grace="0m")
    await site.sync()
    damaged = set[str]()
    for name, filename in (("six", "six-1.0.tar.gz"), ("idna", "idna-1.1-py3-none-any.whl")):
        place = site.published(name).places[filename]
        damaged.add(place)
        (site.web / place).write_bytes(b"rot") if name == "six" else (site.web / place).unlink()
    damaged.add("simple/six/index.html")
    (site.web / "simple/six/index.html").write_text("<html>")
    stray = site.web / "packages" / "ab" / "idna-0.1.tar.gz"
    stray.write_bytes(b"stray")
    damaged.add("packages/ab/idna-0.1.tar.gz")
    return Scenario(site, pypi, command=("verify", "--repair"), damaged=frozenset(damaged))


async def adoption(site: Site, pypi: fakepypi.FakePyPI) -> Scenario:
    """Adopt another program's tree in place."""
    old = OldMirror(site.web)
    for name in ("six", "idna"):
        pypi.index.project(name).upload("1.0", provenance=True)
        old.write(pypi.index.project(name), json_too=name == "six")
    site.select("six", "idna", grace="0m")
    return Scenario(site, pypi, command=("adopt",))


async def lost_catalog(site: Site, pypi: fakepypi.FakePyPI) -> Scenario:
    """Rebuild a lost catalog from the pages, one of which has changed upstream."""
    for name in ("six", "idna"):
        pypi.index.project(name).upload("1.0")
    site.select("six", "idna", grace="0m")
    await site.sync()
    for path in site.state.iterdir():
        path.unlink()
    pypi.index.project("six").upload("1.1")
    return Scenario(site, pypi)


async def older_tree(site: Site, pypi: fakepypi.FakePyPI) -> Scenario:
    """Restore a tree from before a release, a quarantine and a deletion that its catalog knows."""
    await _go_back(site, pypi, site.data)
    return Scenario(site, pypi, names=("six", "toml"), codes=(0, 3))


async def older_catalog(site: Site, pypi: fakepypi.FakePyPI) -> Scenario:
    """Restore a catalog from before a release, a quarantine and a deletion that its tree shows."""
    await _go_back(site, pypi, site.state)
    return Scenario(site, pypi, names=("six", "toml"), codes=(0, 3))


async def _go_back(site: Site, pypi: fakepypi.FakePyPI, directory: Path) -> None:
    for name in ("six", "idna", "toml"):
        pypi.index.project(name).upload("1.0")
    site.select("six", "idna", "toml", grace="0m", guard="100%")
    await site.sync()
    kept = directory.with_name("kept")
    shutil.copytree(directory, kept)
    pypi.index.project("six").quarantine()
    pypi.index.project("idna").delete()
    pypi.index.project("toml").upload("1.1")
    await site.sync()
    shutil.rmtree(directory)
    kept.rename(directory)


async def old_catalog(site: Site, pypi: fakepypi.FakePyPI) -> Scenario:
    """Upgrade the catalog of an earlier version, with an unfinished publication in it."""
    pypi.index.project("six").upload("1.0")
    site.select("six", grace="0m")
    await site.sync()
    identity = (site.data / "pypi" / ".mirror-id").read_text().strip()
    for path in site.state.iterdir():
        path.unlink()
    make_first_catalog(site.state / "catalog.sqlite", identity)
    return Scenario(site, pypi)


async def two_processes(site: Site, pypi: fakepypi.FakePyPI) -> Scenario:
    """Give a second worker process the time to start, while the first one has projects left."""
    for number in range(24):
        pypi.index.project(f"project{number}").upload("1.0")
    pypi.faults.on_page().delay(0.2)
    site.select(*(f"project{number}" for number in range(24)), grace="0m")
    return Scenario(site, pypi, workers=2)


MakeScenario = Callable[[Site, fakepypi.FakePyPI], Awaitable[Scenario]]
SCENARIOS: tuple[MakeScenario, ...] = (
    first_sync,
    change,
    shorter_page,
    quarantine,
    restoration,
    blocking,
    unblocking,
    deletion,
    other_owner,
    long_names,
    everything,
    legacy_json,
    repair,
    adoption,
    lost_catalog,
    older_tree,
    older_catalog,
    old_catalog,
)


def make_first_catalog(path: Path, identity: str) -> None:
    """Make a catalog as the first version did, with an unfinished publication."""
    config = Config()
    config.set_main_option("script_location", str(files("mirror_syncer.catalog") / "migrations"))
    config.set_main_option("path_separator", "os")
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        upgrade(config, "0001")
        pending = "INSERT INTO pending VALUES ('six', 'packages/ab/six-0.1.tar.gz', :sha256, 0)"
        connection.execute(sa.text(pending), {"sha256": "a" * 64})
        connection.execute(sa.text("INSERT INTO about VALUES ('mirror_id', :identity)"), {"identity": identity})
    engine.dispose()


@pytest.fixture
def fork_servers(two_fork_servers: tuple[ForkServer, ForkServer]) -> asyncio.Queue[ForkServer]:
    """Return a queue of two fork servers."""
    queue = asyncio.Queue[ForkServer]()
    for one in two_fork_servers:
        queue.put_nowait(one)
    return queue


async def run_each(
    fork_servers: asyncio.Queue[ForkServer],
    directory: Path,
    work: Mapping[str, Callable[[ForkServer, Path], Awaitable[ProcessResult]]],
) -> list[ProcessResult]:
    """Run each job in its own directory, and report all failures together."""
    wrong: list[str] = []
    results: list[ProcessResult] = []

    async def one(name: str, run: Callable[[ForkServer, Path], Awaitable[ProcessResult]]) -> None:
        home = directory / name
        fork_server = await fork_servers.get()
        try:
            results.append(await run(fork_server, home))
        except AssertionError as error:
            line = traceback.extract_tb(error.__traceback__)[-1].line
            wrong.append(f"{name}, last step {(home / 'steps').read_text().splitlines()[-1:]}: {line}: {error}")
        finally:
            fork_servers.put_nowait(fork_server)

    await asyncio.gather(*(one(name, run) for name, run in work.items()))
    assert not wrong, "\n".join(wrong)
    return results


async def crash_each(
    scenario: Scenario,
    fork_servers: asyncio.Queue[ForkServer],
    directory: Path,
    *,
    crashes: Iterable[Sequence[CrashPoint]],
) -> list[ProcessResult]:
    """Run the scenario once for each list of crash points."""

    def ending(crash_points: Sequence[CrashPoint]) -> Callable[[ForkServer, Path], Awaitable[ProcessResult]]:
        return lambda fork_server, home: scenario.crash(fork_server, home, *crash_points)

    named = {
        "-".join([str(number), *map(str, crash_points)]): ending(crash_points)
        for number, crash_points in enumerate(crashes)
    }
    return await run_each(fork_servers, directory, named)


async def set_up(make_scenario: MakeScenario, pypi: fakepypi.FakePyPI, directory: Path) -> Scenario:
    """Return a scenario."""
    (home := directory / "before").mkdir()
    return await make_scenario(Site(home, upstream=pypi.url), pypi)


async def set_up_and_count_steps(
    make_scenario: MakeScenario, pypi: fakepypi.FakePyPI, fork_servers: asyncio.Queue[ForkServer], directory: Path
) -> tuple[Scenario, int]:
    """Return a scenario, and how many steps it has when nothing kills it."""
    scenario = await set_up(make_scenario, pypi, directory)
    [whole] = await crash_each(scenario, fork_servers, directory / "whole", crashes=[[NO_CRASH]])
    assert whole.code in scenario.codes
    return scenario, len(whole.steps)


@pytest.mark.proves("reliability/crash")
@pytest.mark.parametrize("make_scenario", [change, quarantine, long_names, blocking, unblocking])
async def test_syncer_killed_at_some_steps_recovers(
    make_scenario: MakeScenario, pypi: fakepypi.FakePyPI, fork_servers: asyncio.Queue[ForkServer], tmp_path: Path
) -> None:
    """A syncer killed at a step loses nothing, publishes nothing partial, and downloads nothing twice."""
    scenario, steps = await set_up_and_count_steps(make_scenario, pypi, fork_servers, tmp_path)

    results = await crash_each(
        scenario, fork_servers, tmp_path, crashes=[[CrashPoint(step=step)] for step in range(5, steps, 6)]
    )

    assert any(result.killed for result in results)


@pytest.mark.proves("reliability/crash")
@pytest.mark.slow
@pytest.mark.timeout(_LONG_SECONDS)
@pytest.mark.parametrize("make_scenario", SCENARIOS)
async def test_syncer_killed_at_every_step_recovers(
    make_scenario: MakeScenario,
    pypi: fakepypi.FakePyPI,
    fork_server: ForkServer,
    fork_servers: asyncio.Queue[ForkServer],
    tmp_path: Path,
) -> None:
    """A syncer killed at any step of publishing, withdrawing, repairing or adopting recovers completely."""
    scenario = await set_up(make_scenario, pypi, tmp_path)
    (seen := MirrorChecker(damaged=scenario.damaged)).check(scenario.site)
    copies = tmp_path / "copies"

    whole = await scenario.copy_every_step(fork_server, copies)
    names = [str(number) for number in range(1, len(whole.steps) + 2)]  # the last copy shows the end
    results = await run_each(fork_servers, copies, dict.fromkeys(names, partial(scenario.recover_copy, seen=seen)))

    assert whole.code in scenario.codes
    assert sorted(len(result.steps) for result in results) == [*range(1, len(whole.steps) + 1), len(whole.steps)]


@pytest.mark.proves("reliability/crash", "reliability/disk")
@pytest.mark.slow
@pytest.mark.timeout(_LONG_SECONDS)
@pytest.mark.parametrize("make_scenario", SCENARIOS)
async def test_syncer_killed_repeatedly_recovers(
    make_scenario: MakeScenario, pypi: fakepypi.FakePyPI, fork_servers: asyncio.Queue[ForkServer], tmp_path: Path
) -> None:
    """A syncer killed up to four times in a row at random moments, even while it recovers, recovers completely."""
    scenario, steps = await set_up_and_count_steps(make_scenario, pypi, fork_servers, tmp_path)
    dice = random.Random(make_scenario.__name__)

    def crash_point() -> CrashPoint:
        return (
            CrashPoint(step=dice.randint(1, steps))
            if dice.random() < 0.5
            else CrashPoint(seconds=dice.uniform(0.02, 0.3))
        )

    await crash_each(
        scenario, fork_servers, tmp_path, crashes=[[crash_point() for _ in range(dice.randint(2, 4))] for _ in range(5)]
    )


@pytest.mark.proves("reliability/crash")
@pytest.mark.slow
@pytest.mark.timeout(_LONG_SECONDS)
@pytest.mark.parametrize("worker", [False, True], ids=["parent", "worker"])
async def test_syncer_with_workers_killed_at_random_recovers(
    pypi: fakepypi.FakePyPI, fork_servers: asyncio.Queue[ForkServer], tmp_path: Path, *, worker: bool
) -> None:
    """Worker processes end with a killed syncer; the syncer survives a killed worker process; both recover."""
    scenario, _ = await set_up_and_count_steps(two_processes, pypi, fork_servers, tmp_path)
    dice = random.Random(7)
    crashes = [CrashPoint(seconds=dice.uniform(0.3, 2.5), worker=worker) for _ in range(8)]

    results = await crash_each(scenario, fork_servers, tmp_path, crashes=[[death] for death in crashes])

    assert {result.code for result in results if not result.killed} <= {0, 3}
    assert worker or any(result.killed for result in results)
