"""The client of the syncer's API, which falls back to the last known answers."""

import asyncio
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeVar

import structlog
from fastapi import FastAPI, Request
from starlette.responses import Response

from mirror_contract import Status
from mirror_control.client.api_client import (
    ApiClient,
    ApiError,
    InvalidResponseError,
    RefusedError,
    UnreachableError,
    parse_response,
)
from mirror_control.metrics import Exposition, parse_exposition
from mirror_control.problems import problem_response, to_response
from mirror_control.state import LastGoodAnswer
from mirror_control.syncer.disk_history import DiskHistory
from mirror_control.syncer.run_speed import RunSpeeds

log = structlog.get_logger(__name__)

Value = TypeVar("Value")

# A person or a script waits; the syncer answers from memory and one small database.
_CALL_TIMEOUT_SECONDS = 5.0
# Prometheus gives up after 10 s by default, so control must fall back to the last known answer before.
_STATUS_TIMEOUT_SECONDS = 2.0
# The greatest age of the last known answers when the syncer, or the host, fails.
_POLL_SECONDS = 15.0

_REMEDY = "Check `docker compose ps syncer` and `docker compose logs syncer`."


class SyncerClient(ApiClient):
    """
    A client of the syncer's API that remembers the last good status and metrics.

    Args:
        base: the syncer's base URL.
        state: control's state directory, which stores the last good answers.
        version: control's version, for the exposition.
    """

    def __init__(self, *, base: str, state: Path, version: str) -> None:
        super().__init__(base=base, timeout_seconds=_CALL_TIMEOUT_SECONDS)
        self._version = version
        self._status = LastGoodAnswer(state / "last-status.json", parse=partial(parse_response, Status))
        self._families = LastGoodAnswer(state / "last-metrics.txt", parse=parse_exposition)
        self._failing_calls: set[str] = set()
        self.speeds = RunSpeeds()
        self.disk_history = DiskHistory(state / "disk-history.json")

    async def get_status(self) -> Status:
        """
        Return the syncer's current status.

        Raises:
            ApiError: the call failed.
        """
        status = await self._fetch(self._status, "status")
        self.speeds.record(status.running, now=time.monotonic())
        self.disk_history.record(status)
        return status

    async def get_status_or_last_known(self) -> Status:
        """
        Return the current status, or the last known one with ``syncer_up`` false.

        Raises:
            ApiError: the call failed, and no status is known.
        """
        try:
            return await self.get_status()
        except ApiError:
            if self._status.value is None:
                raise
            return self._status.value.model_copy(update={"syncer_up": False})

    @property
    def last_known_status(self) -> Status | None:
        """The last known status, at most 15 s old while the syncer answers; None if no status is known."""
        return self._status.value

    @property
    def is_answering(self) -> bool:
        """Whether the last call for the status succeeded."""
        return "status" not in self._failing_calls

    async def get_exposition(self) -> Exposition:
        """Return the current metrics, or the last known gauges if the call failed."""
        try:
            families = await self._fetch(self._families, "metrics")
        except ApiError:
            return Exposition(self._families.value or (), syncer_up=False, version=self._version)
        return Exposition(families, syncer_up=True, version=self._version)

    async def keep_last_known_fresh(self) -> NoReturn:
        """Poll status and metrics every 15 s and save them, also when no client asks."""
        while True:
            for call in (self.get_status, self.get_exposition):
                with suppress(ApiError):  # _log_change has logged it
                    await call()
            await asyncio.to_thread(self._save)
            await asyncio.sleep(_POLL_SECONDS)

    async def close(self) -> None:
        """Close all connections, and save the last known answers."""
        await super().close()
        self._save()

    def _save(self) -> None:
        try:
            self._status.save()
            self._families.save()
            self.disk_history.save()
        except OSError as error:
            log.warning("writing the last known state failed", error=str(error))

    async def _fetch(self, last_good: LastGoodAnswer[Value], path: str) -> Value:
        try:
            value = last_good.update(await self.call("GET", path, timeout_seconds=_STATUS_TIMEOUT_SECONDS))
        except ValueError as error:
            self._log_change(path, f"invalid answer: {error}")
            raise InvalidResponseError(str(error)) from error
        except ApiError as error:
            self._log_change(path, str(error))
            raise
        self._log_change(path, None)
        return value

    def _log_change(self, path: str, failure: str | None) -> None:
        """Log a failure or recovery of a call once, not with every poll."""
        if failure is None and path in self._failing_calls:
            self._failing_calls.remove(path)
            log.info("syncer answers again", call=path)
        elif failure is not None and path not in self._failing_calls:
            self._failing_calls.add(path)
            log.warning("call to the syncer failed", call=path, reason=failure)


def install_handlers(app: FastAPI) -> None:
    """Turn failed calls to the syncer into problems."""
    app.add_exception_handler(ApiError, _as_problem)


def _as_problem(request: Request, error: Exception) -> Response:
    match error:
        case RefusedError(problem=problem, retry_after=retry_after) if problem.status < 500:  # noqa: PLR2004 the caller can correct it
            return to_response(problem, headers={"Retry-After": retry_after} if retry_after else None)
        case UnreachableError():
            detail = f"The syncer does not answer ({error}); nginx still serves all files. {_REMEDY}"
            return problem_response(503, detail, headers={"Retry-After": "5"})
        case _:
            log.warning("syncer call failed", path=request.url.path, error=str(error))
            return problem_response(502, f"The syncer failed to process this call. {_REMEDY}")
