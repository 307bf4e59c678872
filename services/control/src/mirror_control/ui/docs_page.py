"""The API's documentation as a page of the site, without scripts and external resources."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from mirror_control.access.auth import open_to_all
from mirror_control.ui.rendering import render

router = APIRouter(dependencies=[open_to_all])


@router.get("/api/docs")
async def page(request: Request) -> Response:
    """Show every call and every schema of the OpenAPI document, with examples for curl."""
    return render(request, "docs.html", api=request.app.openapi())
