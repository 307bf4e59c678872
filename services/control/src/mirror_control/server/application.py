"""Control as an ASGI application."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any, Never

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from mirror_control import problems
from mirror_control.access.audit import Audit
from mirror_control.access.auth import RequireToken
from mirror_control.access.hosts import CheckHost, Hosts
from mirror_control.api import docs, downloads, health, policy, projects, runs, schedule, status
from mirror_control.api.examples import illustrate
from mirror_control.client.shapes import Problem
from mirror_control.downloads import statistics
from mirror_control.downloads.access_log import AccessLog
from mirror_control.downloads.intake import Intake
from mirror_control.downloads.statistics import Statistics
from mirror_control.server.body_limit import BodyLimit
from mirror_control.server.head import HeadAsGet
from mirror_control.settings import Settings
from mirror_control.syncer import connection as syncer_client
from mirror_control.syncer.connection import SyncerClient
from mirror_control.syncer.history import History
from mirror_control.syncer.watching import Watches
from mirror_control.ui import pages

VERSION = version("pypi-mirror-control")

_DESCRIPTION = """\
Look at a PyPI mirror and steer it. Most reading is open; other calls need `Authorization: Bearer <token>`, of a token
with the right that they name: `read`, `trigger` or `remove`, each of which includes those before it.
`docker compose exec control mirrorctl token` shows the operator's, which has all of them.
Errors are problems (RFC 9457), which say what to do."""

_TAGS = [
    {"name": "runs", "description": "What the mirror did, does and is to do: syncs, verifications, collections."},
    {"name": "status", "description": "One look: fresh, complete, and with room to grow?"},
    {"name": "projects", "description": "What is mirrored, and why something is not."},
    {"name": "downloads", "description": "What is fetched from here, by whom; and what was asked for and is not here."},
    {"name": "policy", "description": "What is mirrored: candidates for mirror.toml."},
    {"name": "schedule", "description": "Runs that come by the clock."},
    {"name": "health", "description": "For whatever restarts containers, and whoever wonders why."},
]


class _Control(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Return the document, with examples, and with the shape of problems, which no route returns as its model."""
        if self.openapi_schema is not None:
            return self.openapi_schema
        document = super().openapi()
        _, shapes = models_json_schema([(Problem, "serialization")], ref_template="#/components/schemas/{model}")
        document["components"]["schemas"] |= shapes["$defs"]
        illustrate(document)
        return document


def create_app(settings: Settings) -> FastAPI:
    """Return the application; its lifespan owns the connections to the syncer and what goes on beside the requests."""
    tokens = settings.tokens
    counts = settings.control_state / "downloads.db"
    intake = Intake(AccessLog(settings.access_log), counts, kept=settings.downloads_kept)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            SyncerClient(base=settings.syncer_url, state=settings.control_state, version=VERSION) as syncer,
            _beside(syncer.watch()),
            _beside(intake.follow()),
        ):
            app.state.syncer = syncer
            app.state.watches = Watches(syncer.run)
            yield

    app = _Control(
        title="pypi-mirror",
        version=VERSION,
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        openapi_url="/api/openapi.json",
        # FastAPI's pages take their scripts from a CDN, which a mirror's users do not reach; ours is api/docs.py.
        docs_url=None,
        redoc_url=None,
        # A redirect would name control's own address, which nobody outside the proxy knows.
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        lifespan=lifespan,
    )
    app.state.tokens = tokens
    app.state.history = History()
    app.state.intake = intake
    app.state.statistics = Statistics(counts)
    problems.install(app)
    syncer_client.install(app)
    statistics.install(app)
    app.add_middleware(HeadAsGet)
    app.add_middleware(BodyLimit)
    app.add_middleware(CheckHost, hosts=Hosts(settings.hosts))
    app.add_middleware(RequireToken, tokens=tokens)
    app.add_middleware(Audit)  # added last, asked first
    api = APIRouter(prefix="/api/v1", responses=problems.answers(400, 421))
    for noun in (runs, status, projects, policy, downloads, schedule, health):
        api.include_router(noun.router)
    app.include_router(api)
    # At the port's root, where probes and Prometheus look; nginx passes /api and /ui alone.
    for router in (health.router, status.metrics, docs.router, pages.router):
        app.include_router(router, include_in_schema=False)
    return app


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, Never]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _operation_id(route: APIRoute) -> str:
    return "-".join([*map(str, route.tags), route.name])
