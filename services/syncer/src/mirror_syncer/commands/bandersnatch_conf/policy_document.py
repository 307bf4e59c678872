"""A ``mirror.toml`` in the making: its keys, each with a comment, written as TOML."""

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from mirror_contract.text import printable

Item: TypeAlias = str | int | Mapping[str, str | int]
Value: TypeAlias = bool | Item | Sequence[Item]

_TABLES = ("mirror", "machines", "files", "block", "serve")
_WIDTH = 120


class PolicyDocument:
    """The tables of a ``mirror.toml``, in the order in which the documentation shows them."""

    def __init__(self, preamble: Sequence[str]) -> None:
        self._preamble = preamble
        self._tables: dict[str, dict[str, tuple[Value, str]]] = {table: {} for table in _TABLES}
        self._epilogue: Sequence[str] = ()

    def set(self, table: str, key: str, value: Value, *, comment: str) -> None:
        """Set a key; the comment says which option it comes from."""
        self._tables[table][key] = (value, comment)

    def append_comments(self, lines: Sequence[str]) -> None:
        """Put comments at the end of the document."""
        self._epilogue = lines

    def render(self) -> str:
        """Return the document as TOML."""
        lines = [_comment(line) for line in self._preamble]
        for table, keys in self._tables.items():
            if keys:
                lines += ["", f"[{table}]"]
            for key, (value, comment) in keys.items():
                lines += [_comment(comment), f"{key} = {_toml(value, indented=True)}"]
        if self._epilogue:
            lines += ["", *map(_comment, self._epilogue)]
        return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    return f"# {printable(text)}".rstrip()


def _toml(value: Value, *, indented: bool = False) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    items = [_toml(item) for item in value]
    line = f"[{', '.join(items)}]"
    if not indented or len(line) < _WIDTH - 20:
        return line
    return "[\n" + "".join(f"  {item},\n" for item in items) + "]"


def _string(text: str) -> str:
    if "\\" in text and "'" not in text and text.isprintable():
        return f"'{text}'"  # a regular expression reads best as it is
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
