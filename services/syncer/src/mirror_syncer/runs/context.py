"""The run context: everything that a run of any kind may use."""

import asyncio
from dataclasses import dataclass

from mirror_contract import Failure
from mirror_syncer.catalog import Catalog
from mirror_syncer.config.mirror_toml.source import PolicySource
from mirror_syncer.config.settings import Settings
from mirror_syncer.metrics import Metrics
from mirror_syncer.publish.commit_group import CommitGroup
from mirror_syncer.publish.generations import Generations
from mirror_syncer.publish.project_list import ProjectList
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.book import Runs
from mirror_syncer.runs.clock import Clock
from mirror_syncer.runs.queue import WorkQueue
from mirror_syncer.runs.task_feed import Feed
from mirror_syncer.volume import AnyVolume
from mirror_syncer.work.pool import WorkerPool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """What runs use; made once by the assembly and shared by the engine, the dispatcher and all kinds of runs."""

    settings: Settings
    policy: PolicySource
    catalog: Catalog
    volume: AnyVolume
    metrics: Metrics
    clock: Clock
    runs: Runs
    queue: WorkQueue
    feed: Feed
    worker_pool: WorkerPool
    project_list: ProjectList
    generations: Generations
    commit_group: CommitGroup

    @property
    def grace_seconds(self) -> int:
        """How long removed files stay, by the policy in force."""
        return int(self.policy.current.removal.grace.total_seconds())

    async def reload_policy(self, run: ActiveRun) -> None:
        """Apply the current ``mirror.toml``; if it is unusable, report why and keep the previous policy."""
        run.report.add(*(Failure(reason=reason) for reason in await asyncio.to_thread(self.policy.reload)))
