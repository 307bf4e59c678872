"""Following a run until it ends: a progress display on a terminal, JSON lines elsewhere."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from mirror_contract import Run, RunState
from mirror_contract.terminal import run_progress
from mirror_control.client.api_client import ApiClient, ApiError, RefusedError, UnreachableError, parse_response
from mirrorctl import views
from mirrorctl.api_call import FAILED, INCOMPLETE

# Between two attempts to reconnect.
_RETRY_SECONDS = 0.5
# Long enough for a restart of the syncer or of control, which the run survives.
_MAX_OUTAGE_SECONDS = 120.0


async def follow(control: ApiClient, run: Run, *, max_outage_seconds: float = _MAX_OUTAGE_SECONDS) -> Run:
    """
    Show a run whenever it changes; return it once it has ended.

    Raises:
        ApiError: control, or the syncer behind it, did not answer for ``max_outage_seconds``.
    """
    now = asyncio.get_running_loop().time
    last_error: ApiError = UnreachableError(f"no news of the run for {max_outage_seconds:g} s")
    with _lines() if views.is_piped() else run_progress(views.console()) as show:
        show(run)
        try:
            async with asyncio.timeout(None) as limit:
                while not run.state.ended:
                    limit.reschedule(limit.when() or now() + max_outage_seconds)
                    try:
                        async for event in control.watch_run(run.id):
                            if event.name == "away":
                                limit.reschedule(now() + max_outage_seconds)
                            elif event.name == "run":
                                limit.reschedule(None)
                                if (update := parse_response(Run, event.data.encode())) != run:
                                    show(run := update)
                    except ApiError as error:
                        if isinstance(error, RefusedError) and error.problem.status < 500:  # noqa: PLR2004 the run is unknown
                            raise
                        last_error = error
                    if not run.state.ended:
                        await asyncio.sleep(_RETRY_SECONDS)
        except TimeoutError:
            raise last_error from None
    return run


@contextmanager
def _lines() -> Iterator[Callable[[Run], None]]:
    yield lambda run: typer.echo(run.model_dump_json(exclude_none=True))


def exit_with(run: Run) -> None:
    """
    Show a followed run that has ended.

    Raises:
        typer.Exit: it did not succeed.
    """
    if not views.is_piped():
        views.print_view(views.run(run))
    match run.state:
        case RunState.SUCCEEDED:
            return
        case RunState.INCOMPLETE:
            raise typer.Exit(INCOMPLETE)
        case _:
            raise typer.Exit(FAILED)
