"""
A client of the API, which the syncer (private) and control (``/api/v1``) serve with the same schemas.

Control calls the syncer with it, and ``mirrorctl`` calls control. Only control has downloads and misses. Its errors::

    ApiError
    ├── UnreachableError       no answer in time
    ├── RefusedError           the server refused the call with a problem
    └── InvalidResponseError   the answer does not follow the API
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, NoReturn, Self, TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError

from mirror_contract import (
    AddedLine,
    AddedLineRequest,
    PolicyCandidate,
    PolicyCheck,
    PolicyFile,
    Project,
    Release,
    ReleaseRequest,
    Run,
    RunRequest,
    Schedule,
    Status,
    Trigger,
)
from mirror_control.client.download_schemas import DownloadFilter, Downloads, Misses, MissFilter
from mirror_control.client.event_stream import Event, read_events
from mirror_control.client.schemas import (
    Filter,
    HeldFilter,
    HeldPage,
    Problem,
    ProjectFilter,
    ProjectPage,
    ReleasePage,
    RunFilter,
    RunPage,
    SelectionPage,
    UnmetFilter,
    UnmetPage,
)

Model = TypeVar("Model", bound=BaseModel)

RELEASED_BY = "X-Released-By"
"""The header by which control names the token that asks for a release."""
ADDED_BY = "X-Added-By"
MAY_REPLACE = "X-May-Replace"
"""The header by which control names the token that adds a line."""
UNIX_PREFIX = "unix:"
"""Begins a base that is the path of a Unix socket."""

# A proxy answers these while the server behind it is down.
_GATEWAY_STATUSES = (502, 503, 504)

_ADD_TIMEOUT_SECONDS = 12.0  # the syncer asks upstream for 8 s
# Three intervals between the comments that keep an event stream open.
_EVENT_TIMEOUT_SECONDS = 45.0
_CHECK_TIMEOUT_SECONDS = 45.0  # a check of a policy compares all names of PyPI, and judges pages for 8 s
# For each part of an answer; pip-audit waits 15 s for the first.
_STREAM_TIMEOUT_SECONDS = 15.0
_CHUNK_BYTES = 2**16
# An event is one line; a run with a hundred failures of 1,000 characters each fits.
_MAX_LINE_BYTES = 2**20


class ApiError(Exception):
    """A call failed."""


class UnreachableError(ApiError):
    """The server did not answer in time."""


class InvalidResponseError(ApiError, ValueError):
    """The answer does not follow the API."""


class RefusedError(ApiError):
    """The server refused the call with a problem (RFC 9457)."""

    def __init__(self, problem: Problem, *, retry_after: str | None = None) -> None:
        super().__init__(problem.detail or problem.title)
        self.problem = problem
        self.retry_after = retry_after


class ApiClient:
    """
    A client with a method for each call; methods return the contract's types.

    Args:
        base: the base URL, which ends with a slash; or ``unix:`` and the path of a socket.
        timeout_seconds: limit for a whole call.
        token: bearer token for every call, if any.
    """

    def __init__(self, *, base: str, timeout_seconds: float, token: str | None = None) -> None:
        self._timeout_seconds = timeout_seconds
        socket = base.removeprefix(UNIX_PREFIX) if base.startswith(UNIX_PREFIX) else None
        self._session = aiohttp.ClientSession(
            base_url="http://localhost/" if socket else base,
            headers={"Authorization": f"Bearer {token}"} if token else None,
            # A recreated container has another address; asking Docker's resolver each time is cheap.
            connector=aiohttp.UnixConnector(socket) if socket else aiohttp.TCPConnector(use_dns_cache=False),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def get_status(self) -> Status:
        """Return the mirror's status."""
        return parse_response(Status, await self.call("GET", "status"))

    async def start_run(self, request: RunRequest, *, trigger: Trigger, idempotency_key: str | None = None) -> Run:
        """Queue a run and return it; an equal queued run is returned instead."""
        headers = {"Content-Type": "application/json", "X-Trigger": trigger}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        body = request.model_dump_json(exclude_defaults=True)
        return parse_response(Run, await self.call("POST", "runs", body=body, headers=headers))

    async def list_runs(self, wanted: RunFilter) -> RunPage:
        """Return a page of runs."""
        return parse_response(RunPage, await self.call("GET", "runs", query=wanted))

    async def get_run(self, run_id: str) -> Run:
        """Return a run in its current state."""
        return parse_response(Run, await self.call("GET", f"runs/{run_id}"))

    async def cancel_run(self, run_id: str) -> Run:
        """Request the cancellation of a run; return its current state."""
        return parse_response(Run, await self.call("POST", f"runs/{run_id}/cancel"))

    async def list_projects(self, wanted: ProjectFilter) -> ProjectPage:
        """Return a page of projects."""
        return parse_response(ProjectPage, await self.call("GET", "projects", query=wanted))

    async def get_project(self, name: str) -> Project:
        """Return a project with its files."""
        return parse_response(Project, await self.call("GET", f"projects/{name}"))

    async def list_held(self, wanted: HeldFilter) -> HeldPage:
        """Return a page of held and blocked files."""
        return parse_response(HeldPage, await self.call("GET", "held", query=wanted))

    async def list_unmet(self, wanted: UnmetFilter) -> UnmetPage:
        """Return a page of unmet requirements."""
        return parse_response(UnmetPage, await self.call("GET", "unmet", query=wanted))

    async def list_releases(self) -> ReleasePage:
        """Return the releases in force."""
        return parse_response(ReleasePage, await self.call("GET", "releases"))

    async def add_release(self, request: ReleaseRequest, *, trigger: Trigger, by: str | None = None) -> Release:
        """
        Release a version from the cooldown; return the release with the run that publishes it.

        Args:
            by: the name of the caller's token, which only control sends.
        """
        headers = {"Content-Type": "application/json", "X-Trigger": trigger}
        if by is not None:
            headers[RELEASED_BY] = by
        return parse_response(
            Release, await self.call("POST", "releases", body=request.model_dump_json(), headers=headers)
        )

    async def revoke_release(self, release_id: str, *, trigger: Trigger) -> Release:
        """Revoke a release; return it with the run that puts this into force."""
        headers: dict[str, str] = {"X-Trigger": trigger}
        return parse_response(Release, await self.call("DELETE", f"releases/{release_id}", headers=headers))

    async def list_selection(self, wanted: Filter) -> SelectionPage:
        """Return a page of the selection's lines."""
        return parse_response(SelectionPage, await self.call("GET", "selection", query=wanted))

    async def add_line(
        self, request: AddedLineRequest, *, trigger: Trigger, by: str | None = None, may_replace: bool = False
    ) -> AddedLine:
        """
        Add a line to the selection; return it with the run that mirrors its project.

        Args:
            by: the name of the caller's token, which only control sends.
            may_replace: whether this token may replace another line; also sent by control alone.
        """
        headers = {"Content-Type": "application/json", "X-Trigger": trigger}
        if by is not None:
            headers |= {ADDED_BY: by} | ({MAY_REPLACE: "yes"} if may_replace else {})
        body, seconds = request.model_dump_json(), _ADD_TIMEOUT_SECONDS
        answer = await self.call("POST", "projects", body=body, headers=headers, timeout_seconds=seconds)
        return parse_response(AddedLine, answer)

    async def remove_line(self, name: str, *, trigger: Trigger) -> AddedLine:
        """Remove the added line of a project; return it with the run that puts this into force."""
        headers: dict[str, str] = {"X-Trigger": trigger}
        return parse_response(AddedLine, await self.call("DELETE", f"projects/{name}", headers=headers))

    async def get_policy(self) -> PolicyFile:
        """Return the policy in force, with the text of its file."""
        return parse_response(PolicyFile, await self.call("GET", "policy"))

    async def check_policy(self, candidate: PolicyCandidate) -> PolicyCheck:
        """Check a candidate for mirror.toml."""
        headers = {"Content-Type": "application/json"}
        body, seconds = candidate.model_dump_json(), _CHECK_TIMEOUT_SECONDS
        answer = await self.call("POST", "policy/check", body=body, headers=headers, timeout_seconds=seconds)
        return parse_response(PolicyCheck, answer)

    async def get_downloads(self, wanted: DownloadFilter) -> Downloads:
        """Return download statistics."""
        return parse_response(Downloads, await self.call("GET", "downloads", query=wanted))

    async def get_misses(self, wanted: MissFilter) -> Misses:
        """Return the requests that the mirror answered with 404."""
        return parse_response(Misses, await self.call("GET", "misses", query=wanted))

    async def change_schedule(self, action: Literal["pause", "resume"]) -> Schedule:
        """Pause or resume the schedule; return its new state."""
        return parse_response(Schedule, await self.call("POST", f"schedule/{action}"))

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: BaseModel | None = None,
        body: str | None = None,
        headers: dict[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> bytes:
        """
        Return the body of a successful answer.

        Raises:
            UnreachableError: the server did not answer in time.
            RefusedError: the server answered with a problem.
            InvalidResponseError: the answer is neither a success nor a problem.
        """
        timeout = aiohttp.ClientTimeout(total=timeout_seconds or self._timeout_seconds)
        async with self._answer(method, path, timeout, query=query, body=body, headers=headers) as answer:
            return await answer.read()

    @asynccontextmanager
    async def stream(self, method: str, path: str, *, body: bytes | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        """
        Yield the parts of the body of a successful answer, for an answer that is too large to keep in memory.

        Raises:
            UnreachableError, RefusedError, InvalidResponseError: as for ``call``.
        """
        timeout = aiohttp.ClientTimeout(sock_connect=self._timeout_seconds, sock_read=_STREAM_TIMEOUT_SECONDS)
        async with self._answer(method, path, timeout, body=body) as answer:
            yield answer.content.iter_chunked(_CHUNK_BYTES)

    async def watch_run(self, run_id: str) -> AsyncIterator[Event]:
        """
        Yield a run's events until the stream ends; the first one carries the current state.

        Raises:
            UnreachableError: no answer, the stream broke, or nothing arrived for 45 s.
            RefusedError, InvalidResponseError: as for ``call``.
        """
        timeout = aiohttp.ClientTimeout(sock_connect=self._timeout_seconds, sock_read=_EVENT_TIMEOUT_SECONDS)
        async with self._answer("GET", f"runs/{run_id}/events", timeout) as answer:
            async for event in read_events(answer.content):
                yield event

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 aiohttp enforces it
        *,
        query: BaseModel | None = None,
        body: str | bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield a successful answer; any failure, also while the answer is read, raises an ApiError."""
        try:
            async with self._session.request(
                method,
                path,
                params=query.model_dump(mode="json", exclude_defaults=True) if query else None,
                data=body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
                read_bufsize=_MAX_LINE_BYTES,
            ) as response:
                if not 200 <= response.status < 300:  # noqa: PLR2004 the API never redirects
                    await _raise_refusal(response, call=f"{method} {path}")
                yield response
        except TimeoutError:
            raise UnreachableError(f"no answer within {timeout.total or timeout.sock_read:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            # Prefer the system's message; aiohttp's mentions hosts and TLS settings.
            raise UnreachableError(getattr(error, "strerror", None) or str(error) or type(error).__name__) from error


async def _raise_refusal(response: aiohttp.ClientResponse, *, call: str) -> NoReturn:
    content = await response.read()
    if response.content_type == "application/problem+json":
        raise RefusedError(parse_response(Problem, content), retry_after=response.headers.get("Retry-After"))
    if response.status in _GATEWAY_STATUSES:
        raise UnreachableError(f"HTTP {response.status}")
    raise InvalidResponseError(f"{call}: HTTP {response.status}, {response.content_type}")


def parse_response(model: type[Model], content: bytes) -> Model:
    """
    Parse an answer.

    Raises:
        InvalidResponseError: it does not match the model; the message names the first mismatch.
    """
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidResponseError(f"not a {model.__name__}: {where}: {first['msg']}".replace(": :", ":")) from None
