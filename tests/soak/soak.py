"""The soak itself: changes, faults, deaths, clients and looks, all at once, and then the calm after it."""

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
from soak import truth, weather
from soak.changes import Changes
from soak.clients import Clients
from soak.outcome import Outcome
from soak.rates import pypi_times
from soak.samples import Sampler
from soak.service import Service
from soak.sightings import Sightings
from syncer.site import Site

FACTOR = 50
_CLIENTS = 3
_SYNC_EVERY_SECONDS = 5.0  # from the end of one to the wish for the next
_SETTLE_SECONDS = 5.0
_GRACE_SECONDS = 60  # the shortest that mirror.toml can say
_RECHECK_SECONDS = 120  # a round of the re-check, and its rest before the next


class Death(StrEnum):
    """What happens to processes."""

    STOP = "the syncer is stopped, and started"
    KILL = "the syncer is killed, and started"
    WORKER = "a worker is killed"


# At which shares of the time. In the second half nobody dies, and nobody is young: what grows there grows by itself.
_DEATHS = {0.03: Death.WORKER, 0.08: Death.STOP, 0.14: Death.KILL} | dict.fromkeys(
    (0.18, 0.22, 0.26, 0.3), Death.WORKER
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How long, how much, and what the dice say."""

    minutes: float
    projects: int
    """How many there are in the beginning."""
    seed: int

    @property
    def seconds(self) -> float:
        """How long, as clocks count."""
        return self.minutes * 60

    @property
    def recheck_seconds(self) -> int:
        """The week of the re-check, in small."""
        return round(min(300, self.seconds / 2))


async def soak(directory: Path, options: Options, *, say: Callable[[str], None]) -> Outcome:
    """
    Soak, and return what was seen.

    Args:
        directory: an empty one, for the mirror's tree, its catalog and its log.
        say: tells how far it is.
    """
    async with fakepypi.serve(fakepypi.Index(seed=options.seed)) as pypi:
        site = Site(directory, upstream=pypi.url)
        site.everything(grace=f"{_GRACE_SECONDS // 60}m", guard="100%")  # a month's removals in a day
        service = Service(site, directory, recheck_seconds=options.recheck_seconds)
        try:
            return await _Soak(options, pypi, site, service, say=say).run()
        finally:
            await service.kill()


class _Soak:
    """All that takes part."""

    def __init__(
        self, options: Options, pypi: FakePyPI, site: Site, service: Service, *, say: Callable[[str], None]
    ) -> None:
        self._options = options
        self._pypi = pypi
        self._site = site
        self._service = service
        self._say = say
        self._sampler = Sampler(service, site)
        self._changes = Changes(pypi.index, seed=options.seed)
        self._sightings = Sightings(site.web, pypi.index)
        self._clients = Clients(site.web, any_name=self._changes.any_name)
        self._began = 0.0

    async def run(self) -> Outcome:
        """Go through all of it."""
        options, service = self._options, self._service
        self._say(f"a first sync of {options.projects:,} projects")
        self._changes.populate(options.projects)
        await service.start()
        await service.ask("sync")
        outcome = Outcome(
            minutes=options.minutes,
            projects=options.projects,
            seed=options.seed,
            rates=pypi_times(FACTOR),
            before=await self._sampler.look_at_rest(),
        )
        self._say(f"{outcome.rates.changes:.0f} changes a minute, for {options.minutes:g} minutes")
        async with _meanwhile(self._sightings.run(), *(self._clients.run() for _ in range(_CLIENTS))):
            await self._storm(outcome)
            self._say("no more changes, no more faults")
            await self._calm(outcome)
        outcome.after = await self._sampler.look_at_rest()
        outcome.exits.append(await service.stop())
        self._sum_up(outcome)
        return outcome

    async def _storm(self, outcome: Outcome) -> None:
        """Have everything happen at once."""
        seconds = self._options.seconds
        weather.set_in(self._pypi.faults, seed=self._options.seed)
        self._changes.tell = self._sightings.expect
        self._began = time.monotonic()
        async with _meanwhile(self._changes.run(outcome.rates), self._look(outcome)):
            await asyncio.gather(
                self._again("sync", outcome, every=_SYNC_EVERY_SECONDS),
                self._again("verify", outcome, every=seconds / 15),
                self._again("collect", outcome, every=seconds / 30),
                self._deaths(outcome),
            )
        outcome.faults = sum(rule.met for rule in self._pypi.faults.rules)
        self._pypi.faults.clear()

    async def _again(self, kind: str, outcome: Outcome, *, every: float) -> None:
        """Ask for a run, again and again."""
        ends = self._began + self._options.seconds
        while (left := ends - time.monotonic()) > 0:
            await asyncio.sleep(min(every, left))
            run = await self._service.ask(kind)
            outcome.runs[f"{kind} {run['state']}"] += 1

    async def _deaths(self, outcome: Outcome) -> None:
        """Stop and kill what runs, each in its time."""
        for share, death in sorted(_DEATHS.items()):
            await asyncio.sleep(max(0.0, self._began + share * self._options.seconds - time.monotonic()))
            self._say(death)
            match death:
                case Death.STOP:
                    outcome.exits.append(await self._service.stop())
                    await self._service.start()
                case Death.KILL:
                    await self._service.kill()
                    await self._service.start()
                case Death.WORKER:
                    self._service.kill_workers()

    async def _look(self, outcome: Outcome) -> None:
        """Look at everything, again and again."""
        said = time.monotonic()
        while True:
            await asyncio.sleep(max(1.0, min(5.0, self._options.seconds / 60)))
            outcome.samples.append(sample := await self._sampler.look())
            outcome.requests += len(self._pypi.log)
            self._pypi.log.forget()
            if time.monotonic() >= said + 60:
                said += 60
                held = " + ".join(f"{one.memory / 1e6:.0f}" for one in (sample.parent, sample.worker) if one)
                self._say(
                    f"{(said - self._began) / 60:.0f} min: {held} MB, {self._changes.counts.total():,} changes, "
                    f"{len(self._sightings.seconds):,} seen, {self._sightings.waiting} not yet, lag {sample.lag}"
                )

    async def _calm(self, outcome: Outcome) -> None:
        """Sync until the tree is what upstream has; then let it collect what is due, and verify itself."""
        began = time.monotonic()
        await self._service.ask("sync")
        # What failed is tried again after five minutes, doubled each time; or at once, when a person names it.
        if put_off := [name async for name in self._put_off()]:
            await self._service.ask("sync", projects=put_off)
        outcome.retried = len(put_off)
        # What moves no serial is seen by the re-check alone.
        patience = self._options.recheck_seconds + _RECHECK_SECONDS
        while (differs := any(self._differences())) and time.monotonic() < began + patience:
            await asyncio.sleep(1)
            await self._service.ask("sync")
        outcome.converged = None if differs else time.monotonic() - began
        await asyncio.sleep(max(0.0, began + _GRACE_SECONDS + _SETTLE_SECONDS - time.monotonic()))
        await self._service.ask("collect")
        counts = (await self._service.ask("verify"))["counts"]
        outcome.damaged, outcome.orphaned = counts["files_damaged"], counts["files_orphaned"]

    async def _put_off(self) -> AsyncIterator[str]:
        listed = {project.name for project in self._pypi.index if project.status is not Status.QUARANTINED}
        async for name in self._service.names("failing", "partial", "behind", "withdrawn"):
            if name in listed:
                yield name

    def _differences(self) -> Iterator[str]:
        return truth.differences(self._pypi.index, self._site)

    def _sum_up(self, outcome: Outcome) -> None:
        outcome.changes = self._changes.counts
        outcome.seen, outcome.unseen = self._sightings.seconds, self._sightings.waiting
        clients = self._clients
        outcome.looks, outcome.wrong = clients.looks, clients.wrong
        outcome.changed, outcome.lost = clients.changed, clients.lost
        outcome.differences = [*self._differences(), *truth.damages(self._site)]
        outcome.unnamed = sorted(truth.unnamed(self._site))
        outcome.temporaries = len(list(self._site.temporaries()))
        with closing(Catalog.in_directory(self._site.state)) as catalog:
            outcome.pending = len(catalog.files.pending())
        outcome.tracebacks = [line for line in self._service.log.read_text().splitlines() if "Traceback" in line]


@asynccontextmanager
async def _meanwhile(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Have work done for as long as the block lasts; where any of it breaks off, so does the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in work]
        yield
        for task in tasks:
            task.cancel()
