"""Whatever happens upstream, whatever goes wrong, whatever dies: nothing is lost, and in the end all is as upstream."""

import asyncio
import itertools
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

import fakepypi
from fakepypi.pages import Document
from mirror_syncer.model.names import MAX_NAME_BYTES
from syncer.dying import LIVES, Fate, Life, Nursery
from syncer.site import Site, same_directory
from syncer.witness import Witness, fetched, in_hand, retiring, upstream_of

NAMES = ("six", "idna", "toml")
CONTACT = "https://mirror.example/"
FAULTS: dict[str, Callable[[fakepypi.Faults, str], fakepypi.Rule]] = {
    "no answer to its page": lambda faults, name: faults.on_page(name).status(503),
    "no such page": lambda faults, name: faults.on_page(name).status(404),
    "an older page": lambda faults, name: faults.on_page(name).stale(),
    "a page cut off": lambda faults, name: faults.on_page(name).cut(),
    "a page with a wrong hash": lambda faults, name: faults.on_page(name).wrong_hash(),
    "a page with a wrong size": lambda faults, name: faults.on_page(name).wrong_size(),
    "no such file": lambda faults, name: faults.on_file(project=name).status(404),
    "a file reset": lambda faults, name: faults.on_file(project=name).reset(),
    "a file that is another": lambda faults, name: faults.on_file(project=name).corrupt(),
    "a file that is shorter": lambda faults, name: faults.on_file(project=name).shortened(),
    "no metadata": lambda faults, name: faults.on_metadata(project=name).status(404),
    "no list": lambda faults, _: faults.on_root().status(500),
    "an older list": lambda faults, _: faults.on_root().stale(),
    "no legacy JSON": lambda faults, name: faults.on_legacy(name).status(500),
}
# What an index may send instead of a counter of changes: of the right serial of a list or page, or of a part of it.
SERIALS: dict[str, Callable[[int], int]] = {
    "constant": lambda _: 1_000_000_000,
    "coarse": lambda serial: serial // 50,
    "impossible": lambda _: 2**63 - 1,
    "far ahead": lambda serial: serial + 900_000,
    "far behind": lambda serial: serial - 900_000,
}
names = st.sampled_from(NAMES)
picks = st.integers(0, 20)
toss = st.booleans()


class Story(RuleBasedStateMachine):
    """
    An upstream, a mirror, and what happens to both.

    Args:
        warm: where processes come from.
        kind: whether everything is mirrored, and whether upstream has serials; left to chance where it is not said.
    """

    def __init__(self, warm: Nursery, kind: tuple[bool, bool] | None) -> None:
        super().__init__()
        self._warm = warm
        self._kind = kind
        self._open = ExitStack()
        self._pypi = self._open.enter_context(serving())
        self._site = Site(Path(self._open.enter_context(TemporaryDirectory())), upstream=self._pypi.url)
        self._witness = Witness()
        self._numbers = itertools.count()
        self._bytes: dict[str, bytes] = {}
        self._selected: tuple[str, ...] = ()
        self._odd = False

    @initialize(
        everything=st.booleans(), serials=st.booleans(), legacy=st.booleans(), chosen=st.sets(names, min_size=1)
    )
    def begin(self, *, everything: bool, serials: bool, legacy: bool, chosen: set[str]) -> None:
        """Choose a policy, and an upstream."""
        self._everything, self._serials = self._kind or (everything, serials)
        self._legacy = legacy
        self._heal()
        self._choose(chosen, grace="0m")

    # Upstream

    @rule(name=names, large=toss, length=st.sampled_from([0, 0, 246, 247, 255]))
    def upload(self, name: str, *, large: bool, length: int) -> None:
        """A release of a wheel and a source distribution; the wheel's name may leave no room for `.metadata`."""
        if self._project(name).status is not fakepypi.Status.QUARANTINED:
            version = f"1.{next(self._numbers)}"
            if length:
                version += f"+{'b' * (length - len(f'{name}-{version}+-py3-none-any.whl'))}"
            self._project(name).upload(version, padding=300_000 if large else 0)

    @rule(name=names, pick=picks)
    def delete_file(self, name: str, pick: int) -> None:
        """A file is deleted."""
        if files := self._project(name).files:
            self._project(name).delete_file(files[pick % len(files)].filename)

    @rule(name=names, pick=picks)
    def yank(self, name: str, pick: int) -> None:
        """A release is yanked, or no longer."""
        project = self._project(name)
        if releases := list(project.releases.values()):
            release = releases[pick % len(releases)]
            (project.unyank if release.yanked else project.yank)(release.version)

    @rule(name=names)
    def quarantine(self, name: str) -> None:
        """A project is quarantined, or no longer."""
        match self._project(name).status:
            case fakepypi.Status.ACTIVE:
                self._project(name).quarantine()
            case fakepypi.Status.QUARANTINED:
                self._project(name).clear_quarantine()

    @rule(name=names)
    def delete(self, name: str) -> None:
        """A project is deleted."""
        if self._project(name).status is not fakepypi.Status.ABSENT:
            self._project(name).delete()

    @rule(name=names)
    def other_owner(self, name: str) -> None:
        """A project is made anew by somebody else: its file names are the same, and their bytes are not."""
        project = self._project(name)
        project.releases.clear()
        project.status = fakepypi.Status.ABSENT
        longest = f"{name}-0.1+{'b' * (MAX_NAME_BYTES - len(f'{name}-0.1+.tar.gz'))}.tar.gz"
        for filename in (f"{name}-0.1.tar.gz", f"{name}-0.2.zip", longest):
            # In the same directory, where the same path would be another file's.
            self._bytes[filename] = same_directory(self._bytes.get(filename, filename.encode()))
            project.upload_file(filename, self._bytes[filename], version="0.1", replace=True)

    @rule(name=names, kind=st.sampled_from(sorted(SERIALS)), whole=toss, times=st.integers(1, 8))
    def odd_serials(self, name: str, kind: str, *, whole: bool, times: int) -> None:
        """A page, or everything, has serials that are no counter of changes, a few times."""
        faults, self._odd = self._pypi.faults, True
        for target in (faults.on_root(), faults.on_page()) if whole else (faults.on_page(name),):
            target.edit(renumbering(SERIALS[kind])).without("X-PyPI-Last-Serial").times(times)

    @rule()
    def switch_upstream(self) -> None:
        """MIRROR_UPSTREAM names another index, which has the same projects under serials of its own."""
        other = self._open.enter_context(serving())
        for name in NAMES:
            copy_project(self._project(name), other.index.project(name))
        self._pypi, self._site.upstream = other, other.url
        self._heal()

    @rule(name=names, fault=st.sampled_from(sorted(FAULTS)), times=st.integers(1, 8))
    def go_wrong(self, name: str, fault: str, times: int) -> None:
        """Something will go wrong, a few times."""
        FAULTS[fault](self._pypi.faults, name).times(times)

    # The mirror

    @rule(chosen=st.sets(names, min_size=1), grace=st.sampled_from(["0m", "24h"]))
    def change_policy(self, chosen: set[str], grace: str) -> None:
        """A person edits mirror.toml."""
        self._choose(chosen, grace=grace)

    @rule()
    def sync(self) -> None:
        """A sync runs to its end."""
        self._live("sync")

    @rule(step=st.integers(1, 70))
    def die_in_sync(self, step: int) -> None:
        """A sync dies at some step."""
        self._live("sync", fate=Fate(step=step))

    @precondition(lambda self: self._site.pages())
    @rule(step=st.integers(1, 30))
    def die_in_verify(self, step: int) -> None:
        """A verify that repairs dies at some step."""
        self._live("verify", "--repair", fate=Fate(step=step))

    @precondition(lambda self: self._site.pages())
    @rule()
    def back_up(self) -> None:
        """Tree and catalog are copied, as a snapshot would."""
        for directory in (self._site.data, self._site.state):
            shutil.rmtree(self._copy(directory), ignore_errors=True)
            shutil.copytree(directory, self._copy(directory))

    @precondition(lambda self: self._copy(self._site.data).exists())
    @rule()
    def restore_tree(self) -> None:
        """The tree is restored, and its catalog is newer."""
        self._restore(self._site.data)
        self._live("sync")

    @precondition(
        lambda self: self._copy(self._site.state).exists() and not in_hand(self._site) and not retiring(self._site)
    )
    @rule()
    def restore_catalog(self) -> None:
        """The catalog is restored, and its tree is newer: it does not know which places were emptied since."""
        self._restore(self._site.state)
        self._witness.seen.clear()
        self._live("sync")

    def _restore(self, directory: Path) -> None:
        shutil.rmtree(directory)
        shutil.copytree(self._copy(directory), directory)

    def _copy(self, directory: Path) -> Path:
        return directory.with_name(f"{directory.name}.kept")

    def teardown(self) -> None:
        """Let all go well again: the mirror has exactly what upstream has, and nothing more to fetch."""
        with self._open:
            if self._selected:
                self._heal()
                self._converge()

    def _converge(self) -> None:
        mirrored = NAMES if self._everything else self._selected
        known = sorted(
            {*self._site.pages(), *(name for name in mirrored if self._is_there(name))}.intersection(mirrored)
        )
        # A serial that was too high, and could have been right, holds a page back for a day, or until a person says so.
        force = ("--force", "--confirm") if self._odd else ()
        self._live("sync", "--allow-removals", "9", *force)
        # What failed waits for its time, unless a person names it.
        if known:
            self._live("sync", *known, "--allow-removals", "9")
        self._site.sql("UPDATE retired SET due_at = 1 WHERE due_at IS NOT NULL")
        self._live("sync", "--allow-removals", "9")
        self._pypi.log.forget()
        self._live("sync")
        assert fetched(self._pypi, by=CONTACT) == set()
        there = [name for name in mirrored if self._is_there(name)]
        legacy = self._legacy and not self._everything
        self._witness.settled(self._site, upstream_of(self._pypi, *there) if there else {}, legacy=legacy)
        assert retiring(self._site) == set()

    def _live(self, *argv: str, fate: Fate = LIVES) -> Life:
        life = self._warm.live(*argv, environment=self._site.environment(MIRROR_CONTACT=CONTACT), fate=fate)
        log = Path(f"{self._site.state.parent}/trail.log").read_text()
        assert life.killed or life.code in (0, 1, 3), log
        assert "Traceback" not in log, log
        self._witness.look(self._site)
        return life

    def _choose(self, chosen: set[str], *, grace: str) -> None:
        self._selected = tuple(sorted(chosen))
        if self._everything:
            self._site.everything(grace=grace, guard="100%")
        else:
            self._site.select(*self._selected, grace=grace, guard="100%", legacy_json=self._legacy)

    def _heal(self) -> None:
        self._pypi.faults.clear()
        if not self._serials:
            self._pypi.faults.everywhere().without_serials()

    def _project(self, name: str) -> fakepypi.Project:
        return self._pypi.index.project(name)

    def _is_there(self, name: str) -> bool:
        return self._project(name).status is not fakepypi.Status.ABSENT


def renumbering(serial: Callable[[int], int]) -> Callable[[Document], None]:
    """Return a change of a list or page that gives it other serials."""

    def change(document: Document) -> None:
        for part in (document["meta"], *document.get("projects", ())):
            if "_last-serial" in part:
                part["_last-serial"] = serial(part["_last-serial"])

    return change


def copy_project(project: fakepypi.Project, copy: fakepypi.Project) -> None:
    """Give another index's project what this one has: the same files, yanks and status."""
    if project.status is fakepypi.Status.ABSENT:
        return
    copy.create()
    for release in project.releases.values():
        for file in release.files.values():
            copy.upload_file(file.filename, file.content, version=release.version, metadata=file.metadata)
        if release.yanked:
            copy.yank(release.version)
    if project.status is fakepypi.Status.QUARANTINED:
        copy.quarantine()


@contextmanager
def serving() -> Iterator[fakepypi.FakePyPI]:
    """Serve an empty index from a thread: hypothesis knows no event loop."""
    started, stop, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()
    served: list[fakepypi.FakePyPI] = []

    async def serve() -> None:
        async with fakepypi.serve() as pypi:
            served.append(pypi)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    started.wait(10)
    try:
        yield served[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def tell(warm: Nursery, *, examples: int, steps: int, kind: tuple[bool, bool] | None = None) -> None:
    """Tell so many stories, the same ones each time."""
    run_state_machine_as_test(
        lambda: Story(warm, kind),  # type: ignore[arg-type]
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.proves("reliability/crash")
def test_a_few_stories(warm: Nursery) -> None:
    """Random events, faults and deaths leave no moment at which a client would get something wrong, and no trace."""
    tell(warm, examples=3, steps=10)


@pytest.mark.proves("reliability/crash")
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("serials", [True, False], ids=["serials", "none"])
@pytest.mark.parametrize("everything", [True, False], ids=["everything", "selected"])
def test_many_stories(warm: Nursery, *, everything: bool, serials: bool) -> None:
    """As above, many times over, on each kind of mirror: in pieces, which several processes share."""
    tell(warm, examples=15, steps=25, kind=(everything, serials))
