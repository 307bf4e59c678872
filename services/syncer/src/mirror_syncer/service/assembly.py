"""How the parts are put together, once, for the service and for the command line."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version

import structlog

from mirror_contract import Run, RunKind, RunState
from mirror_syncer.catalog import Catalog
from mirror_syncer.config import PolicySource
from mirror_syncer.config.settings import Settings
from mirror_syncer.errors import ConfigurationError, VolumeError
from mirror_syncer.metrics import COMPLETE, ENDED, Metrics, Snapshot
from mirror_syncer.publish.commit_group import CommitGroup
from mirror_syncer.publish.generations import Generations
from mirror_syncer.publish.project_list import ProjectList
from mirror_syncer.publish.reconciliation import Reconciliation
from mirror_syncer.publish.recovery import recover, recover_project
from mirror_syncer.runs import Runs
from mirror_syncer.runs.clock import Clock
from mirror_syncer.runs.collection import Collection
from mirror_syncer.runs.dispatcher import Dispatcher
from mirror_syncer.runs.engine import Engine
from mirror_syncer.runs.feed import Feed
from mirror_syncer.runs.queue import WorkQueue
from mirror_syncer.runs.sync import WholeIndexSync
from mirror_syncer.runs.sync.guard import RecentRemovals
from mirror_syncer.runs.sync.recheck import Recheck
from mirror_syncer.runs.sync.selection import SelectionSync
from mirror_syncer.runs.upstream_change import note_upstream
from mirror_syncer.runs.verify.orphans import Orphans
from mirror_syncer.runs.verify.verifier import Verifier
from mirror_syncer.service.opening_checks import open_tree
from mirror_syncer.service.status_file import StatusFile
from mirror_syncer.service.webhooks import Receiver, Webhooks, read_secret
from mirror_syncer.upstream import Limits, read_credentials
from mirror_syncer.upstream.http.authorities import trusted_authorities
from mirror_syncer.upstream.http.credentials import Credentials
from mirror_syncer.upstream.http.proxies import list_exposed_passwords
from mirror_syncer.volume import Volume
from mirror_syncer.work.pool import WorkerPool, open_worker_pool
from mirror_syncer.work.rate_limit import RateLimit
from mirror_syncer.work.setup import Setup
from mirror_syncer.work.transfer import STALE_WAITS

log = structlog.get_logger()

_AT_ONCE = 2  # projects a connection: while one is asked for, another is hashed, written or rendered
VERSION = version("pypi-mirror-syncer")


@dataclass(frozen=True, slots=True)
class Mirror:
    """A mirror that is open: its tree is ours, its catalog is current, its engine is ready to run."""

    settings: Settings
    policy: PolicySource
    catalog: Catalog
    volume: Volume
    runs: Runs
    worker_pool: WorkerPool
    engine: Engine
    metrics: Metrics
    status_file: StatusFile
    clock: Clock

    async def run(self) -> None:
        """
        Run the engine until it is stopped, and keep ``status.json`` current meanwhile; see ``Engine.run``.

        Cancelled, it leaves what ``Engine.run`` leaves.
        """
        async with self.status_file.kept_current():
            await self.engine.run()


def user_agent(settings: Settings) -> str:
    """Return how the mirror introduces itself to upstream."""
    return f"pypi-mirror/{VERSION}" + (f" (+{settings.contact})" if settings.contact else "")


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
    policy = PolicySource(settings.policy, state=settings.state)
    credentials = read_credentials(settings.upstream_netrc, upstream=settings.upstream)
    if credentials is not None and credentials.sent_in_clear:
        log.warning("user and password go in clear: MIRROR_UPSTREAM is not https", upstream=settings.upstream)
    for variable in list_exposed_passwords():
        log.warning("docker inspect shows the proxy's password; MIRROR_UPSTREAM_NETRC keeps it", variable=variable)
    catalog = open_catalog(settings)
    try:
        with open_tree(settings, catalog=catalog) as volume:
            note_upstream(catalog, settings.upstream)
            clock = Clock(catalog)
            clock.begin()
            if broken_off := recover(catalog=catalog, volume=volume, removal=policy.current.removal):
                log.info("recovered", projects=broken_off)
            runs = Runs(catalog)
            queue = WorkQueue()
            metrics = Metrics(version=VERSION, snapshot=lambda: _snapshot(policy, catalog, volume, runs, queue))
            for ended in _last_of_each(catalog):
                metrics.show_run(ended)
            setup = Setup(
                root=settings.data,
                reserve=settings.disk_reserve,
                upstream=settings.upstream,
                user_agent=user_agent(settings),
                hosts=settings.hosts,
                connections=settings.connections,
                files_at_once=settings.connections,
                ca_file=settings.ca_file,
                without_hash=settings.without_hash,
                bandwidth=settings.bandwidth,
                credentials=credentials,
                limits=limits or Limits(),
                stale_waits=stale_waits,
                log_level=settings.log_level,
                log_format=settings.log_format,
            )
            async with open_worker_pool(
                setup, workers=settings.worker_count, catalog=catalog, volume=volume, observations=metrics
            ) as worker_pool:
                project_list = ProjectList(catalog=catalog, volume=volume)
                generations = Generations(catalog=catalog, volume=volume)
                group = CommitGroup(
                    volume=volume, catalog=catalog, generations=generations, active_projects=queue.in_hand
                )
                reconciliation = Reconciliation(
                    catalog=catalog, volume=volume, generations=generations, project_list=project_list
                )
                verifier = Verifier(
                    catalog=catalog,
                    worker_pool=worker_pool,
                    queue=queue,
                    metrics=metrics,
                    project_list=project_list,
                    orphans=Orphans(
                        catalog=catalog,
                        volume=volume,
                        removal=lambda: policy.current.removal,
                        scratch=settings.state / "orphans",
                        rate_limit=RateLimit(settings.verify_bandwidth),
                    ),
                    bandwidth=settings.verify_bandwidth,
                )
                dispatcher = Dispatcher(
                    policy=policy,
                    catalog=catalog,
                    volume=volume,
                    runs=runs,
                    queue=queue,
                    worker_pool=worker_pool,
                    group=group,
                    metrics=metrics,
                    project_list=project_list,
                    verifier=verifier,
                    generations=generations,
                    recover=lambda name: recover_project(
                        name, catalog=catalog, volume=volume, removal=policy.current.removal
                    ),
                    at_once=_AT_ONCE * settings.connections,
                )
                status_file = StatusFile(
                    upstream=settings.upstream,
                    version=VERSION,
                    policy=policy,
                    catalog=catalog,
                    volume=volume,
                    runs=runs,
                )
                taken = RecentRemovals(catalog)
                feed = Feed(queue)
                collection = Collection(
                    catalog=catalog,
                    clock=clock,
                    feed=feed,
                    grace=lambda: int(policy.current.removal.grace.total_seconds()),
                )
                engine = Engine(
                    policy=policy,
                    catalog=catalog,
                    volume=volume,
                    runs=runs,
                    queue=queue,
                    dispatcher=dispatcher,
                    group=group,
                    project_list=project_list,
                    verifier=verifier,
                    metrics=metrics,
                    selected=SelectionSync(
                        policy=policy,
                        catalog=catalog,
                        feed=feed,
                        project_list=project_list,
                        collection=collection,
                        volume=volume,
                        taken=taken,
                        metrics=metrics,
                    ),
                    everything=WholeIndexSync(
                        origin=settings.upstream,
                        directory=settings.state,
                        policy=policy,
                        catalog=catalog,
                        index=worker_pool.index,
                        queue=queue,
                        feed=feed,
                        project_list=project_list,
                        collection=collection,
                        volume=volume,
                        taken=taken,
                        metrics=metrics,
                    ),
                    collection=collection,
                    reconciliation=reconciliation,
                    clock=clock,
                    recheck=Recheck(policy=policy, catalog=catalog, runs=runs, queue=queue),
                )
                async with _webhooks(settings, catalog=catalog, runs=runs, credentials=credentials, metrics=metrics):
                    yield Mirror(
                        settings, policy, catalog, volume, runs, worker_pool, engine, metrics, status_file, clock
                    )
    finally:
        catalog.close()


def _last_of_each(catalog: Catalog) -> Iterator[Run]:
    """Yield the whole runs that an earlier process ended and metrics tell of, of each kind the last to end last."""
    for kind in RunKind:
        for states in ((RunState.SUCCEEDED,), COMPLETE, ENDED):
            yield from catalog.runs.page(states=states, kind=kind, whole=True, limit=1)


@asynccontextmanager
async def _webhooks(
    settings: Settings, *, catalog: Catalog, runs: Runs, credentials: Credentials | None, metrics: Metrics
) -> AsyncIterator[None]:
    """Send word of each run that ends within the block, or of which none got through before, where anybody wants it."""
    if settings.webhook_url is None:
        yield
        return
    secret = read_secret(settings.webhook_secret_file)
    with trusted_authorities(settings.ca_file) as trusted:
        receiver = Receiver(settings.webhook_url, secret, trusted, credentials)
        webhooks = Webhooks(receiver, messages=catalog.messages, count=metrics.count_webhook)
        catalog.runs.notifies_webhook = True
        runs.tell(webhooks.tell)
        async with webhooks.sending():
            yield


def _snapshot(policy: PolicySource, catalog: Catalog, volume: Volume, runs: Runs, queue: WorkQueue) -> Snapshot:
    totals = catalog.projects.totals()
    serials = catalog.serials() if policy.current.everything else None
    try:
        disk = volume.disk()
    except VolumeError:  # a disk that went away is told by every run; it takes no other number with it
        disk = None
    return Snapshot(
        projects=totals.projects,
        files=totals.files,
        stored_bytes=totals.stored_bytes,
        serial=serials and serials[0],
        upstream_serial=serials and serials[1],
        news_at=catalog.news_at() or 0,
        queue=queue.depth(),
        running=frozenset(run.request.kind for run in runs.running()),
        disk=disk,
        policy_valid=policy.error is None,
    )
