"""An adoption from beginning to end: the projects of the old tree, as a stream, into the group commit."""

import asyncio
import fcntl
import os
import signal
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import structlog
from packaging.utils import NormalizedName

from mirror_contract import RunKind, RunRequest, Trigger
from mirror_syncer.catalog import Catalog, Fact
from mirror_syncer.commands.adoption.project import ProjectAdoption
from mirror_syncer.commands.adoption.report import Report, Teller
from mirror_syncer.commands.adoption.source import FORMS, OldTree
from mirror_syncer.config import read_policy
from mirror_syncer.config.settings import Settings
from mirror_syncer.errors import MirrorError, PathError, VolumeError, VolumeInUseError
from mirror_syncer.publish.commit_group import CommitGroup
from mirror_syncer.publish.generations import Generations
from mirror_syncer.publish.project_list import ProjectList
from mirror_syncer.publish.recovery import recover
from mirror_syncer.runs import Runs
from mirror_syncer.service.assembly import open_catalog
from mirror_syncer.service.opening_checks import open_tree
from mirror_syncer.volume import Volume

log = structlog.get_logger()

# A cold disk is waited for: with so many threads it sorts its seeks. On a warm one two do as much.
_THREADS = 16
_DIRECTORIES_AT_ONCE = 64
_FILES_AT_ONCE = 50_000  # adopted and not yet committed: what memory holds, and what a crash leaves to look at


async def adopt(settings: Settings, *, source: Path | None, hashing: bool, dry_run: bool) -> Report:
    """
    Adopt a tree; the same call after an interruption, or a kill, goes on where that one stopped.

    Args:
        source: the old tree; None is the one that lies where the mirror's own is to be.

    Raises:
        ConfigurationError: settings or policy are wrong.
        VolumeError: a tree cannot be had, or the disk says no.
        MirrorError: interrupted.
    """
    policy = read_policy(settings.policy)
    old = OldTree.find(settings.data / "pypi" / "web" if source is None else source)
    in_place = _is_same(old.web, settings.data / "pypi" / "web")
    report = Report(dry_run=dry_run)
    catalog = open_catalog(settings)
    begun = catalog.recall(Fact.ADOPTING)

    def adoption_of(volume: Volume | None) -> ProjectAdoption:
        return ProjectAdoption(
            old=old,
            policy=policy,
            catalog=catalog,
            volume=volume,
            in_place=in_place,
            resumed=bool(begun),
            hashing=hashing,
        )

    try:
        with Teller(report) as teller, _still(old, in_place=in_place):
            _check_file_system(old, settings.data)
            if begun and not _is_same(Path(begun), old.web) and (Path(begun) / "simple").is_dir():
                raise MirrorError(f"the adoption of {begun} is not finished: finish it first")
            if dry_run:
                await _Adoption(old, adoption_of(None), None, teller, set()).run()
            else:
                with _take(settings, catalog, old, resumed=bool(begun)) as volume:
                    if not begun:  # else what was in hand is this adoption's, and is gone on with
                        recover(catalog=catalog, volume=volume, removal=policy.removal)
                    await _commit(old, adoption_of(volume), catalog=catalog, volume=volume, teller=teller)
                    await ProjectList(catalog=catalog, volume=volume).publish()
                    if in_place:
                        await asyncio.to_thread(_forward, old, catalog=catalog, volume=volume)
                    if (report.files_adopted or begun) and not hashing:
                        _ask_to_verify(catalog)
                    # What an attempt that broke off had in hand, and this one not: a project taken from mirror.toml.
                    recover(catalog=catalog, volume=volume, removal=policy.removal)
                    catalog.remember(Fact.ADOPTING, "")
        teller.summarize()
    finally:
        catalog.close()
    return report


class _Adoption:
    """
    The stream of projects.

    Args:
        group: where publications go; None to look only.
        in_hand: the projects that are being worked at, those in the group included.
    """

    def __init__(
        self,
        old: OldTree,
        projects: ProjectAdoption,
        group: CommitGroup | None,
        teller: Teller,
        in_hand: set[NormalizedName],
    ) -> None:
        self._old = old
        self._projects = projects
        self._group = group
        self._teller = teller
        self._in_hand = in_hand
        self._files = 0
        self._room = asyncio.Condition()
        self._slots = asyncio.Semaphore(_THREADS)
        self._stopping = False

    def stop(self) -> None:
        """Begin no other project."""
        self._stopping = True

    async def run(self) -> None:
        """
        Adopt them all.

        Raises:
            VolumeError: the disk says no; what was begun goes on in the next call.
            MirrorError: stopped.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        try:
            with ThreadPoolExecutor(_THREADS) as threads:
                async with asyncio.TaskGroup() as tasks:
                    async for name, directory in self._stream(threads):
                        await self._slots.acquire()
                        if self._stopping:
                            break
                        if name not in self._in_hand:  # in another spelling
                            self._in_hand.add(name)
                            tasks.create_task(self._adopt(name, directory, threads))
                        else:
                            self._slots.release()
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
        if self._stopping:
            raise MirrorError("interrupted; run the same command again to resume")

    async def _stream(self, threads: ThreadPoolExecutor) -> AsyncIterator[tuple[NormalizedName, Path]]:
        loop = asyncio.get_running_loop()
        primaries = (pair for pair in self._old.directories() if self._old.is_primary(*pair))
        while some := await loop.run_in_executor(threads, lambda: list(islice(primaries, _DIRECTORIES_AT_ONCE))):
            for pair in some:
                yield pair

    async def _adopt(self, name: NormalizedName, directory: Path, threads: ThreadPoolExecutor) -> None:
        held = 0
        try:
            try:
                loop = asyncio.get_running_loop()
                outcome = await loop.run_in_executor(threads, self._projects.adopt, name, directory)
                await self._make_room(outcome.files)
                held = outcome.files
                settled = None
                if self._group is not None and outcome.publication is not None:
                    settled = await self._group.submit(outcome.publication)
            finally:
                self._slots.release()
            if settled is not None:
                await settled
            self._teller.heard(outcome)
        finally:
            self._in_hand.discard(name)
            async with self._room:
                self._files -= held
                self._room.notify_all()

    async def _make_room(self, files: int) -> None:
        async with self._room:
            await self._room.wait_for(lambda: not self._files or self._files + files <= _FILES_AT_ONCE)
            self._files += files


def _take(settings: Settings, catalog: Catalog, old: OldTree, *, resumed: bool) -> Volume:
    """Take the tree, and remember that it is being adopted until that is done."""
    # Before the tree bears our marker: from then on it looks like ours.
    catalog.remember(Fact.ADOPTING, str(old.web))
    try:
        return open_tree(settings, catalog=catalog, adopting=True)
    except BaseException:
        if not resumed:
            catalog.remember(Fact.ADOPTING, "")
        raise


async def _commit(old: OldTree, projects: ProjectAdoption, *, catalog: Catalog, volume: Volume, teller: Teller) -> None:
    """Adopt into the group commit."""
    in_hand = set[NormalizedName]()
    generations = Generations(catalog=catalog, volume=volume)
    generations.accept(reconciled=generations.mismatch() is not None)
    group = CommitGroup(volume=volume, catalog=catalog, generations=generations, active_projects=lambda: len(in_hand))
    adoption = _Adoption(old, projects, group, teller, in_hand)
    committer = asyncio.create_task(group.run())
    try:
        await adoption.run()
    finally:
        committer.cancel()
        await asyncio.gather(committer, return_exceptions=True)


def _forward(old: OldTree, *, catalog: Catalog, volume: Volume) -> None:
    """
    Let pages' other names lead to the pages that are ours now: ``index.v1_html``, ``simple/f/foo``, ``simple/Foo``.

    The old web server's configuration may still show them; as they are, they name files that leave after their grace.
    """
    for name, directory in old.directories():
        for form in FORMS:
            if directory == volume.page_directory(name) and form != "index.v1_html":
                continue
            if os.path.lexists(directory / form):
                row = catalog.projects.get(name)
                if row is not None and row.published:
                    try:
                        volume.forward(directory, form, name=name)
                    except PathError as error:
                        log.warning("an old name of a page does not redirect to the new one", why=str(error))
    if os.path.lexists(old.simple / "index.v1_html"):
        volume.forward(old.simple, "index.v1_html", name=None)


def _ask_to_verify(catalog: Catalog) -> None:
    """Queue a verify with repair: it hashes all files and downloads wrong ones again when the service is idle."""
    runs = Runs(catalog)
    runs.restore()
    runs.request(RunRequest(kind=RunKind.VERIFY, repair=True), trigger=Trigger.CLI)
    log.info("a verify with repair is queued; the service runs it when it starts")


@contextmanager
def _still(old: OldTree, *, in_place: bool) -> Iterator[None]:
    """Hold the lock of an old tree that has one: neither a syncer like this one nor bandersnatch writes meanwhile."""
    lock = -1
    if not in_place:  # else it is the volume's own
        with suppress(OSError):
            lock = os.open(old.web.parent / ".lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if lock >= 0:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                raise VolumeInUseError(f"a syncer writes to {old.web}. Stop that one first") from None
        yield
    finally:
        if lock >= 0:
            os.close(lock)


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _check_file_system(old: OldTree, data: Path) -> None:
    """Raise where hard links cannot reach; two mounts of one file system show only when a link is tried."""
    packages = old.web / "packages"
    devices = {path.stat().st_dev for path in (packages, data) if path.is_dir()}
    if len(devices) > 1:
        raise VolumeError(
            f"{old.web} and MIRROR_DATA ({data}) are on two file systems, which hard links cannot cross: "
            "point MIRROR_DATA to a directory on the old tree's disk, or copy the old tree to the new disk first"
        )
