"""A ``mirror.toml`` in the making: its keys, each with a comment, written as TOML."""

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from mirror_contract.text import printable

Item: TypeAlias = str | int | Mapping[str, str | int]
Value: TypeAlias = bool | Item | Sequence[Item]

_TABLES = ("mirror", "dependencies", "machines", "files", "block", "serve")
_WIDTH = 120  # columns


class PolicyDocument:
    """The tables of a ``mirror.toml``, in the order in which the documentation shows them."""

    def __init__(self, preamble: Sequence[str]) -> None:
        self._preamble = preamble
        self._tables: dict[str, dict[str, tuple[Value, str]]] = {table: {} for table in _TABLES}
        self._epilogue: Sequence[str] = ()

    def set(self, table: str, key: str, value: Value, *, comment: str) -> None:
        """Set a key; the comment says which option it comes from. A tuple is a list of short words."""
        self._tables[table][key] = (value, comment)

    def append_comments(self, lines: Sequence[str]) -> None:
        """Put comments at the end of the document."""
        self._epilogue = lines

    def render(self) -> str:
        """Return the document as TOML."""
        lines = [*_comments(self._preamble)]
        for table, keys in self._tables.items():
            if keys:
                lines += ["", f"[{table}]"]
            for key, (value, comment) in keys.items():
                lines += [*_comments([comment]), *_assignment(key, value)]
        if self._epilogue:
            lines += ["", *_comments(self._epilogue)]
        return "\n".join(lines) + "\n"


def _comments(sentences: Sequence[str]) -> Iterator[str]:
    for sentence in sentences:
        yield from textwrap.wrap(
            printable(sentence), _WIDTH, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False
        )


def _assignment(key: str, value: Value) -> Iterator[str]:
    """Yield the lines of a key; a long list of names has one a line, a long list of short words fills its lines."""
    line = f"{key} = {_toml(value)}"
    if len(line) <= _WIDTH or not isinstance(value, Sequence) or isinstance(value, str):
        yield line
        return
    yield f"{key} = ["
    if isinstance(value, tuple):
        items = ", ".join(map(_toml, value))
        yield from textwrap.wrap(items, _WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
    else:
        yield from (f"  {_toml(item)}," for item in value)
    yield "]"


def _toml(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return f"[{', '.join(map(_toml, value))}]"


def _string(text: str) -> str:
    if "\\" in text and "'" not in text and text.isprintable():
        return f"'{text}'"  # a regular expression reads best as it is
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
