"""
A run asked for on the command line: done here, or by the service that holds the tree, and followed to its end.

On a terminal there is a progress bar, elsewhere a line at most every ten seconds and the run's document in the end.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable

import structlog
from rich.console import Console
from rich.text import Text

from mirror_contract import Run, RunRequest, Trigger
from mirror_contract.terminal import failure_line, run_progress
from mirror_contract.text import printable
from mirror_syncer.config.settings import Settings
from mirror_syncer.errors import InvalidRequestError, MirrorError, VolumeInUseError
from mirror_syncer.runs.confirmation import names_not_selected, not_selected, question, requests_to_confirm
from mirror_syncer.service.assembly import open_mirror

log = structlog.get_logger()

_LOOK_SECONDS = 0.2
_LINE_SECONDS = 10.0


async def run_here_or_there(settings: Settings, request: RunRequest) -> Run:
    """
    Do what is asked for, and return the run when it has ended.

    A service that runs beside this command holds the tree: it is asked, and followed. Interrupted, a run of one's own
    stops after its current projects; a run of the service continues.

    Raises:
        MirrorError: it could not even begin.
    """
    try:
        return await _run_here(settings, request)
    except VolumeInUseError as held:
        from mirror_syncer.commands.running_service import service_of  # noqa: PLC0415 - an HTTP client takes 0.2 s to import

        async with service_of(settings) as service:
            if service is None:
                raise held from None
            run = await service.ask(request)
            return await _follow(run, lambda: service.look(run.id))


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

        async def look() -> Run:
            if engine.done():
                await engine
                raise MirrorError("interrupted; run the same command again to resume")
            return document

        try:
            return await _follow(document, look, logged=True)
        finally:
            mirror.engine.stop()
            await asyncio.wait([engine])


async def _follow(run: Run, look: Callable[[], Awaitable[Run]], *, logged: bool = False) -> Run:
    """Show a run until it has ended."""
    console = Console(stderr=True)
    if not console.is_terminal:
        run = await _tell(run, look, logged=logged)
    else:
        with run_progress(console) as show:
            while not run.state.ended:
                await asyncio.sleep(_LOOK_SECONDS)
                show(run := await look())
    _summarize(run, console=console)
    return run


async def _tell(run: Run, look: Callable[[], Awaitable[Run]], *, logged: bool) -> Run:
    told = time.monotonic()
    while not run.state.ended:
        await asyncio.sleep(_LOOK_SECONDS)
        run = await look()
        if not logged and time.monotonic() - told >= _LINE_SECONDS:
            told = time.monotonic()
            log.info("progress", run=run.id, done=run.counts.projects_done, of=run.counts.projects_planned)
    if not logged:
        for failure in run.failures:
            log.warning("failed", run=run.id, **failure.model_dump(exclude_none=True))
    return run


def _summarize(run: Run, *, console: Console) -> None:
    if not console.is_terminal:
        sys.stdout.write(f"{run.model_dump_json()}\n")  # for programs: the run's document, whole
    else:
        for failure in run.failures:
            console.print(Text(failure_line(failure), style="red"))
        colour = {"succeeded": "green", "incomplete": "yellow"}.get(run.state, "red")
        console.print(Text(run.state, style=colour), Text(printable(run.message or "")))
