"""The way from one part of a list to the next, as a header: clients follow it without reading the answer (RFC 8288)."""

from typing import Any

from fastapi import Request, Response

from mirror_control.api.address import prefix_of
from mirror_control.client.shapes import Item, Page

LINKED: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {
            "Link": {
                "description": 'With `rel="next"`, the address of the part after this one; absent at the end.',
                "schema": {"type": "string"},
                "example": '</api/v1/projects?state=failing&after=six>; rel="next"',
            }
        }
    }
}


def link(page: Page[Item], *, request: Request, response: Response) -> None:
    """Let the answer's ``Link`` lead to the next part, by the same filters; the host is the proxy's to say."""
    if page.next is not None:
        url = request.url.include_query_params(after=page.next)
        response.headers["Link"] = f'<{prefix_of(request.headers)}{url.path}?{url.query}>; rel="next"'
