"""Stay with a run until it ends: a bar on a terminal, JSON lines elsewhere."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from mirror_contract import Run
from mirror_control import views
from mirror_control.api_client import ApiClient, ApiError, Refused

# An end is seen within a second.
_EVERY = 0.5
# A run outlives a restart of the syncer or of control, and so does its follower.
_PATIENCE = 120.0


async def follow(control: ApiClient, run: Run, *, patience: float = _PATIENCE) -> Run:
    """
    Show a run as it changes; return it once it has ended.

    Raises:
        ApiError: control, or the syncer behind it, was away for longer than ``patience`` seconds.
    """
    with _lines() if views.piped() else _bar() as show:
        show(run)
        heard = time.monotonic()
        while not run.state.ended:
            await asyncio.sleep(_EVERY)
            try:
                news = await control.run(run.id)
            except ApiError as error:
                gone = isinstance(error, Refused) and error.problem.status < 500  # noqa: PLR2004
                if gone or time.monotonic() - heard > patience:
                    raise
                continue
            heard = time.monotonic()
            if news != run:
                show(news)
            run = news
    return run


@contextmanager
def _lines() -> Iterator[Callable[[Run], None]]:
    yield lambda run: typer.echo(run.model_dump_json(exclude_none=True))


@contextmanager
def _bar() -> Iterator[Callable[[Run], None]]:
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[more]}")]
    with Progress(SpinnerColumn(), *columns, TimeElapsedColumn(), console=views.console(), transient=True) as progress:
        task = progress.add_task("", total=None, more="")

        def show(run: Run) -> None:
            counts = run.counts
            failed = counts.projects_failed + counts.files_failed
            progress.update(
                task,
                description=f"{run.request.kind} {run.state}",
                total=counts.projects_planned or None,
                completed=counts.projects_done,
                more=decimal(counts.bytes_fetched) + (f", {failed} failed" if failed else ""),
            )

        yield show
