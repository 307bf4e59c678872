"""The assembly: puts the parts of a mirror together, for the service and for the command line."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from mirror_syncer.catalog import Catalog
from mirror_syncer.config.mirror_toml.source import PolicySource
from mirror_syncer.config.settings import VERSION, Settings
from mirror_syncer.errors import ConfigurationError
from mirror_syncer.metrics import Metrics
from mirror_syncer.publish.commit_group import CommitGroup
from mirror_syncer.publish.generations import Generations
from mirror_syncer.publish.project_list import ProjectList
from mirror_syncer.publish.recovery import recover
from mirror_syncer.runs import Runs
from mirror_syncer.runs.clock import Clock
from mirror_syncer.runs.context import RunContext
from mirror_syncer.runs.engine import Engine
from mirror_syncer.runs.queue import WorkQueue
from mirror_syncer.runs.task_feed import Feed
from mirror_syncer.runs.upstream_change import note_upstream
from mirror_syncer.service.closure_facts import ClosureReader
from mirror_syncer.service.opening_checks import open_tree, warn_of_exposed_passwords
from mirror_syncer.service.snapshot import show_last_runs, take_snapshot
from mirror_syncer.service.status_file import StatusFile
from mirror_syncer.service.webhooks import sending_webhooks
from mirror_syncer.upstream import ClientOptions, Limits
from mirror_syncer.volume import AnyVolume
from mirror_syncer.work.pool import WorkerPool, open_worker_pool
from mirror_syncer.work.setup import WorkerSetup
from mirror_syncer.work.transfer import STALE_WAITS

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Mirror:
    """An open mirror: the tree is locked, the catalog is up to date, the engine is ready to run."""

    settings: Settings
    policy: PolicySource
    catalog: Catalog
    volume: AnyVolume
    runs: Runs
    worker_pool: WorkerPool
    metrics: Metrics
    engine: Engine
    status_file: StatusFile
    clock: Clock
    closure: ClosureReader

    async def run(self) -> None:
        """Run the engine until it is stopped, and keep ``status.json`` up to date; see ``Engine.run``."""
        async with self.status_file.kept_current():
            await self.engine.run()


def open_catalog(settings: Settings) -> Catalog:
    """
    Open the catalog.

    Raises:
        ConfigurationError: its directory is missing, or it cannot be opened.
        StateError: its disk failed, or its server does not answer.
    """
    if not settings.state.is_dir():
        raise ConfigurationError(".env", [f"MIRROR_STATE = {str(settings.state)!r}: no such directory; create it"])
    return Catalog.of_settings(settings)


@asynccontextmanager
async def open_mirror(
    settings: Settings, *, limits: Limits | None = None, stale_waits: tuple[float, ...] = STALE_WAITS
) -> AsyncIterator[Mirror]:
    """
    Lock the tree, recover what an interrupted process left, and put the parts together.

    Raises:
        ConfigurationError: settings or policy are wrong.
        VolumeError: the tree cannot be locked or used; another syncer may hold it.
    """
    policy = PolicySource(settings.policy, state=settings.state)
    client = settings.client_options(limits=limits)
    warn_of_exposed_passwords(client, upstream=settings.upstream)
    catalog = open_catalog(settings)
    try:
        policy.add(catalog.added_lines.in_force())
        policy.release(catalog.exemptions.released(now=int(time.time())))
        policy.follow(catalog.closures.in_force())
        with open_tree(settings, catalog=catalog) as volume:
            note_upstream(catalog, settings.upstream)
            clock = Clock(catalog)
            clock.start()
            if recovered := recover(catalog=catalog, volume=volume, removal=policy.current.removal):
                log.info("recovered", projects=recovered)
            closure = ClosureReader(policy, catalog)
            metrics = Metrics(version=VERSION, snapshot=lambda: take_snapshot(context, closure.facts))
            show_last_runs(metrics, catalog)
            setup = _worker_setup(settings, client=client, stale_waits=stale_waits)
            async with open_worker_pool(
                setup, workers=settings.worker_count, catalog=catalog, volume=volume, observations=metrics
            ) as worker_pool:
                queue, generations = WorkQueue(), Generations(catalog=catalog, volume=volume)
                context = RunContext(
                    settings=settings,
                    policy=policy,
                    catalog=catalog,
                    volume=volume,
                    metrics=metrics,
                    clock=clock,
                    runs=Runs(catalog),
                    queue=queue,
                    feed=Feed(queue),
                    worker_pool=worker_pool,
                    project_list=ProjectList(catalog=catalog, volume=volume),
                    generations=generations,
                    commit_group=CommitGroup(
                        volume=volume, catalog=catalog, generations=generations, active_projects=queue.active_count
                    ),
                )
                async with sending_webhooks(context, client):
                    yield Mirror(
                        settings,
                        policy,
                        catalog,
                        volume,
                        context.runs,
                        worker_pool,
                        metrics,
                        Engine(context),
                        StatusFile(context),
                        clock,
                        closure,
                    )
    finally:
        catalog.close()


def _worker_setup(settings: Settings, *, client: ClientOptions, stale_waits: tuple[float, ...]) -> WorkerSetup:
    """Return the setup of all workers together; here, since a worker process should not import settings: 0.06 s."""
    return WorkerSetup(
        # Only this process writes to a bucket, and no worker process is started.
        root=settings.data if isinstance(settings.data, Path) else settings.scratch,
        reserve=settings.disk_reserve,
        upstream=settings.upstream,
        client=client,
        files_at_once=settings.connections,
        without_hash=settings.without_hash,
        stale_waits=stale_waits,
        log_level=settings.log_level,
        log_format=settings.log_format,
    )
