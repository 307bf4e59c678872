"""The page of a call of the syncer that failed."""

from starlette.requests import Request
from starlette.responses import Response

from mirror_control.client.api_client import ApiError, RefusedError
from mirror_control.ui.rendering import render


def render_api_error(request: Request, error: ApiError, *, title: str) -> Response:
    """Return the page of a failed call: what the syncer answered, or that it does not answer."""
    # Below 500 the caller can correct it; with a time to retry, the syncer is well and says what it waits for.
    if isinstance(error, RefusedError) and (error.problem.status < 500 or error.retry_after is not None):  # noqa: PLR2004
        status_code, detail = error.problem.status, str(error)
    else:
        status_code = 503
        detail = f"The syncer does not answer ({error}). nginx still serves all mirrored files."
    return render(request, "error.html", title=title, detail=detail, status_code=status_code)
