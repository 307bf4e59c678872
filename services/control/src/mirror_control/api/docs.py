"""The API's documentation as a page without scripts and external resources."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from mirror_control.access.auth import open_to_all

router = APIRouter(dependencies=[open_to_all])

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
    """Show every call and every schema of the OpenAPI document, with examples for curl."""
    html = _pages.get_template("docs.html").render(api=request.app.openapi(), style=_STYLE)
    return HTMLResponse(html, headers=_HEADERS)


def _type_of(schema: Mapping[str, Any]) -> str:
    """Return a JSON Schema in words, such as ``list of Run`` or ``integer or null``."""
    match schema:
        case {"$ref": ref}:
            text = str(ref).rpartition("/")[2]
        case {"anyOf": choices}:
            text = " or ".join(_type_of(choice) for choice in choices)
        case {"enum": values}:
            text = " | ".join(values)
        case {"type": "array", "items": items}:
            text = f"list of {_type_of(items)}"
        case {"type": "object", "additionalProperties": dict() as value}:
            text = f"map to {_type_of(value)}"
        case {"type": kind, "format": form}:
            text = f"{kind} ({form})"
        case _:
            text = str(schema.get("type", "anything"))
    return text


_pages = Environment(
    loader=PackageLoader("mirror_control", "ui"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_pages.filters["type_of"] = _type_of
