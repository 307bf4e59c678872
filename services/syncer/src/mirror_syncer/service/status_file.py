"""``status.json``: the mirror's status for mirror portals, in tunasync's format; it needs no control service."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import structlog
from rich.filesize import decimal

from mirror_contract import Run, RunKind, RunState
from mirror_syncer.catalog import Totals
from mirror_syncer.config.settings import VERSION
from mirror_syncer.metrics import COMPLETE
from mirror_syncer.runs.context import RunContext

log = structlog.get_logger()

_TIME = "%Y-%m-%d %H:%M:%S %z"
# tunasync's "never": what Go's zero time prints as.
_NEVER = ("0001-01-01 00:00:00 +0000", -62_135_596_800)


def render_status(
    *,
    upstream: str,
    version: str,
    last: Run | None,
    done: Run | None,
    syncing: Run | None,
    next_run_at: datetime | None,
    published: int,
    totals: Totals,
    serial: int | None,
) -> bytes:
    """
    Return the document: tunasync's ``WebMirrorStatus`` of one mirror, with a serial and a trace added.

    Args:
        last: the last whole sync that ended and was not cancelled.
        done: the last one that brought the mirror up to date.
        syncing: the running one.
        published: number of projects.
    """
    if syncing is not None:
        status = "syncing"
    elif last is None:
        status = "none"
    else:
        status = "success" if last.state in COMPLETE else "failed"
    started = syncing or last
    times = {
        "last_update": done and done.finished_at,
        "last_started": started and started.started_at,
        "last_ended": last and last.finished_at,
        "next_schedule": next_run_at,
    }
    document: dict[str, object] = {"name": "pypi", "is_master": True, "status": status}
    for name, moment in times.items():
        text, stamp = (moment.strftime(_TIME), int(moment.timestamp())) if moment else _NEVER
        document |= {name: text, f"{name}_ts": stamp}
    document |= {
        "upstream": upstream,
        "size": decimal(totals.stored_bytes),
        "serial": serial,
        "trace": {
            "version": f"pypi-mirror/{version}",
            "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "projects": published,
            "files": totals.files,
            "bytes": totals.stored_bytes,
            "seconds": last and last.finished_at and last.started_at and _seconds(last.started_at, last.finished_at),
        },
    }
    return json.dumps([document], indent=1).encode() + b"\n"


class StatusFile:
    """Writes the file whenever a run starts or ends; several changes at once are written together."""

    def __init__(self, context: RunContext) -> None:
        self._upstream = context.settings.upstream
        self._policy = context.policy
        self._catalog = context.catalog
        self._volume = context.volume
        self._runs = context.runs
        self._changed = asyncio.Event()
        self._ending = False
        self._next_run_at: Callable[[], datetime | None] = lambda: None

    def watch(self, next_run_at: Callable[[], datetime | None]) -> None:
        """Set the source of the time of the next scheduled sync."""
        self._next_run_at = next_run_at

    def changed(self, _: Run | None = None) -> None:
        """Request that the file is written, because a run started or ended, or the schedule changed."""
        self._changed.set()

    @asynccontextmanager
    async def kept_current(self) -> AsyncIterator[None]:
        """Write the file after each change within the block, and once more at its end."""
        self._runs.subscribe(self.changed)
        writer = asyncio.create_task(self._write_changes())
        try:
            yield
        finally:
            # Cancelled, its thread would write on, beside the last write or after it.
            self._ending = True
            self._changed.set()
            await asyncio.gather(writer, return_exceptions=True)
            await self.write(stopped=True)

    async def _write_changes(self) -> None:
        while not self._ending:
            await self.write()
            await self._changed.wait()

    async def write(self, *, stopped: bool = False) -> None:
        """
        Write the file; a failure is only logged.

        Args:
            stopped: the engine has stopped, so no run is active, even one that has not ended.
        """
        self._changed.clear()
        active = () if stopped else (run.document for run in self._runs.running())
        syncing = (run for run in active if run.request.kind is RunKind.SYNC and run.request.is_whole)
        try:
            await asyncio.to_thread(self._write, next(syncing, None), self._next_run_at())
        except Exception as error:  # noqa: BLE001 - any failure of the disk or the catalog
            log.warning("status.json could not be written", why=str(error))

    def _write(self, syncing: Run | None, next_run_at: datetime | None) -> None:
        projects = self._catalog.projects
        serials = self._catalog.serials() if self._policy.current.everything else None
        body = render_status(
            upstream=self._upstream,
            version=VERSION,
            last=self._last(*COMPLETE, RunState.FAILED),
            done=self._last(*COMPLETE),
            syncing=syncing,
            next_run_at=next_run_at,
            published=projects.count_published(),
            totals=projects.totals(),
            serial=serials and serials[0],
        )
        self._volume.write_status(body)

    def _last(self, *states: RunState) -> Run | None:
        found = self._catalog.runs.page(states=states, kind=RunKind.SYNC, whole=True, limit=1)
        return found[0] if found else None


def _seconds(started: datetime, finished: datetime) -> float:
    return round((finished - started).total_seconds(), 1)
