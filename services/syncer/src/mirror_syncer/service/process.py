"""The container's process: the engine, the schedule and the private API, until a signal."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NoReturn

import structlog
from aiohttp import web

from mirror_contract import PolicyState, RunKind, RunRequest, RunState, Trigger
from mirror_syncer.catalog import Fact
from mirror_syncer.config.crontab import interval_seconds
from mirror_syncer.config.environment import is_default
from mirror_syncer.config.listen import Listen
from mirror_syncer.config.settings import VERSION, Settings
from mirror_syncer.service.assembly import Mirror, open_mirror
from mirror_syncer.service.listener import bound_socket
from mirror_syncer.service.osv_api import OsvApi
from mirror_syncer.service.osv_queries import OsvQueries
from mirror_syncer.service.private_api import PrivateApi
from mirror_syncer.service.status import StatusReader
from mirror_syncer.service.timetable import Timetable

log = structlog.get_logger()

_ADVISORY_SECONDS = 3600.0
_WATCH_RETRY_SECONDS = 60.0
_MAX_LINE_BYTES = 2**16  # a request for a hundred projects by name, each of up to 250 characters; aiohttp takes 8 kB
_FULL_SYNC = RunRequest(kind=RunKind.SYNC)


async def serve(settings: Settings) -> None:
    """
    Serve until SIGTERM or SIGINT; then active projects are finished, and all else continues after the next start.

    Raises:
        ConfigurationError: settings or policy are wrong.
        VolumeError: the tree cannot be locked or used.
    """
    async with open_mirror(settings) as mirror:
        timetable = Timetable(
            settings.trigger(),
            sync=lambda: _request_sync(mirror, Trigger.SCHEDULE),
            verify_trigger=settings.verify_trigger(),
            verify=lambda: request_verify(mirror),
            paused=bool(mirror.catalog.recall(Fact.PAUSED)),
        )
        observer = StatusReader(mirror, timetable)
        mirror.metrics.watch(lambda: timetable.next_run_at)
        mirror.status_file.watch(lambda: timetable.next_run_at)
        async with _serving(PrivateApi(mirror, observer, osv=_osv_api(mirror)).application(), settings.listen):
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, _stop, mirror, number)
            _log_start(mirror)
            background = [
                asyncio.create_task(watch_policy(mirror)),
                asyncio.create_task(_refresh_advisories(mirror)),
            ]
            mirror.clock.listeners.append(timetable.follow_clock)
            mirror.runs.restore()
            timetable.start()
            if not timetable.paused and (mirror.engine.needs_reconciliation or _is_due(mirror)):
                _request_sync(mirror, Trigger.START)
            try:
                await mirror.run()
            finally:
                for work in background:
                    work.cancel()
                timetable.stop()
    log.info("stopped")


def _osv_api(mirror: Mirror) -> OsvApi:
    policy = mirror.policy
    return OsvApi(OsvQueries(policy.advisory_source), is_enabled=lambda: policy.current.serve.osv)


@asynccontextmanager
async def _serving(application: web.Application, where: Listen) -> AsyncIterator[None]:
    """Serve an application during the block."""
    with bound_socket(where) as bound:
        runner = web.AppRunner(application, access_log=None, max_line_size=_MAX_LINE_BYTES)
        await runner.setup()
        try:
            await web.SockSite(runner, bound).start()
            yield
        finally:
            await runner.cleanup()


def _log_start(mirror: Mirror) -> None:
    policy = mirror.policy.current
    log.info(
        "mirroring",
        version=VERSION,
        upstream=mirror.settings.upstream,
        scope=policy.scope,
        projects=len(policy.projects),
        schedule=mirror.settings.schedule,
        verify_schedule=mirror.settings.verify_schedule,
        data=str(mirror.settings.data),
        listen=str(mirror.settings.listen),
    )
    if is_default(os.environ):
        log.info(
            "defaults are in force",
            where_and_how="cp .env.example .env, edit it, docker compose up -d",
            what_is_mirrored="cp config/mirror.example.toml config/mirror.toml, edit it",
        )
    _report_policy(mirror.policy.state())


def _report_policy(state: PolicyState) -> None:
    """Log what is to be said of the policy's file, at the start and after each change."""
    if state.problems:
        problems = [str(problem) for problem in state.problems]
        log.error("policy not usable; the last good one stays in force", file=state.file, problems=problems)
    elif state.starter:
        log.info(
            "no mirror.toml; the shipped example is in force",
            file=state.file,
            remedy="cp config/mirror.example.toml config/mirror.toml, and choose what is mirrored",
        )
    else:
        log.info("policy read", file=state.file, in_force="with the next run" if state.changed else "now")


async def watch_policy(mirror: Mirror) -> NoReturn:
    """Report each change of ``mirror.toml`` and what it names; a failure of the disk only interrupts that."""
    while True:
        try:
            if mirror.policy.inputs_changed:  # during an interruption
                _apply_policy(mirror)
            await mirror.policy.watch(lambda state: _notice_policy(mirror, state))
        except Exception:
            log.exception("mirror.toml is not watched for a minute")
        await asyncio.sleep(_WATCH_RETRY_SECONDS)


def _notice_policy(mirror: Mirror, state: PolicyState) -> None:
    """Log a change of the policy; lock files and advisories are put into force at once."""
    _report_policy(state)
    if mirror.policy.inputs_changed:
        _apply_policy(mirror)


async def _refresh_advisories(mirror: Mirror) -> NoReturn:
    """Request advisories that come from a URL every hour, and put new ones into force."""
    options = mirror.settings.client_options()
    while True:
        try:
            if await mirror.policy.refresh(options):
                _apply_policy(mirror)
        except Exception:
            log.exception("advisories could not be refreshed")
        await asyncio.sleep(_ADVISORY_SECONDS)


def _apply_policy(mirror: Mirror) -> None:
    mirror.runs.request(RunRequest(kind=RunKind.SYNC, offline=True), trigger=Trigger.POLICY)


def _request_sync(mirror: Mirror, trigger: Trigger) -> None:
    mirror.runs.request(_FULL_SYNC, trigger=trigger)


def request_verify(mirror: Mirror) -> None:
    """Request a whole verify that only reports: a person decides whether to write to a disk that may be failing."""
    if any(run.request.kind is RunKind.VERIFY and run.request.projects is None for run in mirror.runs.running()):
        log.info("the previous verify is still running; skipping this one")  # all of PyPI takes days
        return
    mirror.runs.request(RunRequest(kind=RunKind.VERIFY), trigger=Trigger.SCHEDULE)


def _stop(mirror: Mirror, number: signal.Signals) -> None:
    log.info("stopping after the active projects", signal=number.name)
    mirror.engine.stop()


def _is_due(mirror: Mirror) -> bool:
    """Return whether a start syncs at once: the last success is older than an interval, or by another policy."""
    trigger = mirror.settings.trigger()
    if trigger is None:
        return False
    success = mirror.catalog.runs.page(states=(RunState.SUCCEEDED,), kind=RunKind.SYNC, whole=True, limit=1)
    if not success or success[0].finished_at is None:
        return True
    now = datetime.now(UTC)
    age = (now - success[0].finished_at).total_seconds()
    recent = 0 <= age <= interval_seconds(trigger, now=now)  # a negative age: the clock was set back since
    return not recent or mirror.catalog.recall(Fact.SYNCED_POLICY) != mirror.policy.digest
