"""Problems of the page's forms, shown as a page instead of JSON."""

from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mirror_control.access.form_token import is_form
from mirror_control.client.schemas import Problem
from mirror_control.problems import MEDIA_TYPE
from mirror_control.ui.rendering import render

_MISSING_CREDENTIAL = (
    "This needs the mirror's token. Go back and enter it; `docker compose exec control mirrorctl token` shows it."
)


class ProblemPages:
    """
    Middleware that renders each problem that answers a form.

    It is outside of the check of the token, so a missing token or right also has a page.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request; replace the answer to a form if it is a problem."""
        if not is_form(scope):
            return await self._app(scope, receive, send)
        begin: Message | None = None
        content = b""

        async def send_page(message: Message) -> None:
            nonlocal begin, content
            if message["type"] == "http.response.start":
                if MutableHeaders(raw=message["headers"]).get("content-type") != MEDIA_TYPE:
                    return await send(message)
                begin = message
            elif begin is None:
                await send(message)
            else:
                content += message.get("body", b"")
                if not message.get("more_body"):
                    problem = Problem.model_validate_json(content)
                    headers = MutableHeaders(raw=begin["headers"])
                    await _page(Request(scope), problem, kept=headers.get("connection"))(scope, receive, send)
            return None

        return await self._app(scope, receive, send_page)


def _page(request: Request, problem: Problem, *, kept: str | None) -> Response:
    is_missing = problem.status == HTTPStatus.UNAUTHORIZED and "Bearer <token>" in (problem.detail or "")
    detail = _MISSING_CREDENTIAL if is_missing else problem.detail or problem.title
    page = render(request, "error.html", title=problem.title, detail=detail, status_code=problem.status)
    if kept is not None:
        page.headers["Connection"] = kept
    return page
