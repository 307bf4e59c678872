"""How the parts are put together, once, for the service and for the command line."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version

import structlog

from mirror_contract import RunKind
from mirror_syncer.catalog import Catalog, Pending
from mirror_syncer.engine import Engine
from mirror_syncer.errors import ConfigurationError
from mirror_syncer.everything import Everything
from mirror_syncer.metrics import Metrics, Snapshot
from mirror_syncer.names import PackagePath
from mirror_syncer.policy import PolicySource
from mirror_syncer.publish import CommitGroup, ProjectList
from mirror_syncer.recheck import Recheck
from mirror_syncer.recovery import rebuild, recover, recover_project
from mirror_syncer.runs import Runs
from mirror_syncer.settings import Settings
from mirror_syncer.transfer import STALE_WAITS, FileTransfer, Transfer
from mirror_syncer.upstream import Budget, Client, Index, Limits
from mirror_syncer.volume import Volume
from mirror_syncer.workers import Workers
from mirror_syncer.workqueue import WorkQueue

log = structlog.get_logger()

VERSION = version("pypi-mirror-syncer")


@dataclass(frozen=True, slots=True)
class Mirror:
    """A mirror that is open: its tree is ours, its catalog is current, its engine is ready to run."""

    settings: Settings
    policy: PolicySource
    catalog: Catalog
    volume: Volume
    runs: Runs
    engine: Engine
    metrics: Metrics


def open_catalog(settings: Settings) -> Catalog:
    """
    Open the catalog.

    Raises:
        ConfigurationError: its directory is missing, or it cannot be opened.
    """
    if not settings.state.is_dir():
        raise ConfigurationError(".env", [f"MIRROR_STATE = {str(settings.state)!r}: no such directory; create it"])
    return Catalog.in_directory(settings.state)


@asynccontextmanager
async def open_mirror(
    settings: Settings,
    *,
    limits: Limits | None = None,
    stale_waits: tuple[float, ...] = STALE_WAITS,
) -> AsyncIterator[Mirror]:
    """
    Take the tree, recover from what broke off, and put everything together.

    Raises:
        ConfigurationError: settings or policy are wrong.
        VolumeError: the tree cannot be had; another syncer may hold it.
    """
    policy = PolicySource(settings.policy)
    catalog = open_catalog(settings)
    try:
        known = bool(catalog.projects.page(limit=1))
        with Volume(settings.data, mirror_id=catalog.mirror_id, known=known, reserve=settings.disk_reserve) as volume:
            if not volume.durability.by_group:
                log.warning("each file is synced by itself", file_system=volume.durability.file_system)
            if volume.mirror_id != catalog.mirror_id:
                projects = rebuild(catalog=catalog, volume=volume)
                log.warning("the catalog was lost, and is made anew from the pages", projects=projects)
            if broken_off := recover(catalog=catalog, volume=volume, removal=policy.current.removal):
                log.info("recovered", projects=broken_off)
            runs = Runs(catalog)
            queue = WorkQueue()
            metrics = Metrics(version=VERSION, snapshot=lambda: _snapshot(policy, catalog, volume, runs, queue))
            for kind in RunKind:
                for ended in reversed(catalog.runs.page(kind=kind, whole=True, limit=20)):
                    metrics.show_run(ended)
            async with Client(
                user_agent=f"pypi-mirror/{VERSION} (+{settings.contact or 'https://pypi.org/project/pypi-mirror'})",
                budget=Budget(settings.connections),
                hosts=settings.hosts,
                limits=limits,
                ca_file=settings.ca_file,
                on_request=metrics.observe_request,
                on_retry=metrics.count_retry,
            ) as client:

                async def intend(intents: Sequence[Pending]) -> set[PackagePath]:
                    return await asyncio.to_thread(catalog.files.intend, intents)

                index = Index(settings.upstream, client=client)
                project_list = ProjectList(catalog=catalog, volume=volume)
                group = CommitGroup(volume=volume, catalog=catalog, in_hand=queue.in_hand)
                workers = Workers(
                    catalog=catalog,
                    volume=volume,
                    runs=runs,
                    queue=queue,
                    transfer=Transfer(
                        policy=policy,
                        index=index,
                        volume=volume,
                        files=FileTransfer(index=index, volume=volume, intend=intend, at_once=settings.connections),
                        intend=intend,
                        kept=catalog.projects.kept,
                        stale_waits=stale_waits,
                    ),
                    group=group,
                    metrics=metrics,
                    project_list=project_list,
                    recover=lambda name: recover_project(
                        name, catalog=catalog, volume=volume, removal=policy.current.removal
                    ),
                    at_once=settings.connections,
                )
                engine = Engine(
                    policy=policy,
                    catalog=catalog,
                    volume=volume,
                    runs=runs,
                    queue=queue,
                    workers=workers,
                    group=group,
                    project_list=project_list,
                    metrics=metrics,
                    everything=Everything(
                        origin=settings.upstream,
                        directory=settings.state,
                        policy=policy,
                        catalog=catalog,
                        index=index,
                        queue=queue,
                        project_list=project_list,
                        metrics=metrics,
                    ),
                    recheck=Recheck(policy=policy, catalog=catalog, runs=runs, queue=queue),
                )
                yield Mirror(settings, policy, catalog, volume, runs, engine, metrics)
    finally:
        catalog.close()


def _snapshot(policy: PolicySource, catalog: Catalog, volume: Volume, runs: Runs, queue: WorkQueue) -> Snapshot:
    totals = catalog.projects.totals()
    serials = catalog.serials() if policy.current.everything else None
    return Snapshot(
        projects=totals.projects,
        files=totals.files,
        stored_bytes=totals.stored_bytes,
        serial=serials and serials[0],
        upstream_serial=serials and serials[1],
        queue=queue.depth(),
        running=frozenset(run.request.kind for run in runs.running()),
        disk=volume.disk(),
    )
