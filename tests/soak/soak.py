"""The soak: changes, faults, kills, clients and samples all at once, then a final sync without faults."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import fakepypi
from fakepypi import FakePyPI, Status
from mirror_syncer.catalog import Catalog
from soak import comparison, faults
from soak.changes import Changes
from soak.clients import Clients
from soak.outcome import Outcome
from soak.propagation import Propagation
from soak.rates import pypi_times
from soak.samples import Sampler
from soak.service import Service
from syncer.site import Site

FACTOR = 50
_CLIENTS = 3
_SYNC_EVERY_SECONDS = 5.0  # from the end of one run to the next request
_SETTLE_SECONDS = 5.0
_GRACE_SECONDS = 60  # the shortest that mirror.toml allows
_RECHECK_SECONDS = 120  # a round of the re-check, and its pause before the next


class Kill(StrEnum):
    """How a process is stopped."""

    STOP = "the syncer is stopped and started"
    KILL = "the syncer is killed and started"
    WORKER = "a worker is killed"


# At which shares of the time. In the second half nothing is killed, so growth there is not a restart's.
_KILLS = {0.03: Kill.WORKER, 0.08: Kill.STOP, 0.14: Kill.KILL} | dict.fromkeys((0.18, 0.22, 0.26, 0.3), Kill.WORKER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Duration, size and seed."""

    minutes: float
    projects: int
    """The initial number of projects."""
    seed: int

    @property
    def seconds(self) -> float:
        """The duration in seconds."""
        return self.minutes * 60

    @property
    def recheck_seconds(self) -> int:
        """The shortened week of the re-check."""
        return round(min(300, self.seconds / 2))


async def soak(directory: Path, options: Options, *, report: Callable[[str], None]) -> Outcome:
    """
    Run a soak, and return its observations.

    Args:
        directory: an empty directory for the mirror's tree, catalog and log.
        report: reports the progress.
    """
    async with fakepypi.serve(fakepypi.Index(seed=options.seed)) as pypi:
        site = Site(directory, upstream=pypi.url)
        site.everything(grace=f"{_GRACE_SECONDS // 60}m", guard="100%")  # a month's removals in a day
        service = Service(site, directory, recheck_seconds=options.recheck_seconds)
        try:
            return await _Soak(options, pypi, site, service, report=report).run()
        finally:
            await service.kill()


class _Soak:
    """All participants."""

    def __init__(
        self, options: Options, pypi: FakePyPI, site: Site, service: Service, *, report: Callable[[str], None]
    ) -> None:
        self._options = options
        self._pypi = pypi
        self._site = site
        self._service = service
        self._report = report
        self._sampler = Sampler(service, site)
        self._changes = Changes(pypi.index, seed=options.seed)
        self._propagation = Propagation(site.web, pypi.index)
        self._clients = Clients(site.web, any_name=self._changes.any_name)
        self._began = 0.0

    async def run(self) -> Outcome:
        """Run all phases."""
        options, service = self._options, self._service
        self._report(f"a first sync of {options.projects:,} projects")
        self._changes.populate(options.projects)
        await service.start()
        await service.ask("sync")
        outcome = Outcome(
            minutes=options.minutes,
            projects=options.projects,
            seed=options.seed,
            rates=pypi_times(FACTOR),
            before=await self._sampler.sample_at_rest(),
        )
        self._report(f"{outcome.rates.changes:.0f} changes a minute, for {options.minutes:g} minutes")
        async with _background(self._propagation.run(), *(self._clients.run() for _ in range(_CLIENTS))):
            await self._load(outcome)
            self._report("no more changes, no more faults")
            await self._settle(outcome)
        outcome.after = await self._sampler.sample_at_rest()
        outcome.exits.append(await service.stop())
        self._sum_up(outcome)
        return outcome

    async def _load(self, outcome: Outcome) -> None:
        """Run everything at once."""
        seconds = self._options.seconds
        faults.add_faults(self._pypi.faults, seed=self._options.seed)
        self._changes.on_change = self._propagation.expect
        self._began = time.monotonic()
        async with _background(self._changes.run(outcome.rates), self._sample(outcome)):
            await asyncio.gather(
                self._repeat("sync", outcome, every=_SYNC_EVERY_SECONDS),
                self._repeat("verify", outcome, every=seconds / 15),
                self._repeat("collect", outcome, every=seconds / 30),
                self._kills(outcome),
            )
        outcome.faults = sum(rule.met for rule in self._pypi.faults.rules)
        self._pypi.faults.clear()

    async def _repeat(self, kind: str, outcome: Outcome, *, every: float) -> None:
        """Request a run, again and again."""
        ends = self._began + self._options.seconds
        while (left := ends - time.monotonic()) > 0:
            await asyncio.sleep(min(every, left))
            run = await self._service.ask(kind)
            outcome.runs[f"{kind} {run['state']}"] += 1

    async def _kills(self, outcome: Outcome) -> None:
        """Stop and kill processes at their times."""
        for share, kill in sorted(_KILLS.items()):
            await asyncio.sleep(max(0.0, self._began + share * self._options.seconds - time.monotonic()))
            self._report(kill)
            match kill:
                case Kill.STOP:
                    outcome.exits.append(await self._service.stop())
                    await self._service.start()
                case Kill.KILL:
                    await self._service.kill()
                    await self._service.start()
                case Kill.WORKER:
                    self._service.kill_workers()

    async def _sample(self, outcome: Outcome) -> None:
        """Take samples until cancelled."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(max(1.0, min(5.0, self._options.seconds / 60)))
            outcome.samples.append(sample := await self._sampler.sample())
            outcome.requests += len(self._pypi.log)
            self._pypi.log.forget()
            if time.monotonic() >= last + 60:
                last += 60
                resources = " + ".join(f"{one.memory / 1e6:.0f}" for one in (sample.parent, sample.worker) if one)
                self._report(
                    f"{(last - self._began) / 60:.0f} min: {resources} MB, {self._changes.counts.total():,} changes, "
                    f"{len(self._propagation.seconds):,} visible, {self._propagation.waiting} not yet, lag {sample.lag}"
                )

    async def _settle(self, outcome: Outcome) -> None:
        """Sync until the tree equals upstream; then collect what is due, and verify."""
        began = time.monotonic()
        await self._service.ask("sync")
        # A failed project is retried after five minutes, doubled each time, or at once if it is named.
        if delayed := [name async for name in self._delayed()]:
            await self._service.ask("sync", projects=delayed)
        outcome.retried = len(delayed)
        # Only the re-check finds changes that move no serial.
        patience = self._options.recheck_seconds + _RECHECK_SECONDS
        while (differs := any(self._differences())) and time.monotonic() < began + patience:
            await asyncio.sleep(1)
            await self._service.ask("sync")
        outcome.converged = None if differs else time.monotonic() - began
        await asyncio.sleep(max(0.0, began + _GRACE_SECONDS + _SETTLE_SECONDS - time.monotonic()))
        await self._service.ask("collect")
        counts = (await self._service.ask("verify"))["counts"]
        outcome.damaged, outcome.orphaned = counts["files_damaged"], counts["files_orphaned"]

    async def _delayed(self) -> AsyncIterator[str]:
        listed = {project.name for project in self._pypi.index if project.status is not Status.QUARANTINED}
        async for name in self._service.names("failing", "partial", "behind", "withdrawn"):
            if name in listed:
                yield name

    def _differences(self) -> Iterator[str]:
        return comparison.differences(self._pypi.index, self._site)

    def _sum_up(self, outcome: Outcome) -> None:
        outcome.changes = self._changes.counts
        outcome.seen, outcome.unseen = self._propagation.seconds, self._propagation.waiting
        clients = self._clients
        outcome.looks, outcome.wrong = clients.looks, clients.wrong
        outcome.changed, outcome.lost = clients.changed, clients.lost
        outcome.differences = [*self._differences(), *comparison.damages(self._site)]
        outcome.unnamed = sorted(comparison.unnamed(self._site))
        outcome.temporaries = len(list(self._site.temporaries()))
        with closing(Catalog.in_directory(self._site.state)) as catalog:
            outcome.pending = len(catalog.files.pending())
        outcome.tracebacks = [line for line in self._service.log.read_text().splitlines() if "Traceback" in line]


@asynccontextmanager
async def _background(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do work for as long as the block lasts; if the work fails, the block ends."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in work]
        yield
        for task in tasks:
            task.cancel()
