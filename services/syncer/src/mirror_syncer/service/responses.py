"""Responses of the private API: a model, or a part of a list, as JSON."""

import json
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel

# A run may have a hundred failures: 200 such runs would take 25 MB, and a few responses all of control's memory.
_MAX_PAGE_BYTES = 2**18
M = TypeVar("M", bound=BaseModel)


def json_response(model: BaseModel, *, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    """Return a model."""
    return web.Response(body=model.model_dump_json().encode(), status=status, content_type="application/json")


def page_response(
    found: Sequence[M], *, limit: int, key: Callable[[M], str], rest: str | None = None, **more: object
) -> web.Response:
    """
    Return up to ``limit`` items, fewer if they are large but at least one, and where the rest begins.

    Args:
        found: one more than ``limit``, if there are more.
        rest: where the rest begins after all of ``found``; None: there is no more.
        more: further fields, which JSON can hold.
    """
    items, size = list[bytes](), 0
    for item in found[:limit]:
        encoded = item.model_dump_json().encode()
        size += len(encoded)
        if items and size > _MAX_PAGE_BYTES:
            break
        items.append(encoded)
    next_key = key(found[len(items) - 1]) if len(items) < len(found) else rest
    fields = json.dumps({"next": next_key, **more}, separators=(",", ":")).encode()
    body = b'{"items":[%b],%b' % (b",".join(items), fields.removeprefix(b"{"))
    return web.Response(body=body, content_type="application/json")
