"""A running mirror with its private API, for a site whose policy the test writes."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import BaseModel

from mirror_syncer.config.crontab import crontab
from mirror_syncer.service.private_api import PrivateApi
from mirror_syncer.service.status import StatusReader
from mirror_syncer.service.timetable import Timetable
from syncer.site import Running, Site

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Service:
    """A running mirror, and a client of its API."""

    running: Running
    http: TestClient[web.Request, web.Application]

    async def read_list(self, path: str, shape: type[M]) -> tuple[list[M], str | None]:
        """Return a part of a list, and where the rest begins."""
        answer = await self.http.get(path)
        assert answer.status == 200, await answer.text()
        body = await answer.json()
        return [shape.model_validate(item) for item in body["items"]], body["next"]


Serve = Callable[[], AbstractAsyncContextManager[Service]]


@pytest.fixture
def serve(site: Site) -> Serve:
    """Start the site's mirror and its API, as often as a test likes."""

    @asynccontextmanager
    async def start() -> AsyncIterator[Service]:
        async with site.running() as running:
            timetable = Timetable(crontab("*/30 * * * *", time_zone="UTC"), sync=lambda: None, paused=False)
            api = PrivateApi(running.mirror, StatusReader(running.mirror, timetable))
            async with TestClient(TestServer(api.application())) as http:
                yield Service(running, http)

    return start
