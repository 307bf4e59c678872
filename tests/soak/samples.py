"""Samples of the syncer's resources, from outside: memory, descriptors, threads, tasks, files, serials."""

import asyncio
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soak.service import Service
from syncer.site import Site

_SAMPLES_AT_REST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessResources:
    """The resources of a process."""

    process: int
    memory: int
    """Resident bytes; PSS, its part of shared memory, would grow when other processes end."""
    descriptors: int
    threads: int
    tasks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One sample."""

    seconds: float
    """Since the soak began."""
    parent: ProcessResources | None
    worker: ProcessResources | None
    temporaries: int
    catalog: int
    """Bytes of the database."""
    wal: int
    """Bytes of its write-ahead log."""
    lag: int | None
    """Upstream's serial minus ours, from the status."""


class Sampler:
    """Takes samples."""

    def __init__(self, service: Service, site: Site) -> None:
        self._service = service
        self._site = site
        self.began = time.monotonic()

    async def sample_at_rest(self) -> Sample:
        """Sample until the syncer is at rest: the re-check and the schedule may have work at any time."""
        looks = []
        for _ in range(_SAMPLES_AT_REST):
            await asyncio.sleep(1)  # as often as tasks are counted
            looks.append(await self.sample())
        return min(looks, key=lambda sample: sample.parent.tasks if sample.parent else math.inf)

    async def sample(self) -> Sample:
        """Take a sample; it reads metrics and status as control does, which is part of the load."""
        await self._service.get("/metrics")
        status = await self._service.get("/status")
        return await asyncio.to_thread(self._sample, status)

    def _sample(self, status: dict[str, Any] | None) -> Sample:
        catalog = self._site.state / "catalog.sqlite"
        workers = self._service.workers()
        return Sample(
            seconds=round(time.monotonic() - self.began, 1),
            parent=self._resources(self._service.parent),
            worker=self._resources(workers[0]) if workers else None,
            temporaries=self._temporaries(),
            catalog=catalog.stat().st_size,
            wal=_size(catalog.with_name("catalog.sqlite-wal")),
            lag=status["upstream_serial"] - status["serial"] if status and status["serial"] else None,
        )

    def _temporaries(self) -> int:
        """Count temporary files; ``os.walk`` ignores files that disappear meanwhile."""
        walk = os.walk(self._site.web)
        hidden = sum(name.startswith(".") for _, folders, files in walk for name in folders + files)
        return hidden + sum(1 for _ in (self._site.data / "pypi" / ".staging").iterdir())

    def _resources(self, process: int) -> ProcessResources | None:
        home = Path(f"/proc/{process}")
        try:
            status = _fields(home / "status")
            return ProcessResources(
                process=process,
                memory=status["VmRSS"] * 1024,
                descriptors=sum(1 for _ in (home / "fd").iterdir()),
                threads=status["Threads"],
                tasks=int((self._service.tasks / str(process)).read_text() or 0),
            )
        except (OSError, KeyError):  # it has ended, or just started
            return None


def _fields(path: Path) -> dict[str, int]:
    """Read a file of proc(5) whose lines are a name and a number."""
    fields = (line.split() for line in path.read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) for words in fields if len(words) > 1 and words[1].isdigit()}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
