"""The syncer as control sees it: its API, and what was last known of it while it does not answer."""

import asyncio
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeVar

import structlog
from fastapi import FastAPI, Request
from starlette.responses import Response

from mirror_contract import Status
from mirror_control.client.api_client import ApiClient, ApiError, Garbled, Refused, Unreachable, parse
from mirror_control.metrics import Exposition, parse_exposition
from mirror_control.problems import problem_response, render
from mirror_control.state import LastKnown

log = structlog.get_logger(__name__)

Value = TypeVar("Value")

# A person or a script waits for these; the syncer answers from memory and one small database.
_CALL = 5.0
# Prometheus gives up after ten by default; what is last known is better than that.
_LOOK = 2.0
# How old the last known state may be when the syncer, or the host, goes away.
_WATCH = 15.0

_REMEDY = "Look at `docker compose ps syncer` and `docker compose logs syncer`."


class SyncerClient(ApiClient):
    """
    The syncer's API, and a memory of its last good answers.

    Args:
        base: where it listens.
        state: control's directory, where the memory outlives control.
        version: control's, for the exposition.
    """

    def __init__(self, *, base: str, state: Path, version: str) -> None:
        super().__init__(base=base, limit=_CALL)
        self._version = version
        self._status = LastKnown(state / "last-status.json", parse=partial(parse, Status))
        self._families = LastKnown(state / "last-metrics.txt", parse=parse_exposition)
        self._silent: set[str] = set()

    async def status(self) -> Status:
        """
        Return the status as the syncer says it now.

        Raises:
            ApiError: it says none.
        """
        return await self._learn(self._status, "status")

    async def look(self) -> Status:
        """
        Return the status, or the last known one, marked as such.

        Raises:
            ApiError: the syncer does not answer, and never did.
        """
        try:
            return await self.status()
        except ApiError:
            if self._status.value is None:
                raise
            return self._status.value.model_copy(update={"syncer_up": False})

    async def exposition(self) -> Exposition:
        """Return the metrics, with the last known gauges where the syncer does not answer."""
        try:
            families = await self._learn(self._families, "metrics")
        except ApiError:
            return Exposition(self._families.value or (), syncer_up=False, version=self._version)
        return Exposition(families, syncer_up=True, version=self._version)

    async def watch(self) -> NoReturn:
        """Keep what is last known fresh, in memory and on disk, also when nobody asks."""
        while True:
            for call in (self.status, self.exposition):
                with suppress(ApiError):  # whatever is wrong, _tell told
                    await call()
            await asyncio.to_thread(self._remember)
            await asyncio.sleep(_WATCH)

    async def close(self) -> None:
        """Close all connections; write down what is last known."""
        await super().close()
        self._remember()

    def _remember(self) -> None:
        try:
            self._status.save()
            self._families.save()
        except OSError as error:
            log.warning("last known state not written", error=str(error))

    async def _learn(self, known: LastKnown[Value], path: str) -> Value:
        try:
            value = known.learn(await self.call("GET", path, limit=_LOOK))
        except ValueError as error:
            self._tell(path, f"can't be understood: {error}")
            raise Garbled(str(error)) from error
        except ApiError as error:
            self._tell(path, str(error))
            raise
        self._tell(path, None)
        return value

    def _tell(self, path: str, trouble: str | None) -> None:
        """Log the change alone, not every look."""
        if trouble is None and path in self._silent:
            self._silent.remove(path)
            log.info("syncer answers again", call=path)
        elif trouble is not None and path not in self._silent:
            self._silent.add(path)
            log.warning("syncer does not answer", call=path, reason=trouble)


def install(app: FastAPI) -> None:
    """Turn the syncer's silence and its refusals into control's problems."""
    app.add_exception_handler(ApiError, _as_problem)


def _as_problem(request: Request, error: Exception) -> Response:
    match error:
        case Refused(problem=problem, retry_after=later) if problem.status < 500:  # noqa: PLR2004 what the caller can mend is passed on
            return render(problem, headers={"Retry-After": later} if later else None)
        case Unreachable():
            told = f"The syncer does not answer ({error}); files are served all the same. {_REMEDY}"
            return problem_response(503, told, headers={"Retry-After": "5"})
        case _:
            log.warning("syncer failed", path=request.url.path, error=str(error))
            return problem_response(502, f"The syncer failed at this. {_REMEDY}")
