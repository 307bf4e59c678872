"""A client of the running service, for commands on the same host."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import aiohttp

from mirror_contract import Run, RunRequest, Trigger
from mirror_syncer.config.listen import UnixSocket
from mirror_syncer.config.settings import Settings
from mirror_syncer.errors import InvalidRequestError, MirrorError
from mirror_syncer.service.private_api import MIRROR_ID
from mirror_syncer.volume import open_view


class ServiceClient:
    """A client of the service's private API."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def holds_tree(self, mirror_id: str) -> bool:
        """Return whether the service answers and locks this mirror's tree, not another one's."""
        try:
            async with self._session.get("/healthz") as response:
                return response.headers.get(MIRROR_ID) == mirror_id
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def request_run(self, request: RunRequest) -> Run:
        """Request a run."""
        async with self._session.post("/runs", data=request.model_dump_json()) as response:
            if not response.ok:
                message = f"the running service refused the run: {(await response.json(content_type=None))['detail']}"
                raise (InvalidRequestError if response.status == HTTPStatus.UNPROCESSABLE_ENTITY else MirrorError)(
                    message
                )
            return Run.model_validate_json(await response.read())

    async def get_run(self, identifier: str) -> Run:
        """Return the current state of a run."""
        try:
            async with self._session.get(f"/runs/{identifier}") as response:
                response.raise_for_status()
                return Run.model_validate_json(await response.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            message = f"the service stopped answering ({error}); run {identifier} continues after its restart"
            raise MirrorError(message) from error


@asynccontextmanager
async def find_service(settings: Settings) -> AsyncIterator[ServiceClient | None]:
    """Yield a client of the service that locks the tree, or None if no such service answers."""
    where = settings.listen
    connector = aiohttp.UnixConnector(str(where.path)) if isinstance(where, UnixSocket) else None
    url = "http://localhost" if isinstance(where, UnixSocket) else f"http://{where}"
    view = open_view(settings.location(), scratch=settings.scratch)
    mirror_id = await asyncio.to_thread(view.marker)
    timeout = aiohttp.ClientTimeout(total=30, connect=2)
    headers = {"X-Trigger": Trigger.CLI}
    async with aiohttp.ClientSession(url, connector=connector, timeout=timeout, headers=headers) as session:
        service = ServiceClient(session)
        yield service if await service.holds_tree(mirror_id) else None
