"""
A run requested on the command line, executed here or by the running service, and followed to its end.

A terminal shows a progress bar; otherwise there is a log line at most every ten seconds, and the run's JSON at the end.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable

import structlog

from mirror_contract import Run, RunRequest, Trigger
from mirror_syncer.config.settings import Settings
from mirror_syncer.errors import InvalidRequestError, MirrorError, VolumeInUseError
from mirror_syncer.runs.confirmation import names_not_selected, not_selected, question, requests_to_confirm
from mirror_syncer.service.assembly import open_mirror

log = structlog.get_logger()

_LOOK_SECONDS = 0.2
_LOG_INTERVAL_SECONDS = 10.0

Look = Callable[[float], Awaitable[Run]]
"""Returns the run's current state after so many seconds, or as soon as the run has ended."""


async def run_or_delegate(settings: Settings, request: RunRequest) -> Run:
    """
    Execute a request and return the ended run.

    If a running service locks the tree, the service executes it. When the command is interrupted, a run of its own
    stops after its current projects, but a run of the service continues.

    Raises:
        MirrorError: the run could not start.
    """
    try:
        return await _run_here(settings, request)
    except VolumeInUseError as held:
        from mirror_syncer.commands.running_service import find_service  # noqa: PLC0415 - an HTTP client takes 0.2 s to import

        async with find_service(settings) as service:
            if service is None:
                raise held from None
            run = await service.request_run(request)

            async def look(seconds: float) -> Run:
                await asyncio.sleep(seconds)
                return await service.get_run(run.id)

            return await _follow(run, look)


async def _run_here(settings: Settings, request: RunRequest) -> Run:
    async with open_mirror(settings) as mirror:
        if mirror.policy.error is not None:  # unlike the service, a command does not fall back on the last good policy
            raise mirror.policy.error
        if unselected := names_not_selected(request, policy=mirror.policy.current):
            raise InvalidRequestError(not_selected(*unselected.values()))
        requests = requests_to_confirm(request, policy=mirror.policy.current, catalog=mirror.catalog)
        if requests is not None:
            raise MirrorError(question(requests))
        mirror.runs.restore()
        document = mirror.runs.request(request, trigger=Trigger.CLI)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, mirror.engine.stop)
        engine = asyncio.create_task(mirror.run())
        end = asyncio.create_task(mirror.runs.ended(document.id))

        async def look(seconds: float) -> Run:
            await asyncio.wait([engine, end], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if engine.done() and not end.done():
                await engine
                raise MirrorError("interrupted; run the same command again to resume")
            return document

        try:
            return await _follow(document, look, logged=True)
        finally:
            end.cancel()
            mirror.engine.stop()
            await asyncio.wait([engine])


async def _follow(run: Run, look: Look, *, logged: bool = False) -> Run:
    """Show the progress of a run until it ends."""
    if sys.stderr.isatty():
        from mirror_syncer.commands.progress_bar import show_progress  # noqa: PLC0415 - rich takes 0.05 s to import

        return await show_progress(run, lambda: look(_LOOK_SECONDS))
    run = await _log_progress(run, look, logged=logged)
    sys.stdout.write(f"{run.model_dump_json()}\n")  # the whole run, for programs
    return run


async def _log_progress(run: Run, look: Look, *, logged: bool) -> Run:
    logged_at = time.monotonic()
    while not run.state.ended:
        run = await look(_LOOK_SECONDS)
        if not logged and time.monotonic() - logged_at >= _LOG_INTERVAL_SECONDS:
            logged_at = time.monotonic()
            log.info("progress", run=run.id, done=run.counts.projects_done, of=run.counts.projects_planned)
    if not logged:
        for failure in run.failures:
            log.warning("failed", run=run.id, **failure.facts())
    return run
