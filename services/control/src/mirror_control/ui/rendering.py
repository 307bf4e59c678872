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
from mirror_control.ui.actions import make_action

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


def compile_templates() -> None:
    """Compile all templates, which takes 0.3 s once; else the first view of a page takes up to 0.1 s longer."""
    for name in _pages.list_templates(extensions=["html"]):
        _pages.get_template(name)


def _make_printable(value: Any) -> Any:  # noqa: ANN401 - templates print any type
    """Make each printed text printable; markup comes from the templates and stays."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _prose(text: str) -> Markup:
    """Return a text with its backquoted parts as code."""
    text_part, code = Markup("{}"), Markup("<code>{}</code>")
    parts = enumerate(printable(text).split("`"))
    return Markup().join((code if odd % 2 else text_part).format(part) for odd, part in parts)


def _remedy(text: str) -> Markup:
    """Return a remedy of our own with a button that copies each command; never for text of anybody else."""
    button = Markup(' <button type="button" class="act copy" data-copy="">Copy<span class="unseen"> {}</span></button>')
    parts = [_prose(f"`{part}`" if odd % 2 else part) for odd, part in enumerate(text.split("`"))]
    commands = [part if odd % 2 else "" for odd, part in enumerate(text.split("`"))]
    return Markup().join(
        part + (button.format(command) if command.startswith("docker compose ") and "NAME" not in command else "")
        for part, command in zip(parts, commands, strict=True)
    )


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


def _short(text: str, most: int) -> str:
    """Return the beginning of a text that may have a megabyte, and how much is left out."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more characters)"


def _verbatim(text: str) -> Markup:
    """Return a text of many lines; each is printable, and tabs stay."""
    lines = ("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))
    return Markup("{}").format("\n".join(lines))


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
        "deadline": formatting.format_deadline,
        "machines": formatting.describe_machines,
        "prose": _prose,
        "remedy": _remedy,
        "seconds": _seconds,
        "short": _short,
        "span": formatting.format_duration,
        "time": _time,
        "type_of": _type_of,
        "verbatim": _verbatim,
    }
    pages.globals["make_action"] = make_action
    pages.globals["assets"] = {name: asset.url for name, asset in loaded.items()}
    return pages


ASSETS = assets.load_assets()
_pages = _environment(ASSETS)
