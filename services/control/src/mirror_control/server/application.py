"""Assembly of control's ASGI application."""

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
from mirror_control.access.audit_trail import AuditTrail
from mirror_control.access.auth import RequireToken
from mirror_control.access.form_token import FormToken
from mirror_control.access.hosts import CheckHost, Hosts
from mirror_control.api import (
    downloads,
    health,
    held,
    osv,
    policy,
    projects,
    releases,
    runs,
    schedule,
    selection,
    status,
    unmet,
)
from mirror_control.api.examples import add_examples
from mirror_control.client.schemas import Problem
from mirror_control.downloads import statistics
from mirror_control.downloads.access_log import AccessLog
from mirror_control.downloads.intake import Intake
from mirror_control.downloads.statistics import Statistics
from mirror_control.server.body_limit import BodyLimit
from mirror_control.server.head import HeadAsGet
from mirror_control.settings import Settings
from mirror_control.syncer import syncer_client
from mirror_control.syncer.history import SyncHistory
from mirror_control.syncer.last_answers import LastAnswers
from mirror_control.syncer.recent_changes import RecentChangesCache
from mirror_control.syncer.run_watch import RunWatches
from mirror_control.syncer.syncer_client import SyncerClient
from mirror_control.ui import (
    action_pages,
    audit_page,
    docs_page,
    download_pages,
    held_pages,
    pages,
    policy_page,
    project_forms,
    project_list,
    project_pages,
    run_pages,
    status_page,
)
from mirror_control.ui.frequent_counts import keep_counted
from mirror_control.ui.problem_pages import ProblemPages
from mirror_control.ui.rendering import compile_templates

VERSION = version("pypi-mirror-control")

_DESCRIPTION = """\
Inspect and control a PyPI mirror. Most reading is open; other calls need `Authorization: Bearer <token>` with the right
that the call names: `read`, `trigger` or `remove`. Each right includes the ones before it.
`docker compose exec control mirrorctl token` shows the operator's token, which has all rights.
Errors are problems (RFC 9457) that say what to do."""

_TAGS = [
    {"name": "runs", "description": "Past, current and queued work of the mirror: syncs, verifies and collections."},
    {"name": "status", "description": "The state of the mirror: freshness, completeness, free disk space."},
    {"name": "projects", "description": "Mirrored projects, and why a project is not mirrored."},
    {
        "name": "selection",
        "description": "Lines that select projects: those of mirror.toml, and those that people added.",
    },
    {"name": "unmet", "description": "Requirements that the mirror does not meet."},
    {
        "name": "downloads",
        "description": "Downloads from the mirror by project and client, and requests that it answered with 404.",
    },
    {"name": "policy", "description": "Checks of candidates for mirror.toml, and files that it holds or blocks."},
    {"name": "releases", "description": "Versions that a person let through the cooldown."},
    {"name": "schedule", "description": "Scheduled runs."},
    {"name": "health", "description": "Liveness and readiness of control."},
]


class _Control(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Return the document with examples, and with the schema of problems, which no route declares as its model."""
        if self.openapi_schema is not None:
            return self.openapi_schema
        document = super().openapi()
        _, schemas = models_json_schema([(Problem, "serialization")], ref_template="#/components/schemas/{model}")
        document["components"]["schemas"] |= schemas["$defs"]
        add_examples(document)
        return document


def create_app(settings: Settings) -> FastAPI:
    """Return the application; its lifespan owns the syncer client and the background tasks."""
    tokens = settings.tokens
    store = settings.control_state / "downloads.db"
    intake = Intake(AccessLog(settings.access_log), store, kept=settings.downloads_kept)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        compile_templates()
        async with (
            SyncerClient(base=settings.syncer_url, state=settings.control_state, version=VERSION) as syncer,
            _background_task(syncer.keep_last_known_fresh()),
            _background_task(intake.count_forever()),
            _background_task(keep_counted(app.state.statistics)),
        ):
            app.state.syncer = syncer
            app.state.watches = RunWatches(syncer.get_run)
            yield

    app = _Control(
        title="pypi-mirror",
        version=VERSION,
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        openapi_url="/api/openapi.json",
        # FastAPI's pages load scripts from a CDN, which the mirror's users may not reach; see ui/docs_page.py.
        docs_url=None,
        redoc_url=None,
        # A redirect would contain control's own address, which clients outside the proxy cannot reach.
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        lifespan=lifespan,
    )
    app.state.tokens = tokens
    app.state.page_url = settings.page_url
    app.state.grafana_url = settings.grafana_url
    app.state.history = SyncHistory()
    app.state.recent_changes_cache = RecentChangesCache()
    app.state.last_answers = LastAnswers()
    app.state.audit_trail = AuditTrail()
    app.state.osv_slots = asyncio.Semaphore(osv.MAX_ANSWERS)
    app.state.intake = intake
    app.state.statistics = Statistics(store)
    problems.install_handlers(app)
    syncer_client.install_handlers(app)
    statistics.install_handlers(app)
    app.add_middleware(HeadAsGet)
    app.add_middleware(BodyLimit)
    app.add_middleware(CheckHost, hosts=Hosts(settings.hosts))
    app.add_middleware(RequireToken, tokens=tokens)
    app.add_middleware(FormToken, tokens=tokens)
    app.add_middleware(ProblemPages)
    app.add_middleware(Audit, trail=app.state.audit_trail)  # added last, so it runs first
    api = APIRouter(prefix="/api/v1", responses=problems.problem_responses(400, 421))
    for noun in (runs, status, projects, selection, unmet, policy, held, releases, downloads, schedule, health):
        api.include_router(noun.router)
    app.include_router(api)
    app.include_router(osv.router, include_in_schema=False)  # OSV's own documents describe it
    # Also at the port's root, where probes and Prometheus look; nginx only forwards /api, /ui and /osv.
    for router in (
        health.router,
        status.metrics,
        docs_page.router,
        status_page.router,
        run_pages.router,
        policy_page.router,
        action_pages.router,
        download_pages.router,
        held_pages.router,
        audit_page.router,
        project_forms.router,
        project_list.router,
        project_pages.router,
        pages.router,
    ):
        app.include_router(router, include_in_schema=False)
    return app


@asynccontextmanager
async def _background_task(work: Coroutine[Any, Any, Never]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _operation_id(route: APIRoute) -> str:
    return "-".join([*map(str, route.tags), route.name])
