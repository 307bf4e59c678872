"""The API's description as a page of its own: no script, nothing from elsewhere."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from mirror_control.access.auth import everyone

router = APIRouter(dependencies=[everyone])

_STYLE = files("mirror_control").joinpath("ui/docs.css").read_text()
_DIGEST = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_DIGEST}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@router.get("/api/docs")
async def page(request: Request) -> HTMLResponse:
    """Show every call and every shape of the OpenAPI document, with examples for curl."""
    html = _pages.get_template("docs.html").render(api=request.app.openapi(), style=_STYLE)
    return HTMLResponse(html, headers=_HEADERS)


def _type_of(schema: Mapping[str, Any]) -> str:
    """Return a JSON Schema as a reader would say it, such as ``list of Run`` or ``integer or null``."""
    match schema:
        case {"$ref": ref}:
            said = str(ref).rpartition("/")[2]
        case {"anyOf": choices}:
            said = " or ".join(_type_of(choice) for choice in choices)
        case {"enum": words}:
            said = " | ".join(words)
        case {"type": "array", "items": items}:
            said = f"list of {_type_of(items)}"
        case {"type": "object", "additionalProperties": dict() as value}:
            said = f"map to {_type_of(value)}"
        case {"type": kind, "format": form}:
            said = f"{kind} ({form})"
        case _:
            said = str(schema.get("type", "anything"))
    return said


_pages = Environment(
    loader=PackageLoader("mirror_control", "ui"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_pages.filters["type_of"] = _type_of
