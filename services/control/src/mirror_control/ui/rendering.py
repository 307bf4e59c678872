"""Rendering of templates: escaped, printable, and with a policy that only allows the mirror's own scripts."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich.filesize import decimal
from starlette.requests import Request
from starlette.responses import HTMLResponse

from mirror_contract import Run
from mirror_contract.text import printable
from mirror_control.api.address import root_of
from mirror_control.client import formatting
from mirror_control.ui import assets

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # The page shows the current state, and its snippets contain the host of the request.
    "Cache-Control": "no-store",
}


def render(request: Request, template: str, *, status_code: int = 200, **context: object) -> HTMLResponse:
    """Render a template for a request; an undefined variable is an error."""
    html = render_text(template, root=root_of(request.scope["raw_path"].decode("latin-1")), **context)
    return HTMLResponse(html, status_code=status_code, headers=HEADERS)


def render_text(template: str, *, root: str = ".", **context: object) -> str:
    """Return a rendered template; ``root`` leads from the page to the mirror's root."""
    return _pages.get_template(template).render(context, now=datetime.now(UTC), root=root)


def _make_printable(value: Any) -> Any:  # noqa: ANN401 - templates print any type
    """Make each printed text printable; markup comes from the templates and stays."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _prose(text: str) -> Markup:
    """Return a text with its backquoted parts as code."""
    text_part, code = Markup("{}"), Markup("<code>{}</code>")
    parts = enumerate(printable(text).split("`"))
    return Markup().join((code if odd % 2 else text_part).format(part) for odd, part in parts)


def _time(time: datetime | None) -> Markup:
    """Return a relative time whose tooltip has the exact one."""
    if time is None:
        return Markup("never")
    utc = time.astimezone(UTC)
    markup = Markup('<time datetime="{}" title="{}">{}</time>')
    return markup.format(
        utc.isoformat(timespec="seconds"), f"{utc:%Y-%m-%d %H:%M:%S} UTC", formatting.format_time(time)
    )


def _seconds(run: Run) -> float:
    """Return how long a run took, or has taken so far."""
    if run.started_at is None:
        return 0
    return ((run.finished_at or datetime.now(UTC)) - run.started_at).total_seconds()


def _remaining(run: Run) -> str:
    """Return the estimated rest of a run; empty before 2 % are done, when it would be a guess."""
    counts = run.counts
    if counts.projects_done * 50 < counts.projects_planned or not counts.projects_done:
        return ""
    left = _seconds(run) / counts.projects_done * (counts.projects_planned - counts.projects_done)
    return f"about {formatting.format_duration(left)} left"


def _environment(loaded: Mapping[str, assets.Asset]) -> Environment:
    pages = Environment(
        loader=PackageLoader("mirror_control", "ui"),
        autoescape=True,
        finalize=_make_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {
        "bytes": decimal,
        "count": formatting.format_count,
        "machines": formatting.describe_machines,
        "prose": _prose,
        "remaining": _remaining,
        "seconds": _seconds,
        "span": formatting.format_duration,
        "time": _time,
    }
    pages.globals["assets"] = {name: asset.url for name, asset in loaded.items()}
    return pages


ASSETS = assets.load_assets()
_pages = _environment(ASSETS)
