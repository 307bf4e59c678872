"""The private API's calls about lines of the selection."""

import asyncio
from functools import partial
from http import HTTPStatus

from aiohttp import web

from mirror_contract import AddedLine, AddedLineRequest, RunKind, RunRequest, Trigger
from mirror_syncer.errors import InvalidPageError, TooManyRunsError, UpstreamError
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.validators import Validators
from mirror_syncer.service.assembly import Mirror
from mirror_syncer.service.problems import invalid_request
from mirror_syncer.service.queries import parse_after, parse_body, parse_limit, parse_name, parse_trigger
from mirror_syncer.service.responses import json_response, page_response
from mirror_syncer.service.selection_lines import LINE_PLACE, Candidate, SelectionLines
from mirror_syncer.upstream import Gone, PageResponse

ADDED_BY = "X-Added-By"
"""The header with the name of the token that adds a line."""
MAY_REPLACE = "X-May-Replace"
"""The header, with the value ``yes``, of a token that may also remove what an earlier line selects."""
_MAX_NAME_LENGTH = 80
_UPSTREAM_SECONDS = 8.0  # a person waits; control gives up after 12
_MAX_INQUIRIES = 4  # at once; a flood of additions must not take upstream's connections from the syncs


class SelectionApi:
    """The handlers; each change also requests a run that applies it."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._lines = SelectionLines(mirror)
        self._listing = asyncio.Lock()  # reading a file of thousands of lines holds the GIL for a second
        self._inquiries = asyncio.Semaphore(_MAX_INQUIRIES)

    async def lines(self, request: web.Request) -> web.Response:
        """The lines of mirror.toml in their order, then the added ones by project."""
        limit, after = parse_limit(request), parse_after(request, LINE_PLACE, "a place in this list")
        async with self._listing:
            found = await asyncio.to_thread(partial(self._lines.list_all, after=after, limit=limit + 1))
        return page_response(found, limit=limit, key=lambda last: last.place)

    async def add(self, request: web.Request) -> web.Response:
        """Add a line; 201 and the line, with the run that mirrors the project."""
        wanted = parse_body(AddedLineRequest, await request.read())
        trigger = parse_trigger(request)
        by = request.headers.get(ADDED_BY, "the private API")[:_MAX_NAME_LENGTH]
        candidate = await asyncio.to_thread(partial(self._lines.judge, wanted, by=by))
        candidate.warnings.extend(await self._ask_upstream(candidate))
        may_replace = request.headers.get(MAY_REPLACE) == "yes"
        line = await asyncio.to_thread(partial(self._lines.add, candidate, may_replace=may_replace))
        run = RunRequest(kind=RunKind.SYNC, projects=(line.project,))
        return json_response(self._apply(line, run, trigger), status=HTTPStatus.CREATED)

    async def remove(self, request: web.Request) -> web.Response:
        """Remove an added line; 200 and what it was, with the run that removes the project."""
        name = parse_name(request.match_info["name"], "path/name")
        trigger = parse_trigger(request)
        line = await asyncio.to_thread(self._lines.remove, name)
        if self._mirror.policy.current.everything:  # the line had no effect
            return json_response(line)
        # A run of one project removes nothing: the project leaves with what only it needed, as a whole sync decides.
        return json_response(self._apply(line, RunRequest(kind=RunKind.SYNC), trigger))

    async def _ask_upstream(self, candidate: Candidate) -> list[str]:
        """
        Return warnings about a project by its page upstream, which is requested once.

        Raises:
            ProblemError: upstream has no such project, or quarantined it.
        """
        name = candidate.row.project
        try:
            async with asyncio.timeout(_UPSTREAM_SECONDS), self._inquiries:
                answer = await self._mirror.worker_pool.index.page(
                    name, validators=Validators(), priority=Priority.NAMED
                )
        except (TimeoutError, UpstreamError, InvalidPageError) as error:
            reason = str(error) or f"no answer within {_UPSTREAM_SECONDS:g} s"
            return [f"whether upstream has {name} is not known yet: {reason}; the run asks again"]
        match answer:
            case Gone(index_missing) if index_missing is not None:
                return [f"whether upstream has {name} is not known yet: {index_missing}"]
            case PageResponse(page):
                return await asyncio.to_thread(self._lines.judge_page, candidate, page)
        raise invalid_request("#/line", f"upstream has no project {name}; look at its name")

    def _apply(self, line: AddedLine, run_request: RunRequest, trigger: Trigger) -> AddedLine:
        try:
            run = self._mirror.runs.request(run_request, trigger=trigger)
        except TooManyRunsError:
            late = "the run queue is full: the next sync puts this into force"
            return line.model_copy(update={"warnings": [*line.warnings, late]})
        return line.model_copy(update={"run": run.id})
