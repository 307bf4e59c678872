"""The page of who changed what."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from mirror_control.access.auth import needs_read
from mirror_control.ui.rendering import render

router = APIRouter()


@router.post("/ui/audit", dependencies=[needs_read])
async def list_changes(request: Request) -> Response:
    """List the last changing calls, with who made them. By POST, so that no URL contains the token."""
    trail = request.app.state.audit_trail
    return render(request, "audit.html", entries=trail.newest_first(), since=trail.since)
