"""
The private HTTP API, for control only: runs, projects, status, schedule and metrics.

It listens on a Unix socket that both share, or on the loopback. Control handles tokens and other hosts.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import TypeVar

from aiohttp import web
from packaging.utils import NormalizedName

from mirror_contract import (
    Absence,
    Choice,
    PolicyCandidate,
    Project,
    ProjectSort,
    ProjectState,
    Run,
    RunKind,
    RunRequest,
    RunState,
    Trigger,
    UnmetReason,
)
from mirror_contract.run import MAX_REPORTED_ERRORS
from mirror_syncer.closure.closure_source import ClosureSource
from mirror_syncer.errors import KeyReusedError, TooManyRunsError
from mirror_syncer.runs.confirmation import names_not_selected, not_selected, question, requests_to_confirm
from mirror_syncer.runs.sync.policy_check import PolicyInForce, check_policy
from mirror_syncer.service.assembly import Mirror
from mirror_syncer.service.closure_facts import UNMET_PLACE
from mirror_syncer.service.held import PLACE, HeldFiles
from mirror_syncer.service.osv_api import OsvApi
from mirror_syncer.service.problems import ProblemError, answer_problems, invalid_request, refuse_browsers
from mirror_syncer.service.project_index import PLACE as PROJECT_PLACE
from mirror_syncer.service.project_list import ProjectList
from mirror_syncer.service.queries import (
    parse_after,
    parse_body,
    parse_limit,
    parse_member,
    parse_name,
    parse_part_of_name,
    parse_time,
    parse_trigger,
)
from mirror_syncer.service.release_api import ReleaseApi
from mirror_syncer.service.releases import Releases
from mirror_syncer.service.responses import json_response, page_response
from mirror_syncer.service.selection_api import SelectionApi
from mirror_syncer.service.status import StatusReader

MIRROR_ID = "X-Mirror-Id"
"""The header that identifies the mirror."""
_MAX_BODY_BYTES = 2**20
# Reading a page of 100,000 files holds the GIL for 0.5 s. Without a bound, a flood of such calls would occupy all the
# threads that a sync needs, for minutes after the last caller has gone.
_MAX_READERS = 2
_MAX_WAITING_READERS = 256  # as many calls as nginx passes on at once
# A check may judge thousands of pages, so there is one at a time, and it ends before its caller gives up.
_CHECK_SECONDS = 8.0
_READER_PATIENCE_SECONDS = 4  # control gives up after 5
_RUN_ID = re.compile(r"\d{8}T\d{6,9}-[0-9a-f]{6}", re.ASCII)
_RETRY_AFTER_SECONDS = 10
_MAX_NAMES = 100  # their answer is surely below the limit of bytes, so it is never cut
WITHHELD = (Choice.HOLD, Choice.BLOCK)
T = TypeVar("T")


class PrivateApi:
    """
    The handlers; each answers from memory or with one query of the catalog.

    Args:
        osv: answers queries in OSV's format; None: they are refused.
    """

    def __init__(self, mirror: Mirror, status_reader: StatusReader, *, osv: OsvApi | None = None) -> None:
        self._mirror = mirror
        self._status_reader = status_reader
        self._held_files = HeldFiles(mirror.catalog, mirror.volume)
        self._project_list = ProjectList(mirror.catalog, describe=status_reader.project)
        self._release_api = ReleaseApi(mirror, Releases(mirror, status_reader))
        self._selection_api = SelectionApi(mirror)
        self._osv = osv or OsvApi(None, is_enabled=lambda: False)
        self._readers = asyncio.Semaphore(_MAX_READERS)
        self._readers_waiting = 0
        self._checking = asyncio.Lock()

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        application = web.Application(middlewares=[answer_problems, refuse_browsers], client_max_size=_MAX_BODY_BYTES)
        application.add_routes(
            [
                web.get("/healthz", self.healthz),
                web.get("/status", self.status),
                web.get("/runs", self.runs),
                web.post("/runs", self.request_run),
                web.get("/runs/{id}", self.run),
                web.post("/runs/{id}/cancel", self.cancel),
                web.get("/projects", self.projects),
                web.get("/projects/{name}", self.project),
                web.post("/projects", self._selection_api.add),
                web.delete("/projects/{name}", self._selection_api.remove),
                web.get("/selection", self._selection_api.lines),
                web.get("/held", self.held),
                web.get("/unmet", self.unmet),
                web.get("/releases", self._release_api.releases),
                web.post("/releases", self._release_api.release),
                web.delete("/releases/{id}", self._release_api.revoke),
                web.get("/policy", self.policy),
                web.post("/policy/check", self.check_policy),
                web.post("/schedule/pause", self.pause),
                web.post("/schedule/resume", self.resume),
                web.get("/metrics", self.metrics),
                *self._osv.routes,
            ]
        )
        return application

    async def healthz(self, _: web.Request) -> web.Response:
        """Whether the event loop runs, and of which mirror."""
        return web.Response(text="ok\n", headers={MIRROR_ID: self._mirror.catalog.mirror_id})

    async def status(self, _: web.Request) -> web.Response:
        """The status of the mirror."""
        return json_response(await asyncio.to_thread(self._status_reader.status))

    async def runs(self, request: web.Request) -> web.Response:
        """Runs, newest first."""
        states = [parse_member(RunState, value, "state") for value in request.query.getall("state", [])]
        kind = parse_member(RunKind, request.query["kind"], "kind") if "kind" in request.query else None
        triggers = [parse_member(Trigger, value, "trigger") for value in request.query.getall("trigger", [])]
        since = parse_time(request, "since")
        project = request.query.get("project")
        limit = parse_limit(request)
        page = partial(
            self._mirror.catalog.runs.page,
            states=states,
            kind=kind,
            triggers=triggers,
            since=since,
            project=None if project is None else parse_name(project, "query/project"),
            before=parse_after(request, _RUN_ID, "a run's id"),
            limit=limit + 1,
        )
        found = await self._read(request, page)
        now = [active.document if (active := self._mirror.runs.active(run.id)) else run for run in found]
        return page_response(now, limit=limit, key=lambda last: last.id)

    async def request_run(self, request: web.Request) -> web.Response:
        """Request a run; 202 and the run that serves the request, which may be an earlier one."""
        run_request = parse_body(RunRequest, await request.read())
        key = request.headers.get("Idempotency-Key")
        if key is not None and not 0 < len(key) <= 255:  # noqa: PLR2004 - a sane header
            raise ProblemError(HTTPStatus.BAD_REQUEST, "Idempotency-Key must have 1 to 255 characters.")
        trigger = parse_trigger(request)
        mirror = self._mirror
        if names_not_selected(run_request, policy=mirror.policy.current):
            # By the file as it is now: a line that was just added need not wait for the next whole sync.
            policy = await asyncio.to_thread(mirror.policy.on_disk)
            if unselected := names_not_selected(run_request, policy=policy):
                wrong = list(unselected.items())[:MAX_REPORTED_ERRORS]
                errors = [{"pointer": f"#/projects/{place}", "detail": not_selected(name)} for place, name in wrong]
                raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, not_selected(*unselected.values()), errors=errors)
        requests = await asyncio.to_thread(
            requests_to_confirm, run_request, policy=mirror.policy.current, catalog=mirror.catalog
        )
        if requests is not None:
            raise ProblemError(HTTPStatus.CONFLICT, question(requests), requests=requests)
        try:
            run = self._mirror.runs.request(run_request, trigger=trigger, idempotency_key=key)
        except KeyReusedError as error:
            raise invalid_request("header/Idempotency-Key", str(error)) from None
        except TooManyRunsError as error:
            raise ProblemError(HTTPStatus.TOO_MANY_REQUESTS, f"{error}.", retry_after=_RETRY_AFTER_SECONDS) from None
        return json_response(run, status=HTTPStatus.ACCEPTED)

    async def run(self, request: web.Request) -> web.Response:
        """A run in its current state."""
        return json_response(self._find_run(request))

    async def cancel(self, request: web.Request) -> web.Response:
        """Cancel a run; see ``Engine.cancel``."""
        run = self._find_run(request)
        active = self._mirror.runs.active(run.id)
        if active is None:
            raise ProblemError(HTTPStatus.CONFLICT, f"Run {run.id} has ended: {run.state}.")
        await self._mirror.engine.cancel(active)
        return json_response(active.document, status=HTTPStatus.ACCEPTED)

    async def projects(self, request: web.Request) -> web.Response:
        """Projects whose name contains a text, the best match first; or all, by name, size, files or last change."""
        states = [parse_member(ProjectState, value, "state") for value in request.query.getall("state", [])]
        if "name" in request.query:
            return await self._named_projects(request, states)
        text, sort = parse_part_of_name(request), request.query.get("sort")
        limit = parse_limit(request)
        read = partial(
            self._project_list.list_projects,
            text=text,
            states=states,
            sort=None if sort is None else parse_member(ProjectSort, sort, "sort"),
            after=parse_after(request, PROJECT_PLACE, "a place in this list"),
            limit=limit,
        )
        part = await self._read(request, read)
        return page_response(part.projects, limit=limit, key=lambda last: last.place, rest=part.next, total=part.total)

    async def _named_projects(self, request: web.Request, states: Sequence[ProjectState]) -> web.Response:
        """The projects that a request names, and why others of them are not here."""
        given = request.query.getall("name")
        if len(given) > _MAX_NAMES:
            raise invalid_request("query/name", f"{len(given):,} names; at most {_MAX_NAMES} at once")
        names = list(dict.fromkeys(parse_name(name, "query/name") for name in given))

        def read() -> tuple[list[Project], dict[NormalizedName, Absence]]:
            listed = {project.name: project for project in self._project_list.list_named(names)}
            absent = {name: self._status_reader.absence(name)[0] for name in names if name not in listed}
            return [one for one in listed.values() if not states or one.state in states], absent

        found, absent = await self._read(request, read)
        return page_response(found, limit=_MAX_NAMES, key=lambda last: last.name, absent=absent)

    async def project(self, request: web.Request) -> web.Response:
        """A project with its files."""
        name = parse_name(request.match_info["name"], "path/name")
        found = await self._read(request, partial(self._status_reader.whole_project, name))
        if found is None:
            absence, detail = await self._read(request, partial(self._status_reader.absence, name))
            raise ProblemError(HTTPStatus.NOT_FOUND, detail, absence=absence)
        return json_response(found)

    async def held(self, request: web.Request) -> web.Response:
        """Files that wait or are blocked, first those of the project that changes first."""
        decisions = [parse_member(Choice, value, "decision") for value in request.query.getall("decision", [])]
        if not {*decisions} <= {*WITHHELD}:
            raise invalid_request("query/decision", f"must be one of {', '.join(WITHHELD)}")
        project = request.query.get("project")
        limit = parse_limit(request)
        read = partial(
            self._held_files.list_files,
            decisions=frozenset(decisions or WITHHELD),
            project=None if project is None else parse_name(project, "query/project"),
            after=parse_after(request, PLACE, "a place in this list"),
            limit=limit,
        )
        part = await self._read(request, read)
        return page_response(part.files, limit=limit, key=lambda last: last.place, rest=part.next)

    async def unmet(self, request: web.Request) -> web.Response:
        """Requirements that are not met, first lines and groups without a proof, then by project."""
        reasons = [parse_member(UnmetReason, value, "reason") for value in request.query.getall("reason", [])]
        project = request.query.get("project")
        limit = parse_limit(request)
        read = partial(
            self._mirror.closure.list_unmet,
            reasons=reasons,
            project=None if project is None else parse_name(project, "query/project"),
            after=parse_after(request, UNMET_PLACE, "a place in this list"),
            limit=limit + 1,
        )
        found = await self._read(request, read)
        return page_response(found, limit=limit, key=lambda last: last.place)

    async def policy(self, _: web.Request) -> web.Response:
        """The policy in force, with the text of its file."""
        return json_response(await asyncio.to_thread(self._mirror.policy.file))

    async def check_policy(self, request: web.Request) -> web.Response:
        """The judgement of a candidate for mirror.toml."""
        candidate, mirror = parse_body(PolicyCandidate, await request.read()), self._mirror
        content = candidate.text.encode(errors="surrogatepass")
        if self._checking.locked():
            raise ProblemError(HTTPStatus.TOO_MANY_REQUESTS, "Another policy is being checked.", retry_after=5)
        stored = partial(ClosureSource.without_storing, mirror.settings, catalog=mirror.catalog, view=mirror.volume)
        in_force = PolicyInForce(mirror.policy, mirror.catalog, self._status_reader.pages, stored)
        async with self._checking:
            return json_response(await asyncio.to_thread(check_policy, content, in_force, seconds=_CHECK_SECONDS))

    async def pause(self, _: web.Request) -> web.Response:
        """Pause the schedule, also across restarts."""
        return json_response(self._status_reader.pause(paused=True))

    async def resume(self, _: web.Request) -> web.Response:
        """Resume the schedule."""
        return json_response(self._status_reader.pause(paused=False))

    async def metrics(self, _: web.Request) -> web.Response:
        """The metrics in Prometheus' text format."""
        text = await asyncio.to_thread(self._mirror.metrics.exposition)
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _read(self, request: web.Request, read: Callable[[], T]) -> T:
        """
        Read from catalog or disk in a thread; only a few callers read at a time, the others wait.

        Raises:
            ProblemError: too many callers wait, or this one has gone.
        """
        full = ProblemError(HTTPStatus.TOO_MANY_REQUESTS, "Too many callers read at once.", retry_after=1)
        if self._readers_waiting == _MAX_WAITING_READERS:
            raise full
        self._readers_waiting += 1
        try:
            async with asyncio.timeout(_READER_PATIENCE_SECONDS):
                await self._readers.acquire()
        except TimeoutError:
            raise full from None
        finally:
            self._readers_waiting -= 1
        try:
            if request.transport is None or request.transport.is_closing():
                raise ProblemError(HTTPStatus.REQUEST_TIMEOUT, "The caller went away.")
            return await asyncio.to_thread(read)
        finally:
            self._readers.release()

    def _find_run(self, request: web.Request) -> Run:
        run = self._mirror.runs.get(request.match_info["id"])
        if run is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no run {request.match_info['id']!r}.")
        return run
