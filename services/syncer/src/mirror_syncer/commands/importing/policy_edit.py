"""The edit of ``mirror.toml``: lines are added, and everything else stays as it is, comments and layout included."""

from collections.abc import Sequence
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Array, Item

from mirror_syncer.config.toml.document import load_toml
from mirror_syncer.config.toml.lines import locate_keys

_BYTE_ORDER_MARK = "\ufeff"
_INDENT = "  "
_MAX_COLUMNS = 100  # of an array that stays on one line
PROJECTS = ("mirror", "projects")
LOCKS = ("dependencies", "locks")


class EditError(ValueError):
    """The document has a form that cannot be edited."""


def add_lines(content: bytes, *, projects: Sequence[str], locks: Sequence[str]) -> bytes:
    """
    Return a document with more lines; it must be valid TOML.

    Raises:
        EditError: its form cannot be edited; the message names what to add by hand.
    """
    text = content.decode("utf-8-sig")
    mark = _BYTE_ORDER_MARK if content.startswith(_BYTE_ORDER_MARK.encode()) else ""
    before = load_toml(text)
    try:
        edited = _edit(text, projects, locks)
        after = load_toml(edited)
    except (TOMLKitError, TypeError, AttributeError, KeyError, ValueError) as error:
        raise EditError(_by_hand(projects, locks)) from error
    lines, tables = list(projects), [{"name": text} for text in projects]  # the latter for [[mirror.projects]]
    if after not in (_expected(before, lines, locks), _expected(before, tables, locks)):
        raise EditError(_by_hand(projects, locks))
    is_windows = text.count("\r\n") == text.count("\n") > 0
    return (mark + (edited.replace("\r\n", "\n").replace("\n", "\r\n") if is_windows else edited)).encode()


def lines_of_projects(content: bytes) -> dict[int, int]:
    """Return the line of each item of ``projects``, by its position."""
    lines = locate_keys(content.decode("utf-8-sig"))
    positions = ((path[len(PROJECTS) :], line) for path, line in lines.items() if path[: len(PROJECTS)] == PROJECTS)
    return {rest[0]: line for rest, line in positions if len(rest) == 1 and isinstance(rest[0], int)}


def _edit(text: str, projects: Sequence[str], locks: Sequence[str]) -> str:
    document = tomlkit.parse(text)
    for (table, key), added in ((PROJECTS, projects), (LOCKS, locks)):
        if not added:
            continue
        if table not in document:
            document.add(table, tomlkit.table())
        tables: Any = document[table]
        if key not in tables:
            tables[key] = tomlkit.array()
        _extend(tables[key], added)
    return tomlkit.dumps(document)


def _extend(lines: Any, added: Sequence[str]) -> None:  # noqa: ANN401 - any item of TOML
    if isinstance(lines, AoT):  # [[mirror.projects]]
        for text in added:
            table = tomlkit.table()
            table["name"] = _string(text)
            lines.append(table)
        return
    if not isinstance(lines, Array):
        raise TypeError(type(lines).__name__)
    is_one_line = "\n" not in lines.as_string()
    if is_one_line and len(added) == 1 and len(lines.as_string()) + len(added[0]) < _MAX_COLUMNS:
        lines.append(_string(added[0]))
        return
    for text in added:
        lines.add_line(_string(text), indent=_INDENT)
    if is_one_line:
        lines.add_line(indent="")  # the closing bracket has a line of its own


def _string(text: str) -> Item:
    """Return a string; a marker's quotes are easier to read without backslashes."""
    is_plain = text.isprintable() and "'" not in text and ('"' in text or "\\" in text)
    return tomlkit.string(text, literal=is_plain)


def _expected(before: dict[str, Any], projects: Sequence[Any], locks: Sequence[str]) -> dict[str, Any]:
    """Return the tables that the edited document must have."""
    expected = dict(before)
    for (table, key), added in ((PROJECTS, projects), (LOCKS, locks)):
        if added:
            old = expected.get(table, {})
            expected[table] = {**old, key: [*old.get(key, []), *added]}
    return expected


def _by_hand(projects: Sequence[str], locks: Sequence[str]) -> str:
    parts = [
        f"[{table}] {key}: {', '.join(added)}"
        for (table, key), added in ((PROJECTS, projects), (LOCKS, locks))
        if added
    ]
    return f"its form cannot be edited; add by hand to {'; '.join(parts)}"
