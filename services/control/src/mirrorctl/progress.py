"""A run under way, on a terminal: how far, how much, how fast, how long still, and what failed so far."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Group
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

from mirror_contract import Run
from mirrorctl import views

_FAILURES = 5


@contextmanager
def progress() -> Iterator[Callable[[Run], None]]:
    """Yield what shows a run as it is now; at the end of the block it vanishes."""
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
    failed = Text()

    def show(run: Run) -> None:
        counts = run.counts
        weight = counts.bytes_fetched or counts.bytes_verified
        bar.update(size, completed=weight)
        speed = bar.tasks[1].speed
        bar.update(
            projects,
            description=f"{run.request.kind} {run.state}",
            total=counts.projects_planned or None,
            completed=counts.projects_done,
            size=decimal(weight) + (f", {decimal(int(speed))}/s" if speed else ""),
        )
        number = counts.projects_failed + counts.projects_partial
        failed.plain = "\n".join(
            ([f"{number:,} failed or partial, the latest:"] if number else [])
            + [views.failure(one) for one in run.failures[-_FAILURES:]]
        )

    with Live(get_renderable=lambda: Group(bar, failed) if failed else bar, console=views.console(), transient=True):
        yield show
