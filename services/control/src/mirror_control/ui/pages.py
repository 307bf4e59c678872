"""The smaller pages, and what all pages need; everything works without scripts."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from mirror_contract import UnmetReason, parse_project_name
from mirror_control.access.auth import open_to_all
from mirror_control.api.address import Address
from mirror_control.api.dependencies import Remembered, Syncer
from mirror_control.client.api_client import ApiError
from mirror_control.client.schemas import UnmetFilter
from mirror_control.ui.api_errors import render_api_error
from mirror_control.ui.rendering import ASSETS, render

router = APIRouter(dependencies=[open_to_all])

_PAGE_SIZE = 100
_MAX_AFTER_LENGTH = 512

Text = Annotated[str, Query(max_length=4096)]


@router.get("/ui")
async def redirect() -> Response:
    """Redirect to the page by a relative URL, because only the client knows the address that it used."""
    return RedirectResponse("ui/", status_code=302)


@router.get("/ui/unmet")
async def unmet(  # noqa: PLR0917 - FastAPI's parameters
    request: Request,
    syncer: Syncer,
    remembered: Remembered,
    project: Text = "",
    reason: Text = "",
    after: Text = "",
) -> Response:
    """List requirements that the mirror does not meet; lines that cannot be installed come first."""
    try:
        name = parse_project_name(project) if project.strip() else None
        reasons = [UnmetReason(reason)] if reason in list(UnmetReason) else []
        wanted = UnmetFilter(project=name, reason=reasons, after=after[:_MAX_AFTER_LENGTH] or None, limit=_PAGE_SIZE)
    except ValueError as error:
        return render(request, "error.html", title="Unmet requirements", detail=str(error), status_code=422)
    try:
        known = await remembered.ask(f"unmet {wanted.model_dump_json()}", partial(syncer.list_unmet, wanted))
    except ApiError as error:
        return render_api_error(request, error, title="Unmet requirements")
    return render(
        request,
        "unmet.html",
        found=known.value,
        as_of=known.outdated_since,
        project=name or "",
        reason=reason,
        reasons=_UNMET_DESCRIPTIONS,
    )


@router.get("/ui/use")
async def use(request: Request) -> Response:
    """Show the configuration of clients, with the address that this request was sent to."""
    return render(request, "use.html", mirror=Address.of_request(request.headers))


@router.get("/ui/alerts")
async def alerts(request: Request) -> Response:
    """Show the runbook of each alert; the alerts link here."""
    return render(request, "alerts.html")


@router.get("/ui/static/{digest}/{name}")
async def asset(digest: str, name: str) -> Response:
    """Return a style, script or icon; browsers may cache it forever, because its URL contains a digest."""
    found = ASSETS.get(name)
    if found is None or found.url != f"/ui/static/{digest}/{name}":
        return Response("404: not on this mirror\n", 404, media_type="text/plain")
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(found.content, headers=headers, media_type=found.media_type)


@router.get("/ui/{path:path}")
async def not_found(request: Request, path: str) -> Response:
    """Answer that the page does not exist."""
    detail = f"There is no page /ui/{path[:80]}."
    return render(request, "error.html", title="Page not found", detail=detail, status_code=404)


_UNMET_DESCRIPTIONS = {
    UnmetReason.NO_PROOF: "line cannot be installed",
    UnmetReason.NO_PROJECT: "no such project",
    UnmetReason.NO_RELEASE: "no such release",
    UnmetReason.NO_FILE: "no file for the machine",
    UnmetReason.HELD: "held by the cooldown",
    UnmetReason.BLOCKED: "blocked",
    UnmetReason.YANKED: "yanked",
    UnmetReason.UNREADABLE: "unreadable requirement",
    UnmetReason.BY_URL: "required by URL",
    UnmetReason.UNKNOWN: "requirements unknown",
    UnmetReason.FAILED: "not delivered by upstream",
}
