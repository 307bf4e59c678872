"""Link headers (RFC 8288) to the next page of a list, so that clients need not read the body."""

from typing import Any

from fastapi import Request, Response

from mirror_control.api.address import prefix_of
from mirror_control.client.schemas import Item, Page

LINK_HEADER: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {
            "Link": {
                "description": 'The address of the next page, with `rel="next"`; absent on the last page.',
                "schema": {"type": "string"},
                "example": '</api/v1/projects?state=failing&after=six>; rel="next"',
            }
        }
    }
}


def add_next_link(page: Page[Item], *, request: Request, response: Response) -> None:
    """Set the ``Link`` header to the next page with the same filters, relative to the host."""
    if page.next is not None:
        url = request.url.include_query_params(after=page.next)
        response.headers["Link"] = f'<{prefix_of(request.headers)}{url.path}?{url.query}>; rel="next"'
