"""
``/_control``: how a test controls a server in a container.

``POST`` takes a verb and its arguments as one JSON object, and answers with JSON:

* a project's verb, as ``{"verb": "upload", "project": "foo", "version": "1.0"}``
* ``{"verb": "fault", "on": "file", "filename": "foo-1.0.tar.gz", "do": {"status": {"code": 503}}, "times": 2}``,
  which answers with the rule's number; ``"do": {"gate": {}}`` holds requests until ``{"verb": "open", "rule": 0}``
* ``{"verb": "clear"}`` ends all faults, ``{"verb": "fill", "count": 1000}`` uploads fillers
* ``{"verb": "requests"}`` answers with the request log, ``{"verb": "forget"}`` empties it

``GET`` answers with the serial: the server is up.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus
from typing import Any

from aiohttp import web

from fakepypi.corpus import fill
from fakepypi.faults import Faults
from fakepypi.index import Index
from fakepypi.log import RequestLog

PATH = "/_control"

_PROJECT_VERBS = frozenset(
    {"create", "upload", "upload_file", "yank", "unyank", "delete_file", "delete_release", "delete", "quarantine"}
    | {"clear_quarantine", "quarantine_release", "clear_release_quarantine", "archive", "unarchive", "invite"}
)
_FAULT_VERBS = frozenset(
    {"delay", "gate", "stale", "html_only", "edit_files", "wrong_hash", "wrong_size", "file_url", "named", "status"}
    | {"without_serials", "redirect", "redirect_loop", "login_page", "require_login", "without", "corrupt"}
    | {"shortened", "broken_gzip", "ignore_ranges", "cut", "reset", "drip", "endless"}
)
_FROM_JSON: Mapping[str, Callable[[str], object]] = {
    "content": str.encode,
    "metadata": str.encode,
    "uploaded_at": datetime.fromisoformat,
}


class Control:
    """The verbs."""

    def __init__(self, *, index: Index, faults: Faults, log: RequestLog) -> None:
        self._index = index
        self._faults = faults
        self._log = log

    def add_to(self, app: web.Application) -> None:
        """Add the endpoint to the server's application."""
        app.router.add_get(PATH, self._get)
        app.router.add_post(PATH, self._post)

    async def _get(self, _request: web.Request) -> web.Response:
        return web.json_response({"serial": self._index.serial})

    async def _post(self, request: web.Request) -> web.Response:
        arguments = await request.json()
        try:
            answer = self._do(**arguments)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            return web.json_response({"error": f"{arguments}: {error!r}"}, status=HTTPStatus.BAD_REQUEST)
        return web.json_response(answer)

    def _do(self, *, verb: str, **arguments: Any) -> object:
        match verb:
            case "fault":
                return {"rule": self._fault(**arguments)}
            case "open":
                for gate in self._faults.rules[arguments["rule"]].gates:
                    gate.open()
            case "clear":
                self._faults.clear()
            case "fill":
                fill(self._index, arguments["count"])
            case "requests":
                return {"requests": [asdict(exchange) for exchange in self._log if exchange.path != PATH]}
            case "forget":
                self._log.forget()
            case _ if verb in _PROJECT_VERBS:
                project = self._index.project(arguments.pop("project"))
                parsed = {key: parse(arguments[key]) for key, parse in _FROM_JSON.items() if key in arguments}
                getattr(project, verb)(**arguments | parsed)
            case _:
                raise ValueError(f"no such verb: {verb}")
        return {"serial": self._index.serial}

    def _fault(self, *, on: str, do: dict[str, Any], times: int | None = None, **target: str) -> int:
        if not _FAULT_VERBS.issuperset(do):
            raise ValueError(f"no such fault: {sorted(set(do) - _FAULT_VERBS)}")
        rule = self._faults.everywhere() if on == "everywhere" else getattr(self._faults, f"on_{on}")(**target)
        rule.left = times
        for verb, options in do.items():
            if isinstance(options, list):
                getattr(rule, verb)(*options)
            else:
                getattr(rule, verb)(**options)
        return self._faults.rules.index(rule)
