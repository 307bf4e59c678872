"""``status.json``: how the mirror stands, for portals of mirror sites, which read tunasync's, and without control."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import structlog
from rich.filesize import decimal

from mirror_contract import Run, RunKind, RunState
from mirror_syncer.catalog import Catalog, Totals
from mirror_syncer.config import PolicySource
from mirror_syncer.metrics import COMPLETE
from mirror_syncer.runs import Runs
from mirror_syncer.volume import Volume

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
    Return the document: tunasync's ``WebMirrorStatus`` of one mirror, and beside its fields a serial and a trace.

    Args:
        last: the last whole sync that ended by itself.
        done: the last one that brought the mirror up to date.
        syncing: the one under way.
        published: projects.
    """
    if syncing is not None:
        status = "syncing"
    elif last is None:
        status = "none"
    else:
        status = "success" if last.state in COMPLETE else "failed"
    began = syncing or last
    times = {
        "last_update": done and done.finished_at,
        "last_started": began and began.started_at,
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
    """
    The file, written anew when a run began or ended; several at once are one.

    Args:
        upstream, version: as they are told.
    """

    def __init__(
        self, *, upstream: str, version: str, policy: PolicySource, catalog: Catalog, volume: Volume, runs: Runs
    ) -> None:
        self._upstream = upstream
        self._version = version
        self._policy = policy
        self._catalog = catalog
        self._volume = volume
        self._runs = runs
        self._changed = asyncio.Event()
        self._next_run_at: Callable[[], datetime | None] = lambda: None

    def watch(self, next_run_at: Callable[[], datetime | None]) -> None:
        """Tell when the next sync comes by itself."""
        self._next_run_at = next_run_at

    def changed(self, _: Run | None = None) -> None:
        """Note that a run began or ended, or the schedule was held."""
        self._changed.set()

    @asynccontextmanager
    async def kept_current(self) -> AsyncIterator[None]:
        """Write the file whenever something changes within the block, and once more when the block ends."""
        self._runs.tell(self.changed)
        writer = asyncio.create_task(self._write_changes())
        try:
            yield
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            await self.write(stopped=True)

    async def _write_changes(self) -> None:
        while True:
            await self.write()
            await self._changed.wait()

    async def write(self, *, stopped: bool = False) -> None:
        """
        Write it; what keeps us from it is told, and stops nothing.

        Args:
            stopped: a run that did not end is not under way any more.
        """
        self._changed.clear()
        under_way = () if stopped else (run.document for run in self._runs.running())
        syncing = (run for run in under_way if run.request.kind is RunKind.SYNC and run.request.projects is None)
        try:
            await asyncio.to_thread(self._write, next(syncing, None), self._next_run_at())
        except Exception as error:  # noqa: BLE001 - the disk's or the catalog's
            log.warning("status.json is not written", why=str(error))

    def _write(self, syncing: Run | None, next_run_at: datetime | None) -> None:
        projects = self._catalog.projects
        serials = self._catalog.serials() if self._policy.current.everything else None
        body = render_status(
            upstream=self._upstream,
            version=self._version,
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


def _seconds(began: datetime, ended: datetime) -> float:
    return round((ended - began).total_seconds(), 1)
