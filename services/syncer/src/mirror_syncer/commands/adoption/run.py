"""The run of an adoption: streams the old tree's projects into the group commit."""

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
from mirror_syncer.commands.adoption.report import Report, Reporter
from mirror_syncer.commands.adoption.source import FORMS, OldTree
from mirror_syncer.config.mirror_toml.added_lines import with_added_lines
from mirror_syncer.config.mirror_toml.file import read_policy
from mirror_syncer.config.settings import Settings
from mirror_syncer.errors import MirrorError, PathError, VolumeError, VolumeInUseError
from mirror_syncer.publish.commit_group import CommitGroup
from mirror_syncer.publish.generations import Generations
from mirror_syncer.publish.project_list import ProjectList
from mirror_syncer.publish.recovery import recover
from mirror_syncer.runs import Runs
from mirror_syncer.service.assembly import open_catalog
from mirror_syncer.service.opening_checks import open_directory
from mirror_syncer.volume import Volume

log = structlog.get_logger()

# With many threads a disk can sort its seeks. If the page cache is warm, two threads are as fast.
_THREAD_COUNT = 16
_DIRECTORIES_PER_BATCH = 64
_MAX_UNCOMMITTED_FILES = 50_000  # bounds memory, and the work of a recovery after a crash


async def adopt(settings: Settings, *, source: Path | None, hashing: bool, dry_run: bool) -> Report:
    """
    Adopt a tree; after an interruption or a kill, the same call resumes.

    Args:
        source: the old tree; None: the tree at MIRROR_DATA.

    Raises:
        ConfigurationError: settings or policy are wrong.
        VolumeError: a tree is missing or in use, or the disk failed.
        MirrorError: interrupted.
    """
    if not isinstance(settings.data, Path):
        raise MirrorError(
            f"a tree cannot be adopted into a bucket ({settings.data}), which has no hard links: point MIRROR_DATA to "
            "a directory to adopt it there, or let a sync download into the bucket"
        )
    of_file = read_policy(settings.policy)
    root = settings.data
    old = OldTree.find(root / "pypi" / "web" if source is None else source)
    in_place = _is_same_directory(old.web, root / "pypi" / "web")
    report = Report(dry_run=dry_run)
    catalog = open_catalog(settings)
    policy = with_added_lines(of_file, catalog.added_lines.in_force())
    unfinished = catalog.recall(Fact.ADOPTING)

    def make_adoption(volume: Volume | None) -> ProjectAdoption:
        return ProjectAdoption(
            old=old,
            policy=policy,
            catalog=catalog,
            volume=volume,
            in_place=in_place,
            resumed=bool(unfinished),
            hashing=hashing,
        )

    try:
        with Reporter(report) as reporter, _lock_old_tree(old, in_place=in_place):
            _check_file_system(old, root)
            if (
                unfinished
                and not _is_same_directory(Path(unfinished), old.web)
                and (Path(unfinished) / "simple").is_dir()
            ):
                raise MirrorError(f"the adoption of {unfinished} is not finished; finish it first")
            if dry_run:
                await _Adoption(old, make_adoption(None), None, reporter, set()).run()
            else:
                with _open_volume(root, settings, catalog, old, resumed=bool(unfinished)) as volume:
                    if not unfinished:  # otherwise the pending intents belong to this adoption, which resumes them
                        recover(catalog=catalog, volume=volume, removal=policy.removal)
                    await _commit(old, make_adoption(volume), catalog=catalog, volume=volume, reporter=reporter)
                    await ProjectList(catalog=catalog, volume=volume).publish()
                    if in_place:
                        await asyncio.to_thread(_redirect_old_pages, old, catalog=catalog, volume=volume)
                    if (report.files_adopted or unfinished) and not hashing:
                        _queue_verify(catalog)
                    # Intents of an interrupted attempt whose project has since left mirror.toml.
                    recover(catalog=catalog, volume=volume, removal=policy.removal)
                    catalog.remember(Fact.ADOPTING, "")
        reporter.summarize()
    finally:
        catalog.close()
    return report


class _Adoption:
    """
    The adoption of all projects, many at once.

    Args:
        group: commits the publications; None for a dry run.
        active: the projects in work, including those in the group.
    """

    def __init__(
        self,
        old: OldTree,
        projects: ProjectAdoption,
        group: CommitGroup | None,
        reporter: Reporter,
        active: set[NormalizedName],
    ) -> None:
        self._old = old
        self._projects = projects
        self._group = group
        self._reporter = reporter
        self._active = active
        self._uncommitted_files = 0
        self._capacity = asyncio.Condition()
        self._slots = asyncio.Semaphore(_THREAD_COUNT)
        self._stopping = False

    def stop(self) -> None:
        """Start no further project."""
        self._stopping = True

    async def run(self) -> None:
        """
        Adopt all projects.

        Raises:
            VolumeError: the disk failed; the next call resumes.
            MirrorError: it was stopped.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        try:
            with ThreadPoolExecutor(_THREAD_COUNT) as threads:
                async with asyncio.TaskGroup() as tasks:
                    async for name, directory in self._list_projects(threads):
                        await self._slots.acquire()
                        if self._stopping:
                            break
                        if name not in self._active:  # otherwise another spelling of it is active
                            self._active.add(name)
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

    async def _list_projects(self, threads: ThreadPoolExecutor) -> AsyncIterator[tuple[NormalizedName, Path]]:
        loop = asyncio.get_running_loop()
        primaries = (pair for pair in self._old.directories() if self._old.is_primary(*pair))
        while batch := await loop.run_in_executor(threads, lambda: list(islice(primaries, _DIRECTORIES_PER_BATCH))):
            for pair in batch:
                yield pair

    async def _adopt(self, name: NormalizedName, directory: Path, threads: ThreadPoolExecutor) -> None:
        reserved = 0
        try:
            try:
                loop = asyncio.get_running_loop()
                outcome = await loop.run_in_executor(threads, self._projects.adopt, name, directory)
                await self._reserve_capacity(outcome.files)
                reserved = outcome.files
                settled = None
                if self._group is not None and outcome.publication is not None:
                    settled = await self._group.submit(outcome.publication)
            finally:
                self._slots.release()
            if settled is not None:
                await settled
            self._reporter.record(outcome)
        finally:
            self._active.discard(name)
            async with self._capacity:
                self._uncommitted_files -= reserved
                self._capacity.notify_all()

    async def _reserve_capacity(self, files: int) -> None:
        async with self._capacity:
            await self._capacity.wait_for(
                lambda: not self._uncommitted_files or self._uncommitted_files + files <= _MAX_UNCOMMITTED_FILES
            )
            self._uncommitted_files += files


def _open_volume(root: Path, settings: Settings, catalog: Catalog, old: OldTree, *, resumed: bool) -> Volume:
    """Open the mirror's tree, and record in the catalog that its adoption has begun."""
    # Recorded before the tree gets our marker, which makes it look like our own.
    catalog.remember(Fact.ADOPTING, str(old.web))
    try:
        return open_directory(root, settings, catalog=catalog, adopting=True)
    except BaseException:
        if not resumed:
            catalog.remember(Fact.ADOPTING, "")
        raise


async def _commit(
    old: OldTree, projects: ProjectAdoption, *, catalog: Catalog, volume: Volume, reporter: Reporter
) -> None:
    """Adopt all projects, and commit them in groups."""
    active = set[NormalizedName]()
    generations = Generations(catalog=catalog, volume=volume)
    generations.accept(reconciled=generations.mismatch() is not None)
    group = CommitGroup(volume=volume, catalog=catalog, generations=generations, active_projects=lambda: len(active))
    adoption = _Adoption(old, projects, group, reporter, active)
    committer = asyncio.create_task(group.run())
    try:
        await adoption.run()
    finally:
        committer.cancel()
        await asyncio.gather(committer, return_exceptions=True)


def _redirect_old_pages(old: OldTree, *, catalog: Catalog, volume: Volume) -> None:
    """
    Redirect the other names of pages to the adopted pages: ``index.v1_html``, ``simple/f/foo``, ``simple/Foo``.

    The old web server's configuration may still serve them; unchanged, they would name files that soon leave.
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
                        log.warning("cannot redirect an old page to the new one", why=str(error))
    if os.path.lexists(old.simple / "index.v1_html"):
        volume.forward(old.simple, "index.v1_html", name=None)


def _queue_verify(catalog: Catalog) -> None:
    """Queue a verify with repair, which hashes all files and downloads wrong ones again."""
    runs = Runs(catalog)
    runs.restore()
    runs.request(RunRequest(kind=RunKind.VERIFY, repair=True), trigger=Trigger.CLI)
    log.info("a verify with repair is queued; the service runs it when it starts")


@contextmanager
def _lock_old_tree(old: OldTree, *, in_place: bool) -> Iterator[None]:
    """Lock an old tree that has a lock file, so that neither bandersnatch nor another syncer writes to it."""
    lock = -1
    if not in_place:  # otherwise the volume holds it
        with suppress(OSError):
            lock = os.open(old.web.parent / ".lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if lock >= 0:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                raise VolumeInUseError(f"another syncer writes to {old.web}; stop it first") from None
        yield
    finally:
        if lock >= 0:
            os.close(lock)


def _is_same_directory(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _check_file_system(old: OldTree, data: Path) -> None:
    """Raise if hard links are impossible; two mounts of one file system fail only when a file is linked."""
    packages = old.web / "packages"
    devices = {path.stat().st_dev for path in (packages, data) if path.is_dir()}
    if len(devices) > 1:
        raise VolumeError(
            f"{old.web} and MIRROR_DATA ({data}) are on different file systems, so hard links are impossible; "
            "point MIRROR_DATA to the old tree's disk, or copy the old tree to the new disk first"
        )
