"""
A client of the API's calls, which have the same shapes at the syncer (private) and at control (``/api/v1``).

Control uses it towards the syncer, ``mirrorctl`` towards control, which alone knows downloads and misses. Its errors::

    ApiError
    ├── Unreachable   no answer in time
    ├── Refused       an answer that says no: a problem
    └── Garbled       an answer that is none of ours
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, NoReturn, Self, TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError

from mirror_contract import PolicyCandidate, PolicyCheck, Project, Run, RunRequest, Schedule, Status, Trigger
from mirror_control.client.download_shapes import DownloadFilter, Downloads, Misses, MissFilter
from mirror_control.client.event_stream import Event, read_events
from mirror_control.client.shapes import Problem, ProjectFilter, ProjectPage, RunFilter, RunPage

Shape = TypeVar("Shape", bound=BaseModel)


UNIX = "unix:"
"""What a base begins with that is the path of a Unix socket."""

# What a proxy says when what it stands for is away.
_GATEWAY = (502, 503, 504)

# Three of the comments that keep a stream of events open.
_SILENCE = 45.0
# A run with a hundred failures of a thousand characters each is an event of one line.
_LONGEST_LINE = 2**20


class ApiError(Exception):
    """A call was not answered as wished."""


class Unreachable(ApiError):
    """Nothing answers, or not in time."""


class Garbled(ApiError, ValueError):
    """What answers does not speak our API."""


class Refused(ApiError):
    """The answer is a problem."""

    def __init__(self, problem: Problem, *, retry_after: str | None = None) -> None:
        super().__init__(problem.detail or problem.title)
        self.problem = problem
        self.retry_after = retry_after


class ApiClient:
    """
    The calls, as methods that return the contract's types.

    Args:
        base: what all paths are relative to, and ends with a slash; or ``unix:`` and the path of a socket.
        limit: seconds for a whole call.
        token: sent with every call, if there is one.
    """

    def __init__(self, *, base: str, limit: float, token: str | None = None) -> None:
        self._limit = limit
        socket = base.removeprefix(UNIX) if base.startswith(UNIX) else None
        self._session = aiohttp.ClientSession(
            base_url="http://localhost/" if socket else base,
            headers={"Authorization": f"Bearer {token}"} if token else None,
            # A container that was made anew has another address; Docker's resolver is at hand.
            connector=aiohttp.UnixConnector(socket) if socket else aiohttp.TCPConnector(use_dns_cache=False),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def status(self) -> Status:
        """Return the mirror's status."""
        return parse(Status, await self.call("GET", "status"))

    async def start(self, request: RunRequest, *, trigger: Trigger, idempotency_key: str | None = None) -> Run:
        """Ask for a run; return it as it was queued."""
        headers = {"Content-Type": "application/json", "X-Trigger": trigger}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        body = request.model_dump_json(exclude_defaults=True)
        return parse(Run, await self.call("POST", "runs", body=body, headers=headers))

    async def runs(self, wanted: RunFilter) -> RunPage:
        """Return a part of the list of runs."""
        return parse(RunPage, await self.call("GET", "runs", query=wanted))

    async def run(self, run_id: str) -> Run:
        """Return a run as it is now."""
        return parse(Run, await self.call("GET", f"runs/{run_id}"))

    async def cancel(self, run_id: str) -> Run:
        """Ask a run to end; return it as it is now."""
        return parse(Run, await self.call("POST", f"runs/{run_id}/cancel"))

    async def projects(self, wanted: ProjectFilter) -> ProjectPage:
        """Return a part of the list of projects."""
        return parse(ProjectPage, await self.call("GET", "projects", query=wanted))

    async def project(self, name: str) -> Project:
        """Return a project with its files."""
        return parse(Project, await self.call("GET", f"projects/{name}"))

    async def check_policy(self, candidate: PolicyCandidate) -> PolicyCheck:
        """Return the judgement of a candidate for mirror.toml."""
        headers = {"Content-Type": "application/json"}
        return parse(
            PolicyCheck, await self.call("POST", "policy/check", body=candidate.model_dump_json(), headers=headers)
        )

    async def downloads(self, wanted: DownloadFilter) -> Downloads:
        """Return what was downloaded."""
        return parse(Downloads, await self.call("GET", "downloads", query=wanted))

    async def misses(self, wanted: MissFilter) -> Misses:
        """Return what was asked for and is not there."""
        return parse(Misses, await self.call("GET", "misses", query=wanted))

    async def schedule(self, action: Literal["pause", "resume"]) -> Schedule:
        """Pause or resume the schedule; return it as it is then."""
        return parse(Schedule, await self.call("POST", f"schedule/{action}"))

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: BaseModel | None = None,
        body: str | None = None,
        headers: dict[str, str] | None = None,
        limit: float | None = None,
    ) -> bytes:
        """
        Return the body of a successful answer.

        Raises:
            Unreachable: no answer in time.
            Refused: a problem.
            Garbled: neither success nor a problem.
        """
        limit = limit or self._limit
        timeout = aiohttp.ClientTimeout(total=limit)
        async with self._answer(method, path, timeout, query=query, body=body, headers=headers) as answer:
            return await answer.read()

    async def events(self, run_id: str) -> AsyncIterator[Event]:
        """
        Yield a run's events until the stream ends; the first tells how it is now.

        Raises:
            Unreachable: no answer, the stream broke, or is silent for longer than its comments allow.
            Refused, Garbled: as for ``call``.
        """
        timeout = aiohttp.ClientTimeout(sock_connect=self._limit, sock_read=_SILENCE)
        async with self._answer("GET", f"runs/{run_id}/events", timeout) as answer:
            async for event in read_events(answer.content):
                yield event

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 it is aiohttp's to keep
        *,
        query: BaseModel | None = None,
        body: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield a successful answer; what goes wrong here, or while it is read, is an ApiError."""
        try:
            async with self._session.request(
                method,
                path,
                params=query.model_dump(mode="json", exclude_defaults=True) if query else None,
                data=body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
                read_bufsize=_LONGEST_LINE,
            ) as response:
                if not 200 <= response.status < 300:  # noqa: PLR2004 a redirect is none of our API's answers
                    await _refuse(response, call=f"{method} {path}")
                yield response
        except TimeoutError:
            raise Unreachable(f"no answer within {timeout.total or timeout.sock_read:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            # aiohttp's own words name hosts and TLS; the system's say what happened.
            raise Unreachable(getattr(error, "strerror", None) or str(error) or type(error).__name__) from error


async def _refuse(response: aiohttp.ClientResponse, *, call: str) -> NoReturn:
    content = await response.read()
    if response.content_type == "application/problem+json":
        raise Refused(parse(Problem, content), retry_after=response.headers.get("Retry-After"))
    if response.status in _GATEWAY:
        raise Unreachable(f"HTTP {response.status}")
    raise Garbled(f"{call}: HTTP {response.status}, {response.content_type}")


def parse(shape: type[Shape], content: bytes) -> Shape:
    """
    Return what an answer says.

    Raises:
        Garbled: it is not of that shape; the message says where, in a line.
    """
    try:
        return shape.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Garbled(f"not a {shape.__name__}: {where}: {first['msg']}".replace(": :", ":")) from None
