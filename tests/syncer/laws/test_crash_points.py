"""Killed at any step, and started again, the syncer has lost nothing, published nothing half, and left nothing over."""

import asyncio
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
from syncer.dying import LIVES, Fate, Life, Nursery
from syncer.old_mirror import OldMirror
from syncer.site import Site, same_directory
from syncer.witness import Witness, fetched, retiring, upstream_of, whole_files

LARGE = 300_000  # bytes: too many to be gathered in memory
_LONG_SECONDS = 600  # eighty lives of a second take one minute and a half, and twice that where the cores are busy


@dataclass
class Scene:
    """
    What dies, and what must come of it.

    Attributes:
        command: what is run, and run again, and then a sync.
        names: the projects that must be mirrored in the end; all, where none is named.
        legacy: with their legacy JSON.
        codes: how a run may end that nobody kills: a project that is gone makes it incomplete.
        damaged: files and pages whose content is wrong from the beginning.
    """

    site: Site
    pypi: fakepypi.FakePyPI
    command: tuple[str, ...] = ("sync",)
    names: tuple[str, ...] = ()
    legacy: bool = False
    codes: tuple[int, ...] = (0,)
    damaged: frozenset[str] = frozenset()
    workers: int = 1

    async def die(self, warm: Nursery, directory: Path, *fates: Fate) -> Life:
        """Die of each fate in turn, end as if nothing had happened, and return the last death."""
        shutil.copytree(self.site.data.parent, directory)
        site, witness = Site(directory, upstream=self.pypi.url), Witness(damaged=self.damaged)
        witness.look(site)
        for fate in fates:
            life = await self._live(warm, site, *self.command, fate=fate)
            witness.look(site)
        await self._recover(warm, site, witness)
        return life

    async def stop(self, warm: Nursery, copies: Path) -> Life:
        """Live, and leave a copy of the disk as it was before each step, and one as it is at the end."""
        return await self._live(warm, self.site, *self.command, fate=Fate(copies=str(copies)))

    async def rise(self, warm: Nursery, directory: Path, *, seen: Witness) -> Life:
        """End as if nothing had happened, from such a copy; return the life that was cut there."""
        trail = (directory / "trail").read_text().splitlines()
        site, witness = Site(directory, upstream=self.pypi.url), replace(seen, seen=dict(seen.seen))
        witness.look(site)
        await self._recover(warm, site, witness)
        return Life(-signal.SIGKILL, trail)

    async def _recover(self, warm: Nursery, site: Site, witness: Witness) -> None:
        for command in dict.fromkeys((self.command, ("sync",))):
            last = await self._live(warm, site, *command)
            assert last.code in self.codes, site.state.with_name("trail.log").read_text()
        expected = upstream_of(self.pypi, *self.names)
        witness.settled(site, expected, legacy=self.legacy)
        if retiring(site):  # what a death left over stays for an hour
            site.sql("UPDATE retired SET due_at = 1 WHERE due_at IS NOT NULL")
            await self._live(warm, site, "sync")
            witness.settled(site, expected, legacy=self.legacy)
        assert retiring(site) == set()
        shutil.rmtree(site.data.parent)

    async def _live(self, warm: Nursery, site: Site, *argv: str, fate: Fate = LIVES) -> Life:
        contact = f"https://mirror.example{site.data.parent}/"
        environment = site.environment(MIRROR_CONTACT=contact, MIRROR_WORKERS=str(self.workers))
        there, before = whole_files(site), len(self.pypi.log)
        life = await asyncio.to_thread(warm.live, *argv, environment=environment, fate=fate)
        assert not there & fetched(self.pypi, by=contact, since=before), "fetched again"
        return life


async def first_sync(site: Site, pypi: fakepypi.FakePyPI) -> Scene:
    """Nothing is there yet: neither tree nor catalog."""
    pypi.index.project("six").upload("1.0", padding=LARGE)
    pypi.index.project("idna").upload("3.0")
    pypi.index.project("void").create()
    site.select("six", "idna", "void", grace="0m")
    return Scene(site, pypi)


async def change(site: Site, pypi: fakepypi.FakePyPI) -> Scene:
    """Files come, and go without a grace, one is yanked; another project has only its page changed."""
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
    return Scene(site, pypi)


async def shorter_page(site: Site, pypi: fakepypi.FakePyPI) -> Scene:
    """A page that had twins is too short for any."""
    six = pypi.index.project("six")
    for number in range(5):
        six.upload(f"1.{number}")
    site.select("six", grace="0m")
    await site.sync()
    for number in range(4):
        six.delete_release(f"1.{number}")
    return Scene(site, pypi)


async def quarantine(site: Site, pypi: fakepypi.FakePyPI) -> Scene:
    """A project is quarantined, and a release of another: their files leave the document root at once."""
    for name in ("six", "idna"):
        pypi.index.project(name).upload("1.0")
    pypi.index.project("idna").upload("1.1")
    site.select("six", "idna", grace="0m")
    await site.sync()
    pypi.index.project("six").quarantine()
    pypi.index.project("idna").quarantine_release("1.0")
    return Scene(site, pypi)


async def restoration(site: Site, pypi: fakepypi.FakePyPI) -> Scene:
    """A quarantine is over: the files that were put aside come back, and are not fetched again."""
    pypi.index.project("six").upload("1.0", padding=LARGE)
    site.select("six", grace="0m")
    await site.sync()
    pypi.index.project("six").quarantine()
    await site.sync()
    pypi.index.project("six").clear_quarantine()
    return Scene(site, pypi)


async def deletion(site: Site, pypi: fakepypi.FakePyPI) -> Scene:
    """A project is deleted upstream, another is no longer selected."""
    for name in ("six", "idna", "toml"):
        pypi.index.project(name).upload("1.0")
    site.select("six", "idna", "toml", grace="0m")
    await site.sync()
    pypi.index.project("six").delete()
    site.select("six", "toml", grace="0m")
    pypi.index.project("toml").upload("1.1")
    return Scene(site, pypi, command=("sync", "--allow-removals", "2"), names=("six", "toml"), codes=(0, 3))


async def other_owner(site: Site, pypi: fakepypi.FakePyPI) -> Scene:
    """A project is made again by somebody else, its file names with other bytes in the same directory."""
    six = pypi.index.project("six")
    before = b"as it was"
    six.upload_file("six-1.0.tar.gz", before, version="1.0")
    site.select("six", grace="0m")
    await site.sync()
    six.delete()
    six.upload_file("six-1.0.tar.gz", same_directory(before), version="1.0", replace=True)
    return Scene(site, pypi)


async def long_names(site: Site, pypi: fakepypi.FakePyPI) -> Scene:
    """Files whose names have no room for `.metadata` come, leave without a grace, and are quarantined."""
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
    return Scene(site, pypi)


def long_version(version: str, *, of: str, length: int) -> str:
    """Return a version whose wheel has a name of so many bytes."""
    return f"{version}+{'b' * (length - len(f'{of}-{version}+-py3-none-any.whl'))}"


async def everything(site: Site, pypi: fakepypi.FakePyPI) -> Scene:
    """All that upstream lists: one comes, one changes, one is quarantined, one leaves."""
    for name in ("six", "idna", "toml"):
        pypi.index.project(name).upload("1.0")
    site.everything(grace="0m", guard="50%")
    await site.sync()
    pypi.index.project("attrs").upload("1.0")
    pypi.index.project("idna").upload("1.1")
    pypi.index.project("six").delete()
    return Scene(site, pypi)


async def legacy_json(site: Site, pypi: fakepypi.FakePyPI) -> Scene:
    """The legacy JSON changes with its page, comes with a new one, and goes where no file is left."""
    for name in ("six", "idna"):
        for number in range(6):
            pypi.index.project(name).upload(f"1.{number}")
    site.select("six", "idna", "toml", grace="0m", legacy_json=True)
    pypi.index.project("toml").create()
    await site.sync()
    pypi.index.project("toml").upload("1.0")
    pypi.index.project("six").delete_release("1.0")
    pypi.index.project("idna").quarantine()
    return Scene(site, pypi, legacy=True)


async def repair(site: Site, pypi: fakepypi.FakePyPI) -> Scene:
    """A verify finds a file that rotted, one that is gone, a page that is damaged and a file that nobody knows."""
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
    return Scene(site, pypi, command=("verify", "--repair"), damaged=frozenset(damaged))


async def adoption(site: Site, pypi: fakepypi.FakePyPI) -> Scene:
    """Another program's tree becomes the mirror's own, where it lies."""
    old = OldMirror(site.web)
    for name in ("six", "idna"):
        pypi.index.project(name).upload("1.0", provenance=True)
        old.write(pypi.index.project(name), json_too=name == "six")
    site.select("six", "idna", grace="0m")
    return Scene(site, pypi, command=("adopt",))


async def lost_catalog(site: Site, pypi: fakepypi.FakePyPI) -> Scene:
    """The catalog is gone, and is made anew from the pages; one of them has changed meanwhile."""
    for name in ("six", "idna"):
        pypi.index.project(name).upload("1.0")
    site.select("six", "idna", grace="0m")
    await site.sync()
    for path in site.state.iterdir():
        path.unlink()
    pypi.index.project("six").upload("1.1")
    return Scene(site, pypi)


async def older_tree(site: Site, pypi: fakepypi.FakePyPI) -> Scene:
    """A tree is restored from before a release, a quarantine and a deletion that its catalog knows of."""
    await _go_back(site, pypi, site.data)
    return Scene(site, pypi, names=("six", "toml"), codes=(0, 3))


async def older_catalog(site: Site, pypi: fakepypi.FakePyPI) -> Scene:
    """A catalog is restored from before a release, a quarantine and a deletion that its tree shows."""
    await _go_back(site, pypi, site.state)
    return Scene(site, pypi, names=("six", "toml"), codes=(0, 3))


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


async def old_catalog(site: Site, pypi: fakepypi.FakePyPI) -> Scene:
    """An earlier version's catalog is brought to today's schema, with a publication of its that broke off."""
    pypi.index.project("six").upload("1.0")
    site.select("six", grace="0m")
    await site.sync()
    identity = (site.data / "pypi" / ".mirror-id").read_text().strip()
    for path in site.state.iterdir():
        path.unlink()
    make_first_catalog(site.state / "catalog.sqlite", identity)
    return Scene(site, pypi)


async def two_processes(site: Site, pypi: fakepypi.FakePyPI) -> Scene:
    """A second process has the time to come up, and the first nobody's projects alone."""
    for number in range(24):
        pypi.index.project(f"project{number}").upload("1.0")
    pypi.faults.on_page().delay(0.2)
    site.select(*(f"project{number}" for number in range(24)), grace="0m")
    return Scene(site, pypi, workers=2)


Direct = Callable[[Site, fakepypi.FakePyPI], Awaitable[Scene]]
SCENES: tuple[Direct, ...] = (
    first_sync,
    change,
    shorter_page,
    quarantine,
    restoration,
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
    """Make a catalog as the first version did, with a publication in hand."""
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
def nurseries(two_nurseries: tuple[Nursery, Nursery]) -> asyncio.Queue[Nursery]:
    """Where processes come from, two at a time."""
    queue = asyncio.Queue[Nursery]()
    for one in two_nurseries:
        queue.put_nowait(one)
    return queue


async def each(
    nurseries: asyncio.Queue[Nursery], directory: Path, work: Mapping[str, Callable[[Nursery, Path], Awaitable[Life]]]
) -> list[Life]:
    """Have lives lived, each by itself in a directory of its own, and tell of all that went wrong."""
    wrong: list[str] = []
    lives: list[Life] = []

    async def one(name: str, live: Callable[[Nursery, Path], Awaitable[Life]]) -> None:
        home = directory / name
        warm = await nurseries.get()
        try:
            lives.append(await live(warm, home))
        except AssertionError as error:
            line = traceback.extract_tb(error.__traceback__)[-1].line
            wrong.append(f"{name}, at last {(home / 'trail').read_text().splitlines()[-1:]}: {line}: {error}")
        finally:
            nurseries.put_nowait(warm)

    await asyncio.gather(*(one(name, live) for name, live in work.items()))
    assert not wrong, "\n".join(wrong)
    return lives


async def all_die(
    scene: Scene, nurseries: asyncio.Queue[Nursery], directory: Path, *, deaths: Iterable[Sequence[Fate]]
) -> list[Life]:
    """Let a scene end in each of these ways."""

    def ending(fates: Sequence[Fate]) -> Callable[[Nursery, Path], Awaitable[Life]]:
        return lambda warm, home: scene.die(warm, home, *fates)

    named = {"-".join([str(number), *map(str, fates)]): ending(fates) for number, fates in enumerate(deaths)}
    return await each(nurseries, directory, named)


async def set_up(direct: Direct, pypi: fakepypi.FakePyPI, directory: Path) -> Scene:
    """Return a scene."""
    (home := directory / "before").mkdir()
    return await direct(Site(home, upstream=pypi.url), pypi)


async def rehearse(
    direct: Direct, pypi: fakepypi.FakePyPI, nurseries: asyncio.Queue[Nursery], directory: Path
) -> tuple[Scene, int]:
    """Return a scene, and how many steps it has when nobody dies."""
    scene = await set_up(direct, pypi, directory)
    [whole] = await all_die(scene, nurseries, directory / "whole", deaths=[[LIVES]])
    assert whole.code in scene.codes
    return scene, len(whole.steps)


@pytest.mark.proves("reliability/crash")
@pytest.mark.parametrize("direct", [change, quarantine, long_names])
async def test_killed_at_some_steps(
    direct: Direct, pypi: fakepypi.FakePyPI, nurseries: asyncio.Queue[Nursery], tmp_path: Path
) -> None:
    """A syncer killed at a step loses nothing, shows nothing half, fetches nothing twice, and leaves nothing over."""
    scene, steps = await rehearse(direct, pypi, nurseries, tmp_path)

    lives = await all_die(scene, nurseries, tmp_path, deaths=[[Fate(step=step)] for step in range(5, steps, 6)])

    assert any(life.killed for life in lives)


@pytest.mark.proves("reliability/crash")
@pytest.mark.slow
@pytest.mark.timeout(_LONG_SECONDS)
@pytest.mark.parametrize("direct", SCENES)
async def test_killed_at_every_step(
    direct: Direct, pypi: fakepypi.FakePyPI, warm: Nursery, nurseries: asyncio.Queue[Nursery], tmp_path: Path
) -> None:
    """As above, at each step of a life, on every way on which something is published, withdrawn or put right."""
    scene = await set_up(direct, pypi, tmp_path)
    (seen := Witness(damaged=scene.damaged)).look(scene.site)
    copies = tmp_path / "copies"

    whole = await scene.stop(warm, copies)
    names = [str(number) for number in range(1, len(whole.steps) + 2)]  # the last one is of the end
    lives = await each(nurseries, copies, dict.fromkeys(names, partial(scene.rise, seen=seen)))

    assert whole.code in scene.codes
    assert sorted(len(life.steps) for life in lives) == [*range(1, len(whole.steps) + 1), len(whole.steps)]


@pytest.mark.proves("reliability/crash", "reliability/disk")
@pytest.mark.slow
@pytest.mark.timeout(_LONG_SECONDS)
@pytest.mark.parametrize("direct", SCENES)
async def test_killed_again_and_again(
    direct: Direct, pypi: fakepypi.FakePyPI, nurseries: asyncio.Queue[Nursery], tmp_path: Path
) -> None:
    """As above, at random moments, up to four times before anybody gets to an end: in recovery, too."""
    scene, steps = await rehearse(direct, pypi, nurseries, tmp_path)
    dice = random.Random(direct.__name__)

    def fate() -> Fate:
        return Fate(step=dice.randint(1, steps)) if dice.random() < 0.5 else Fate(seconds=dice.uniform(0.02, 0.3))

    await all_die(scene, nurseries, tmp_path, deaths=[[fate() for _ in range(dice.randint(2, 4))] for _ in range(5)])


@pytest.mark.proves("reliability/crash")
@pytest.mark.slow
@pytest.mark.timeout(_LONG_SECONDS)
@pytest.mark.parametrize("worker", [False, True], ids=["parent", "worker"])
async def test_killed_among_processes(
    pypi: fakepypi.FakePyPI, nurseries: asyncio.Queue[Nursery], tmp_path: Path, *, worker: bool
) -> None:
    """As above, with worker processes: those of a parent that is killed go with it; one that is killed goes alone."""
    scene, _ = await rehearse(two_processes, pypi, nurseries, tmp_path)
    dice = random.Random(7)
    deaths = [Fate(seconds=dice.uniform(0.3, 2.5), worker=worker) for _ in range(8)]

    lives = await all_die(scene, nurseries, tmp_path, deaths=[[death] for death in deaths])

    assert {life.code for life in lives if not life.killed} <= {0, 3}
    assert worker or any(life.killed for life in lives)
