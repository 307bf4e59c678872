"""The running service that holds the tree, as a command on the same host calls it."""

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


class Service:
    """A client of its private API."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def holds(self, mirror_id: str) -> bool:
        """Return whether it answers and holds this tree, not that of another mirror on the host."""
        try:
            async with self._session.get("/healthz") as response:
                return response.headers.get(MIRROR_ID) == mirror_id
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def ask(self, request: RunRequest) -> Run:
        """Ask for a run."""
        async with self._session.post("/runs", data=request.model_dump_json()) as response:
            if not response.ok:
                told = f"the running service refused the run: {(await response.json(content_type=None))['detail']}"
                raise (InvalidRequestError if response.status == HTTPStatus.UNPROCESSABLE_ENTITY else MirrorError)(told)
            return Run.model_validate_json(await response.read())

    async def look(self, identifier: str) -> Run:
        """Return a run as it is now."""
        try:
            async with self._session.get(f"/runs/{identifier}") as response:
                response.raise_for_status()
                return Run.model_validate_json(await response.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            gone = f"the service stopped answering ({error}); run {identifier} continues when it is back"
            raise MirrorError(gone) from error


@asynccontextmanager
async def service_of(settings: Settings) -> AsyncIterator[Service | None]:
    """Yield the service that holds the tree, or None."""
    where = settings.listen
    connector = aiohttp.UnixConnector(str(where.path)) if isinstance(where, UnixSocket) else None
    base = "http://localhost" if isinstance(where, UnixSocket) else f"http://{where}"
    marker = await asyncio.to_thread((settings.data / "pypi" / ".mirror-id").read_text)
    timeout = aiohttp.ClientTimeout(total=30, connect=2)
    headers = {"X-Trigger": Trigger.CLI}
    async with aiohttp.ClientSession(base, connector=connector, timeout=timeout, headers=headers) as session:
        service = Service(session)
        yield service if await service.holds(marker.strip()) else None
