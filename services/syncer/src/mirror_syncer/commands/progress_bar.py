"""A run on a terminal: a progress bar until it ends, then its failures and its end."""

from collections.abc import Awaitable, Callable

from rich.console import Console
from rich.text import Text

from mirror_contract import Run
from mirror_contract.terminal import failure_line, run_progress
from mirror_contract.text import printable

_COLOURS = {"succeeded": "green", "incomplete": "yellow"}


async def show_progress(run: Run, look: Callable[[], Awaitable[Run]]) -> Run:
    """Show a run until it ends, each time that ``look`` returns its current state; return the ended run."""
    console = Console(stderr=True)
    with run_progress(console) as show:
        while not run.state.ended:
            show(run := await look())
    for failure in run.failures:
        console.print(Text(failure_line(failure), style="red"))
    console.print(Text(run.state, style=_COLOURS.get(run.state, "red")), Text(printable(run.message or "")))
    return run
