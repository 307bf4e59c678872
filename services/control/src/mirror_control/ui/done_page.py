"""The page that says what a form did."""

from collections.abc import Sequence
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from mirror_control.ui.rendering import render


def render_done(
    request: Request, *, title: str, project: str, run: str | None, warnings: Sequence[str] = ()
) -> Response:
    """Return the page that says what a form did about a project, what it did not change, and which run follows."""
    back = f"/ui/projects/{quote(project)}"
    return render(request, "done.html", title=title, warnings=warnings, run=run, back=back, back_name=project)
