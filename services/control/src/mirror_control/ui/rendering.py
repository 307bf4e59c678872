"""Templates become answers: escaped, harmless, and under a policy that lets a browser run our own scripts alone."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich.filesize import decimal
from starlette.requests import Request
from starlette.responses import HTMLResponse

from mirror_contract import Run
from mirror_contract.text import plain
from mirror_control.api.address import root_of
from mirror_control.client import words
from mirror_control.ui import assets

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # It tells what is now, to who asks: the snippets name the host as the request did.
    "Cache-Control": "no-store",
}


def render(request: Request, template: str, *, status_code: int = 200, **given: object) -> HTMLResponse:
    """Return the page for a request; a template that names what it was not given fails."""
    root = root_of(request.scope["raw_path"].decode("latin-1"))
    html = _pages.get_template(template).render(given, now=datetime.now(UTC), root=root)
    return HTMLResponse(html, status_code=status_code, headers=HEADERS)


def _harmless(value: Any) -> Any:  # noqa: ANN401 - whatever a template prints
    """Take from every text that is printed what steers a terminal or turns a line around; markup is our own."""
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _prose(text: str) -> Markup:
    """Show what stands in backquotes as code."""
    said, code = Markup("{}"), Markup("<code>{}</code>")
    parts = enumerate(plain(text).split("`"))
    return Markup().join((code if odd % 2 else said).format(part) for odd, part in parts)


def _time(moment: datetime | None) -> Markup:
    """Show how long ago something was; the moment itself is behind it."""
    if moment is None:
        return Markup("never")
    told = moment.astimezone(UTC)
    markup = Markup('<time datetime="{}" title="{}">{}</time>')
    return markup.format(told.isoformat(timespec="seconds"), f"{told:%Y-%m-%d %H:%M:%S} UTC", words.ago(moment))


def _seconds(run: Run) -> float:
    """Return how long a run took, or takes so far."""
    if run.started_at is None:
        return 0
    return ((run.finished_at or datetime.now(UTC)) - run.started_at).total_seconds()


def _remaining(run: Run) -> str:
    """Return when a run will be done if it goes on as it went so far; nothing while that would be a guess."""
    counts = run.counts
    if counts.projects_done * 50 < counts.projects_planned or not counts.projects_done:
        return ""
    left = _seconds(run) / counts.projects_done * (counts.projects_planned - counts.projects_done)
    return f"about {words.span(left)} left"


def _environment(loaded: Mapping[str, assets.Asset]) -> Environment:
    pages = Environment(
        loader=PackageLoader("mirror_control", "ui"),
        autoescape=True,
        finalize=_harmless,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {
        "bytes": decimal,
        "prose": _prose,
        "remaining": _remaining,
        "seconds": _seconds,
        "span": words.span,
        "time": _time,
    }
    pages.globals["assets"] = {name: asset.url for name, asset in loaded.items()}
    return pages


ASSETS = assets.load()
_pages = _environment(ASSETS)
