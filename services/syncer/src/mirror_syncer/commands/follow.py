"""
A run asked for on the command line: done here, or by the service that holds the tree, and followed to its end.

On a terminal there is a progress bar, elsewhere a line at most every ten seconds and the run's document in the end.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import structlog
from rich.console import Console, Group
from rich.filesize import decimal
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from mirror_contract import Failure, Run, RunKind, RunRequest, Trigger
from mirror_syncer.config.settings import Settings
from mirror_syncer.errors import InvalidRequestError, MirrorError, VolumeInUseError
from mirror_syncer.logs import plain
from mirror_syncer.runs.confirmation import names_not_selected, not_selected, question, requests_to_confirm
from mirror_syncer.service.assembly import open_mirror

log = structlog.get_logger()

_LOOK_SECONDS = 0.2
_LINE_SECONDS = 10.0
_FAILURES = 5  # shown meanwhile


async def run_here_or_there(settings: Settings, request: RunRequest) -> Run:
    """
    Do what is asked for, and return the run when it has ended.

    A service that runs beside this command holds the tree: it is asked, and followed. Interrupted, a run of one's own
    stops after its current projects; one of the service's goes on.

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
        if mirror.policy.error is not None:  # whoever types a command is there to mend it
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
                raise MirrorError("interrupted; the same command goes on where it stopped")
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
        with _progress(console) as show:
            while not run.state.ended:
                await asyncio.sleep(_LOOK_SECONDS)
                show(run := await look())
    _summarize(run, console=console)
    return run


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[Run], None]]:
    """Yield what shows a run as it is now: how far, how much, how fast, how long still, what failed last."""
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TextColumn("{task.fields[size]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    projects = bar.add_task("", total=None, size="")
    size = bar.add_task("", total=None, visible=False, size="")  # rich keeps its speed
    failed = Text(style="red")

    def show(run: Run) -> None:
        counts = run.counts
        weight = counts.bytes_verified if run.request.kind is RunKind.VERIFY else counts.bytes_fetched
        bar.update(size, completed=weight)
        speed = bar.tasks[1].speed
        bar.update(
            projects,
            description=run.request.kind,
            total=counts.projects_planned or None,
            completed=counts.projects_done,
            size=decimal(weight) + (f", {decimal(int(speed))}/s" if speed else ""),
        )
        failed.plain = "\n".join(map(_line, run.failures[-_FAILURES:]))

    with Live(get_renderable=lambda: Group(bar, failed) if failed else bar, console=console, transient=True):
        yield show


def _line(failure: Failure) -> str:
    # Names and reasons are upstream's words: no markup, no control characters.
    return ": ".join(map(plain, filter(None, (failure.project, failure.file, failure.reason))))


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
            console.print(Text(_line(failure), style="red"))
        colour = {"succeeded": "green", "incomplete": "yellow"}.get(run.state, "red")
        console.print(Text(run.state, style=colour), Text(plain(run.message or "")))
