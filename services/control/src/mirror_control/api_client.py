"""
A client of the API's calls, which have the same shapes at the syncer (private) and at control (``/api/v1``).

Control uses it towards the syncer, ``mirrorctl`` towards control, which alone knows downloads and misses. Its errors::

    ApiError
    ├── Unreachable   no answer in time
    ├── Refused       an answer that says no: a problem
    └── Garbled       an answer that is none of ours
"""

from typing import Literal, Self, TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError

from mirror_contract import Project, Run, RunRequest, Schedule, Status, Trigger
from mirror_control.downloads.shapes import DownloadFilter, Downloads, Misses, MissFilter
from mirror_control.shapes import Problem, ProjectFilter, ProjectPage, RunFilter, RunPage

Shape = TypeVar("Shape", bound=BaseModel)


# What a proxy says when what it stands for is away.
_GATEWAY = (502, 503, 504)


class ApiError(Exception):
    """A call was not answered as wished."""


class Unreachable(ApiError):
    """Nothing answers, or not in time."""


class Garbled(ApiError, ValueError):
    """What answers does not speak our API."""


class Refused(ApiError):
    """The answer is a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail or problem.title)
        self.problem = problem


class ApiClient:
    """
    The calls, as methods that return the contract's types.

    Args:
        base: what all paths are relative to; ends with a slash.
        limit: seconds for a whole call.
        token: sent with every call, if there is one.
    """

    def __init__(self, *, base: str, limit: float, token: str | None = None) -> None:
        self._limit = limit
        self._session = aiohttp.ClientSession(
            base_url=base,
            headers={"Authorization": f"Bearer {token}"} if token else None,
            # A container that was made anew has another address; Docker's resolver is at hand.
            connector=aiohttp.TCPConnector(use_dns_cache=False),
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
        try:
            async with self._session.request(
                method,
                path,
                params=query.model_dump(mode="json", exclude_defaults=True) if query else None,
                data=body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=limit),
                allow_redirects=False,
            ) as response:
                content = await response.read()
        except TimeoutError:
            raise Unreachable(f"no answer within {limit:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            # aiohttp's own words name hosts and TLS; the system's say what happened.
            raise Unreachable(getattr(error, "strerror", None) or str(error) or type(error).__name__) from error
        if response.ok and response.status < 300:  # noqa: PLR2004 a redirect is none of our API's answers
            return content
        if response.content_type == "application/problem+json":
            raise Refused(parse(Problem, content))
        if response.status in _GATEWAY:
            raise Unreachable(f"HTTP {response.status}")
        raise Garbled(f"{method} {path}: HTTP {response.status}, {response.content_type}")


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
