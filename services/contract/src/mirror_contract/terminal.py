"""The progress display of a run on a terminal: progress, size, speed, remaining time, last failures. Needs rich."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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

from mirror_contract.failure import Failure
from mirror_contract.run import Run
from mirror_contract.text import printable
from mirror_contract.words import RunKind

_FAILURES_SHOWN = 5


def failure_line(failure: Failure) -> str:
    """Return a failure as one line, safe to print: names and reasons may come from upstream."""
    return ": ".join(printable(part) for part in (failure.project, failure.file, failure.reason) if part)


@contextmanager
def run_progress(console: Console) -> Iterator[Callable[[Run], None]]:
    """Yield a function that displays a run's current state; the display disappears at the end of the block."""
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
    size = bar.add_task("", total=None, visible=False, size="")  # not shown: rich measures its speed
    failed = Text(style="red")

    def show(run: Run) -> None:
        counts = run.counts
        done = counts.bytes_verified if run.request.kind is RunKind.VERIFY else counts.bytes_fetched
        bar.update(size, completed=done)
        speed = bar.tasks[1].speed
        bar.update(
            projects,
            description=f"{run.request.kind} {run.state}",
            total=counts.projects_planned or None,
            completed=counts.projects_done,
            size=decimal(done) + (f", {decimal(int(speed))}/s" if speed else ""),
        )
        number = counts.projects_failed + counts.projects_partial
        failed.plain = "\n".join(
            ([f"{number:,} failed or partial; the latest:"] if number else [])
            + [failure_line(failure) for failure in run.failures[-_FAILURES_SHOWN:]]
        )

    with Live(get_renderable=lambda: Group(bar, failed) if failed else bar, console=console, transient=True):
        yield show
