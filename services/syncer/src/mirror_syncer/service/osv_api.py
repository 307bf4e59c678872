"""The part of the private API that answers queries in OSV's format."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web

from mirror_syncer.errors import InvalidRequestError
from mirror_syncer.service.osv_queries import OsvQueries
from mirror_syncer.service.problems import ProblemError

# An answer about one project may have 4 MB, and 1,000 queries take 0.1 s of the event loop's lock.
_MAX_ANSWERING = 2


class OsvApi:
    """
    The handlers of ``/osv/v1/…``.

    Args:
        queries: None: this process has no advisories.
        is_enabled: whether ``mirror.toml`` says ``[serve] osv = true``; asked for each request.
    """

    def __init__(self, queries: OsvQueries | None, *, is_enabled: Callable[[], bool]) -> None:
        self._queries = queries
        self._is_enabled = is_enabled
        self._answering = asyncio.Semaphore(_MAX_ANSWERING)

    @property
    def routes(self) -> list[web.RouteDef]:
        """The routes."""
        return [
            web.post("/osv/v1/query", self.query),
            web.post("/osv/v1/querybatch", self.batch),
            web.get("/osv/v1/vulns/{id}", self.record),
        ]

    async def query(self, request: web.Request) -> web.Response:
        """The records that affect one version."""
        return await self._answer(self._enabled().query, await request.read())

    async def batch(self, request: web.Request) -> web.Response:
        """The ids of the records that affect each of several versions."""
        return await self._answer(self._enabled().batch, await request.read())

    async def record(self, request: web.Request) -> web.Response:
        """One record."""
        record_id, queries = request.match_info["id"], self._enabled()
        async with self._answering:
            content = await asyncio.to_thread(queries.record, record_id)
        if content is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, "No advisory in force has this id.")
        return web.Response(body=content, content_type="application/json")

    async def _answer(self, answer: Callable[[bytes], bytes], body: bytes) -> web.Response:
        async with self._answering:
            try:
                content = await asyncio.to_thread(answer, body)
            except InvalidRequestError as error:
                raise ProblemError(HTTPStatus.BAD_REQUEST, f"{error}.") from None
        return web.Response(body=content, content_type="application/json")

    def _enabled(self) -> OsvQueries:
        if self._queries is None or not self._is_enabled():
            detail = "This mirror does not serve advisories; [serve] osv = true in mirror.toml turns that on."
            raise ProblemError(HTTPStatus.NOT_FOUND, detail)
        return self._queries
