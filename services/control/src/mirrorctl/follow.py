"""Stay with a run until it ends: progress on a terminal, JSON lines elsewhere."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from mirror_contract import Run
from mirror_contract.terminal import run_progress
from mirror_control.client.api_client import ApiClient, ApiError, Refused, Unreachable, parse
from mirrorctl import views

# Between two tries to hear of it again.
_PAUSE = 0.5
# A run outlives a restart of the syncer or of control, and so does its follower.
_PATIENCE = 120.0


async def follow(control: ApiClient, run: Run, *, patience: float = _PATIENCE) -> Run:
    """
    Show a run as it changes; return it once it has ended.

    Raises:
        ApiError: control, or the syncer behind it, was away for longer than ``patience`` seconds.
    """
    now = asyncio.get_running_loop().time
    trouble: ApiError = Unreachable(f"nothing was heard of the run for {patience:g} s")
    with _lines() if views.piped() else run_progress(views.console()) as show:
        show(run)
        try:
            async with asyncio.timeout(None) as limit:
                while not run.state.ended:
                    limit.reschedule(limit.when() or now() + patience)
                    try:
                        async for event in control.events(run.id):
                            if event.name == "away":
                                limit.reschedule(now() + patience)
                            elif event.name == "run":
                                limit.reschedule(None)
                                if (news := parse(Run, event.data.encode())) != run:
                                    show(run := news)
                    except ApiError as error:
                        if isinstance(error, Refused) and error.problem.status < 500:  # noqa: PLR2004 it is gone
                            raise
                        trouble = error
                    if not run.state.ended:
                        await asyncio.sleep(_PAUSE)
        except TimeoutError:
            raise trouble from None
    return run


@contextmanager
def _lines() -> Iterator[Callable[[Run], None]]:
    yield lambda run: typer.echo(run.model_dump_json(exclude_none=True))
