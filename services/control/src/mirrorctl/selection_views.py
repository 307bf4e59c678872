"""Views of the selection's lines."""

import json
from collections.abc import Iterable, Iterator

from rich.table import Table

from mirror_contract import AddedLine, LineSource, SelectedLine
from mirror_contract.text import printable
from mirrorctl.tables import new_table


def table(found: Iterable[SelectedLine]) -> Table:
    """Return a table of lines."""
    rows = new_table("line", "from", "added", "by", "reason")
    for one in found:
        made_at = "" if one.made_at is None else f"{one.made_at:%Y-%m-%d %H:%M} UTC"
        latest = "" if one.latest is None else f", latest = {one.latest}"
        source = "mirrorctl add" if one.source is LineSource.ADDED else str(one.source)
        rows.add_row(f"{printable(one.line)}{latest}", source, made_at, printable(one.by), printable(one.because))
    return rows


def toml(found: Iterable[SelectedLine]) -> str:
    """Return all lines as the key ``projects`` of ``mirror.toml``; comments say who added a line, when and why."""
    return "\n".join(("projects = [", *(f"    {row}" for one in found for row in _toml_rows(one)), "]"))


def _toml_rows(one: SelectedLine) -> Iterator[str]:
    if one.made_at is not None:
        yield f"# added by {printable(one.by)} on {one.made_at:%Y-%m-%d %H:%M} UTC: {printable(one.because)}"
    text = _toml_string(one.line)
    yield f"{text}," if one.latest is None else f"{{ name = {text}, latest = {one.latest} }},"


def _toml_string(text: str) -> str:
    """Return a text as TOML writes it; what could control a terminal is escaped."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in quoted)


def added(line: AddedLine) -> str:
    """Return what an addition does, as a sentence."""
    run = f"; run {line.run} mirrors it" if line.run else ""
    return f"{printable(line.line)} is selected{run}. To undo it: mirrorctl remove {line.project}"


def removed(line: AddedLine) -> str:
    """Return what a removal does, as a sentence."""
    run = f"; run {line.run} removes the project" if line.run else ""
    return f"The line {printable(line.line)} is removed{run}."
