"""The held and blocked files of a page: ``_held`` in JSON, comments in HTML; for people and the next publication."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from html import escape
from typing import Any

import msgspec
from packaging.utils import NormalizedName

from mirror_syncer.errors import FileRejectedError
from mirror_syncer.model.names import parse_filename, parse_package_path
from mirror_syncer.model.page import HeldFile
from mirror_syncer.volume import AnyView

KEY = "_held"
"""PEP 691 leaves keys with an underscore to the server."""


class _Held(msgspec.Struct):
    filename: str
    reason: str
    until: str | None = None
    place: str | None = None
    blocked: bool = False


class _Page(msgspec.Struct):
    held: list[_Held] = msgspec.field(name=KEY, default=[])


_page = msgspec.json.Decoder(_Page)


def held_json(held: Iterable[HeldFile]) -> list[dict[str, Any]]:
    """
    Return ``_held``: of each file the name, the reason, the time of its publication (null: none), and its place.

    ``blocked`` distinguishes blocked files from files that wait.
    """
    return [
        {
            "filename": file.filename,
            "reason": file.reason,
            "until": None if file.until is None else _iso(file.until),
            "place": file.place,
            "blocked": file.blocked,
        }
        for file in held
    ]


def held_html(held: Iterable[HeldFile]) -> Iterator[str]:
    """Yield a comment for each file."""
    for file in held:
        # A comment ends at two dashes and a bracket.
        text = escape(f"{file.filename}: {file.reason}").replace("--", "- -")
        yield f"<!-- held: {text} -->"


def parse_held(body: bytes) -> tuple[HeldFile, ...]:
    """Return the held files of a page of ours in JSON; invalid entries are left out."""
    if b'"_held"' not in body:
        return ()
    try:
        entries = _page.decode(body).held
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    return tuple(file for entry in entries if (file := _parse(entry)) is not None)


def read_held(tree: AnyView, name: NormalizedName) -> tuple[HeldFile, ...]:
    """Return the held files of a published page; none if there is no page. It blocks for the disk."""
    body = tree.page(name)
    return () if body is None else parse_held(body)


def _parse(entry: _Held) -> HeldFile | None:
    try:
        place = None if entry.place is None else parse_package_path(entry.place)
        until = None if entry.until is None else int(datetime.fromisoformat(entry.until).timestamp())
        return HeldFile(parse_filename(entry.filename), entry.reason, until, place, entry.blocked)
    except (FileRejectedError, ValueError, OverflowError):
        return None


def _iso(seconds: int) -> str | None:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):  # after the year 9999
        return None
