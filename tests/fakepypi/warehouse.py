"""Warehouse's read APIs and the file host for one index: from a request through its faults to the answer."""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

from aiohttp import hdrs, web
from multidict import CIMultiDict
from packaging.utils import canonicalize_name

from fakepypi import delivery
from fakepypi.answer import Answer, MediaType, cached, moved, negotiate, not_found
from fakepypi.faults import Faults
from fakepypi.index import Index
from fakepypi.legacy import call_xmlrpc, legacy_document
from fakepypi.log import Exchange, RequestLog
from fakepypi.pages import Document, project_document, root_document, to_html, to_json
from fakepypi.release import Status
from fakepypi.rule import Rule
from fakepypi.storage import stored_file, stored_metadata
from fakepypi.target import Endpoint, Target

_INTEGRITY = "application/vnd.pypi.integrity.v1+json"

_Rules = Sequence[Rule]
_AnswerTo = Callable[[web.Request, _Rules], Awaitable[Answer]]
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Warehouse:
    """The routes and their answers."""

    def __init__(self, *, index: Index, faults: Faults, log: RequestLog, file_origin: str | None) -> None:
        self._index = index
        self._faults = faults
        self._log = log
        self._file_origin = file_origin

    def application(self) -> web.Application:
        """Return the application."""
        app = web.Application()
        app.on_response_prepare.append(self._write_down)
        app.on_shutdown.append(self._let_go)
        app.router.add_get("/simple", self._slash)
        app.router.add_get("/simple/", self._on(Endpoint.ROOT, self._root))
        app.router.add_get("/simple/{project}", self._slash)
        app.router.add_get("/simple/{project}/", self._on(Endpoint.PAGE, self._page))
        app.router.add_get("/pypi/{project}/json", self._on(Endpoint.LEGACY, self._legacy))
        app.router.add_get("/pypi/{project}/{version}/json", self._on(Endpoint.LEGACY, self._legacy))
        app.router.add_get(
            "/integrity/{project}/{version}/{filename}/provenance", self._on(Endpoint.PROVENANCE, self._provenance)
        )
        for path in ("/pypi", "/pypi/", "/RPC2"):
            app.router.add_post(path, self._on(Endpoint.XMLRPC, self._xmlrpc))
        storage = r"/{path:packages/[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60}}/"
        app.router.add_get(storage + "{filename}.metadata", self._on(Endpoint.METADATA, self._metadata))
        app.router.add_get(storage + "{filename}", self._on(Endpoint.FILE, self._file))
        return app

    def _on(self, endpoint: Endpoint, answer_to: _AnswerTo) -> _Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            with self._log.under_way():
                return await self._misbehave(request, answer_to, self._faults.take(self._target(endpoint, request)))

        return handle

    async def _misbehave(self, request: web.Request, answer_to: _AnswerTo, rules: _Rules) -> web.StreamResponse:
        for wait in (wait for rule in rules for wait in rule.waits):
            await wait()
        answer = await answer_to(request, rules)
        for change in (change for rule in rules for change in rule.changes):
            change(request, answer)
        if request.method == hdrs.METH_HEAD or not answer.body:
            return await delivery.whole(request, answer)
        deliver = next((rule.delivery for rule in rules if rule.delivery), delivery.whole)
        return await deliver(request, answer)

    def _target(self, endpoint: Endpoint, request: web.Request) -> Target:
        named = request.match_info
        file = self._index.blob(f"{named['path']}/{named['filename']}") if "path" in named else None
        project = file.project if file else named.get("project")
        return Target(
            endpoint=endpoint,
            project=canonicalize_name(project) if project else None,
            filename=named.get("filename"),
        )

    async def _slash(self, request: web.Request) -> web.StreamResponse:
        return await delivery.whole(request, moved(f"{request.rel_url.raw_path}/"))

    async def _root(self, request: web.Request, rules: _Rules) -> Answer:
        serial, listings = self._index.listings(stale=any(rule.is_stale for rule in rules))
        return self._simple(request, rules, root_document(listings, serial=serial), serial)

    async def _page(self, request: web.Request, rules: _Rules) -> Answer:
        name = request.match_info["project"]
        if name != canonicalize_name(name):
            return moved(f"/simple/{canonicalize_name(name)}/")
        project = self._index.find(name)
        if project is None:
            return not_found()
        listing = project.listing(stale=any(rule.is_stale for rule in rules))
        if listing.status is Status.ABSENT:
            return not_found()
        document = project_document(listing, file_origin=self._file_origin_for(request))
        return self._simple(request, rules, document, listing.serial)

    def _simple(self, request: web.Request, rules: _Rules, document: Document, serial: int) -> Answer:
        for edit in (edit for rule in rules for edit in rule.edits):
            edit(document)
        media = MediaType.TEXT if any(rule.is_html_only for rule in rules) else negotiate(request)
        body = to_json(document) if media is MediaType.JSON else to_html(document)
        return cached(request, body, content_type=media, serial=serial, vary="Accept")

    async def _file(self, request: web.Request, rules: _Rules) -> Answer:
        file = self._index.blob("{path}/{filename}".format(**request.match_info))
        if file is None:
            return not_found()
        return stored_file(request, file, ranges=not any(rule.ignores_ranges for rule in rules))

    async def _metadata(self, request: web.Request, _rules: _Rules) -> Answer:
        file = self._index.blob("{path}/{filename}".format(**request.match_info))
        if file is None or file.metadata is None:
            return not_found()
        return stored_metadata(request, file)

    async def _provenance(self, request: web.Request, _rules: _Rules) -> Answer:
        # PEP 740
        if not any(media in request.headers.get(hdrs.ACCEPT, "") for media in (_INTEGRITY, "application/json")):
            return Answer(HTTPStatus.NOT_ACCEPTABLE)
        project = self._index.find(request.match_info["project"])
        named = request.match_info["filename"]
        if project is None or not any(file.provenance for file in project.files if file.filename == named):
            return not_found()
        body = to_json({"attestation_bundles": [], "version": 1})
        return cached(request, body, content_type=_INTEGRITY, serial=None, vary="Accept")

    async def _legacy(self, request: web.Request, rules: _Rules) -> Answer:
        project = self._index.find(request.match_info["project"])
        if project is None:
            return not_found()
        document = legacy_document(
            project, request.match_info.get("version"), file_origin=self._file_origin_for(request)
        )
        if document is None:
            return not_found()
        for edit in (edit for rule in rules for edit in rule.edits):
            edit(document)
        body = to_json(document)
        return cached(request, body, content_type="application/json", serial=project.serial, max_age=900)

    async def _xmlrpc(self, request: web.Request, _rules: _Rules) -> Answer:
        body = call_xmlrpc(self._index, await request.read())
        return Answer(HTTPStatus.OK, CIMultiDict({hdrs.CONTENT_TYPE: "text/xml"}), body)

    def _file_origin_for(self, request: web.Request) -> str:
        return f"{request.scheme}://{request.host}" if self._file_origin is None else self._file_origin

    async def _write_down(self, request: web.Request, response: web.StreamResponse) -> None:
        path, _, query = request.raw_path.partition("?")
        headers = {name.lower(): value for name, value in request.headers.items()}
        self._log.exchanges.append(
            Exchange(method=request.method, path=path, query=query, headers=headers, status=response.status)
        )

    async def _let_go(self, _app: web.Application) -> None:
        self._faults.clear()
