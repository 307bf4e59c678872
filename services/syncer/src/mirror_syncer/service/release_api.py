"""The private API's calls about releases."""

import asyncio
from http import HTTPStatus

from aiohttp import web

from mirror_contract import Release, ReleaseRequest, RunKind, RunRequest
from mirror_syncer.errors import TooManyRunsError
from mirror_syncer.service.assembly import Mirror
from mirror_syncer.service.queries import parse_body, parse_trigger
from mirror_syncer.service.releases import Releases
from mirror_syncer.service.responses import json_response, page_response

RELEASED_BY = "X-Released-By"
"""The header with the name of the token that asks for a release."""
_MAX_NAME_LENGTH = 80


class ReleaseApi:
    """The handlers; each change also requests a run that applies it."""

    def __init__(self, mirror: Mirror, releases: Releases) -> None:
        self._mirror = mirror
        self._releases = releases

    async def releases(self, _: web.Request) -> web.Response:
        """The releases in force, oldest first; there are at most as many as a part of a list may have."""
        found = await asyncio.to_thread(self._releases.list_all)
        return page_response(found, limit=len(found), key=lambda last: last.id)

    async def release(self, request: web.Request) -> web.Response:
        """Release a version from the cooldown; 201 and the release, with the run that publishes it."""
        wanted = parse_body(ReleaseRequest, await request.read())
        by = request.headers.get(RELEASED_BY, "the private API")[:_MAX_NAME_LENGTH]
        release = await asyncio.to_thread(self._releases.add, wanted, by=by)
        return json_response(self._apply(release, request), status=HTTPStatus.CREATED)

    async def revoke(self, request: web.Request) -> web.Response:
        """Revoke a release; 200 and what it was, with the run that puts this into force."""
        release = await asyncio.to_thread(self._releases.remove, request.match_info["id"])
        return json_response(self._apply(release, request))

    def _apply(self, release: Release, request: web.Request) -> Release:
        """Request a run that judges the project again by the page that upstream sent last."""
        run_request = RunRequest(kind=RunKind.SYNC, projects=(release.project,), offline=True)
        try:
            run = self._mirror.runs.request(run_request, trigger=parse_trigger(request))
        except TooManyRunsError:
            late = "the run queue is full: the next sync puts this into force"
            return release.model_copy(update={"warnings": [*release.warnings, late]})
        return release.model_copy(update={"run": run.id})
