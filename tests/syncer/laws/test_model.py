"""Whatever happens upstream, fails or crashes, the mirror loses nothing and ends equal to upstream."""

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
import postgres
from fakepypi.pages import Document
from mirror_syncer.model.names import MAX_NAME_BYTES
from syncer.checker import MirrorChecker, downloaded, pending_places, retired_places, upstream_of
from syncer.crash_injection import NO_CRASH, CrashPoint, ForkServer, ProcessResult
from syncer.site import Site, same_directory

NAMES = ("six", "idna", "toml")
CONTACT = "https://mirror.example/"
FAULTS: dict[str, Callable[[fakepypi.Faults, str], fakepypi.Rule]] = {
    "a page with status 503": lambda faults, name: faults.on_page(name).status(503),
    "a page with status 404": lambda faults, name: faults.on_page(name).status(404),
    "an older page": lambda faults, name: faults.on_page(name).stale(),
    "a page cut off": lambda faults, name: faults.on_page(name).cut(),
    "a page with a wrong hash": lambda faults, name: faults.on_page(name).wrong_hash(),
    "a page with a wrong size": lambda faults, name: faults.on_page(name).wrong_size(),
    "a file with status 404": lambda faults, name: faults.on_file(project=name).status(404),
    "a file with a reset": lambda faults, name: faults.on_file(project=name).reset(),
    "a corrupt file": lambda faults, name: faults.on_file(project=name).corrupt(),
    "a shortened file": lambda faults, name: faults.on_file(project=name).shortened(),
    "metadata with status 404": lambda faults, name: faults.on_metadata(project=name).status(404),
    "a list with status 500": lambda faults, _: faults.on_root().status(500),
    "an older list": lambda faults, _: faults.on_root().stale(),
    "a legacy JSON with status 500": lambda faults, name: faults.on_legacy(name).status(500),
}
# What an index may send instead of a change counter: a function of the right serial of a list, a page or an entry.
SERIALS: dict[str, Callable[[int], int]] = {
    "constant": lambda _: 1_000_000_000,
    "coarse": lambda serial: serial // 50,
    "impossible": lambda _: 2**63 - 1,
    "far ahead": lambda serial: serial + 900_000,
    "far behind": lambda serial: serial - 900_000,
}
names = st.sampled_from(NAMES)
indexes = st.integers(0, 20)
booleans = st.booleans()


class MirrorMachine(RuleBasedStateMachine):
    """
    An upstream, a mirror, and random events on both.

    Args:
        fork_server: starts the syncer's processes.
        kind: whether the whole index is mirrored, and whether upstream has serials; None: random.
        catalog: as in ``Site``.
    """

    def __init__(self, fork_server: ForkServer, kind: tuple[bool, bool] | None, catalog: str) -> None:
        super().__init__()
        self._fork_server = fork_server
        self._kind = kind
        self._exit_stack = ExitStack()
        self._pypi = self._exit_stack.enter_context(serving())
        directory = Path(self._exit_stack.enter_context(TemporaryDirectory()))
        self._site = Site(directory, upstream=self._pypi.url, catalog=catalog)
        self._checker = MirrorChecker()
        self._numbers = itertools.count()
        self._bytes: dict[str, bytes] = {}
        self._selected: tuple[str, ...] = ()
        self._odd = False

    @initialize(
        everything=st.booleans(), serials=st.booleans(), legacy=st.booleans(), chosen=st.sets(names, min_size=1)
    )
    def begin(self, *, everything: bool, serials: bool, legacy: bool, chosen: set[str]) -> None:
        """Choose a policy and an upstream."""
        self._everything, self._serials = self._kind or (everything, serials)
        self._legacy = legacy
        self._clear_faults()
        self._select(chosen, grace="0m")

    # Upstream

    @rule(name=names, large=booleans, length=st.sampled_from([0, 0, 246, 247, 255]))
    def upload(self, name: str, *, large: bool, length: int) -> None:
        """Upload a wheel and a source distribution; the wheel's name may leave no room for `.metadata`."""
        if self._project(name).status is not fakepypi.Status.QUARANTINED:
            version = f"1.{next(self._numbers)}"
            if length:
                version += f"+{'b' * (length - len(f'{name}-{version}+-py3-none-any.whl'))}"
            self._project(name).upload(version, padding=300_000 if large else 0)

    @rule(name=names, index=indexes)
    def delete_file(self, name: str, index: int) -> None:
        """Delete a file."""
        if files := self._project(name).files:
            self._project(name).delete_file(files[index % len(files)].filename)

    @rule(name=names, index=indexes)
    def yank(self, name: str, index: int) -> None:
        """Yank a release, or take the yank back."""
        project = self._project(name)
        if releases := list(project.releases.values()):
            release = releases[index % len(releases)]
            (project.unyank if release.yanked else project.yank)(release.version)

    @rule(name=names)
    def quarantine(self, name: str) -> None:
        """Quarantine a project, or end its quarantine."""
        match self._project(name).status:
            case fakepypi.Status.ACTIVE:
                self._project(name).quarantine()
            case fakepypi.Status.QUARANTINED:
                self._project(name).clear_quarantine()

    @rule(name=names)
    def delete(self, name: str) -> None:
        """Delete a project."""
        if self._project(name).status is not fakepypi.Status.ABSENT:
            self._project(name).delete()

    @rule(name=names)
    def other_owner(self, name: str) -> None:
        """Recreate a project by another owner, with the same file names and other bytes."""
        project = self._project(name)
        project.releases.clear()
        project.status = fakepypi.Status.ABSENT
        longest = f"{name}-0.1+{'b' * (MAX_NAME_BYTES - len(f'{name}-0.1+.tar.gz'))}.tar.gz"
        for filename in (f"{name}-0.1.tar.gz", f"{name}-0.2.zip", longest):
            # In the same directory, where the same path would be another file's.
            self._bytes[filename] = same_directory(self._bytes.get(filename, filename.encode()))
            project.upload_file(filename, self._bytes[filename], version="0.1", replace=True)

    @rule(name=names, kind=st.sampled_from(sorted(SERIALS)), whole=booleans, times=st.integers(1, 8))
    def odd_serials(self, name: str, kind: str, *, whole: bool, times: int) -> None:
        """Send serials that are no change counter on one page or everywhere, a few times."""
        faults, self._odd = self._pypi.faults, True
        for target in (faults.on_root(), faults.on_page()) if whole else (faults.on_page(name),):
            target.edit(renumbering(SERIALS[kind])).without("X-PyPI-Last-Serial").times(times)

    @rule()
    def switch_upstream(self) -> None:
        """Point MIRROR_UPSTREAM at another index with the same projects and its own serials."""
        other = self._exit_stack.enter_context(serving())
        for name in NAMES:
            copy_project(self._project(name), other.index.project(name))
        self._pypi, self._site.upstream = other, other.url
        self._clear_faults()

    @rule(name=names, fault=st.sampled_from(sorted(FAULTS)), times=st.integers(1, 8))
    def add_fault(self, name: str, fault: str, times: int) -> None:
        """Add a fault for a few requests."""
        FAULTS[fault](self._pypi.faults, name).times(times)

    # The mirror

    @rule(chosen=st.sets(names, min_size=1), grace=st.sampled_from(["0m", "24h"]))
    def change_policy(self, chosen: set[str], grace: str) -> None:
        """Edit mirror.toml."""
        self._select(chosen, grace=grace)

    @rule()
    def sync(self) -> None:
        """Sync to the end."""
        self._run_command("sync")

    @rule(step=st.integers(1, 70))
    def crash_in_sync(self, step: int) -> None:
        """Kill a sync at some step."""
        self._run_command("sync", crash_point=CrashPoint(step=step))

    @precondition(lambda self: self._site.pages())
    @rule(step=st.integers(1, 30))
    def crash_in_verify(self, step: int) -> None:
        """Kill a repairing verify at some step."""
        self._run_command("verify", "--repair", crash_point=CrashPoint(step=step))

    @precondition(lambda self: self._site.pages())
    @rule()
    def back_up(self) -> None:
        """Copy tree and catalog as a snapshot does."""
        for directory in (self._site.data, self._site.state):
            shutil.rmtree(self._backup(directory), ignore_errors=True)
            shutil.copytree(directory, self._backup(directory))

    @precondition(lambda self: self._backup(self._site.data).exists())
    @rule()
    def restore_tree(self) -> None:
        """Restore the tree; its catalog is newer."""
        self._restore(self._site.data)
        self._run_command("sync")

    @precondition(
        lambda self: (
            self._backup(self._site.state).exists()
            and not pending_places(self._site)
            and not retired_places(self._site)
        )
    )
    @rule()
    def restore_catalog(self) -> None:
        """Restore the catalog; its tree is newer, and the catalog does not know which paths were freed since."""
        self._restore(self._site.state)
        self._checker.seen.clear()
        self._run_command("sync")

    def _restore(self, directory: Path) -> None:
        shutil.rmtree(directory)
        shutil.copytree(self._backup(directory), directory)

    def _backup(self, directory: Path) -> Path:
        return directory.with_name(f"{directory.name}.kept")

    def teardown(self) -> None:
        """End all faults: the mirror becomes equal to upstream and has nothing left to download."""
        with self._exit_stack:
            if self._selected:
                self._clear_faults()
                self._converge()

    def _converge(self) -> None:
        mirrored = NAMES if self._everything else self._selected
        known = sorted({*self._site.pages(), *(name for name in mirrored if self._exists(name))}.intersection(mirrored))
        # A serial that was too high but possible holds a page back for a day, or until an operator forces a sync.
        force = ("--force", "--confirm") if self._odd else ()
        self._run_command("sync", "--allow-removals", "9", *force)
        # A failed project waits for its retry, unless an operator names it.
        if known:
            self._run_command("sync", *known, "--allow-removals", "9")
        self._site.sql("UPDATE retired SET due_at = 1 WHERE due_at IS NOT NULL")
        self._run_command("sync", "--allow-removals", "9")
        self._pypi.log.forget()
        self._run_command("sync")
        assert downloaded(self._pypi, by=CONTACT) == set()
        there = [name for name in mirrored if self._exists(name)]
        legacy = self._legacy and not self._everything
        self._checker.check_final_state(self._site, upstream_of(self._pypi, *there) if there else {}, legacy=legacy)
        assert retired_places(self._site) == set()

    def _run_command(self, *argv: str, crash_point: CrashPoint = NO_CRASH) -> ProcessResult:
        result = self._fork_server.run(
            *argv, environment=self._site.environment(MIRROR_CONTACT=CONTACT), crash_point=crash_point
        )
        log = Path(f"{self._site.state.parent}/steps.log").read_text()
        assert result.killed or result.code in (0, 1, 3), log
        assert "Traceback" not in log, log
        self._checker.check(self._site)
        return result

    def _select(self, chosen: set[str], *, grace: str) -> None:
        self._selected = tuple(sorted(chosen))
        if self._everything:
            self._site.everything(grace=grace, guard="100%")
        else:
            self._site.select(*self._selected, grace=grace, guard="100%", legacy_json=self._legacy)

    def _clear_faults(self) -> None:
        self._pypi.faults.clear()
        if not self._serials:
            self._pypi.faults.everywhere().without_serials()

    def _project(self, name: str) -> fakepypi.Project:
        return self._pypi.index.project(name)

    def _exists(self, name: str) -> bool:
        return self._project(name).status is not fakepypi.Status.ABSENT


def renumbering(serial: Callable[[int], int]) -> Callable[[Document], None]:
    """Return an edit that gives a list or page other serials."""

    def change(document: Document) -> None:
        for part in (document["meta"], *document.get("projects", ())):
            if "_last-serial" in part:
                part["_last-serial"] = serial(part["_last-serial"])

    return change


def copy_project(project: fakepypi.Project, copy: fakepypi.Project) -> None:
    """Give another index's project the same files, yanks and status."""
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
    """Serve an empty index from a thread, since hypothesis has no event loop."""
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


def run_examples(
    fork_server: ForkServer,
    *,
    examples: int,
    steps: int,
    kind: tuple[bool, bool] | None = None,
    new_catalog: Callable[[], str] = str,
) -> None:
    """Run this many examples, the same ones each time."""
    run_state_machine_as_test(
        lambda: MirrorMachine(fork_server, kind, new_catalog()),  # type: ignore[arg-type]
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.proves("reliability/crash")
def test_random_events_in_few_examples_leave_a_correct_mirror(fork_server: ForkServer) -> None:
    """Random events, faults and crashes never show a client anything wrong, and leave a mirror equal to upstream."""
    run_examples(fork_server, examples=3, steps=10)


@pytest.mark.proves("reliability/crash")
@pytest.mark.docker
def test_random_events_leave_a_correct_mirror_on_postgresql(
    fork_server: ForkServer, postgres_server: postgres.Server
) -> None:
    """With the catalog on PostgreSQL, random events, faults and crashes leave a mirror equal to upstream."""
    run_examples(fork_server, examples=2, steps=10, new_catalog=postgres_server.new_setting)


@pytest.mark.proves("reliability/crash")
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("serials", [True, False], ids=["serials", "none"])
@pytest.mark.parametrize("everything", [True, False], ids=["everything", "selected"])
def test_random_events_in_many_examples_leave_a_correct_mirror(
    fork_server: ForkServer, *, everything: bool, serials: bool
) -> None:
    """Many long sequences of random events, faults and crashes leave each kind of mirror equal to upstream."""
    run_examples(fork_server, examples=15, steps=25, kind=(everything, serials))
