"""
Where the keys of a TOML document stand: ``tomllib`` keeps no positions, and a message without its line is half a help.

The document is valid when it comes here, so nothing is checked; only what moves a position is looked at.
"""

import re
import tomllib
from collections.abc import Iterator
from typing import NamedTuple

Path = tuple[str | int, ...]
"""Table names, keys and positions in lists, as in ``("mirror", "projects", 2)``."""

# No part of it goes back, since that would take 130 bytes for each character of a string.
_TOKEN = re.compile(
    r'(?P<string>"""(?:[^"\\]++|\\.|"(?!""))*+"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\]++|\\.)*+"|\'[^\']*+\')'
    r"|(?P<skip>[ \t\r]+|#[^\n]*)|(?P<newline>\n)|(?P<mark>[\[\]{},=.])|(?P<word>[^\s\[\]{},=.#\"']+)",
    re.DOTALL,
)
_END = "\n"
_OPENING, _CLOSING = frozenset("[{"), frozenset("]}")


class _Token(NamedTuple):
    text: str
    line: int


def locate_keys(text: str) -> dict[Path, int]:
    """Return the line, counted from 1, of each table, key and list item of a valid TOML document."""
    return _Scanner(text).lines


def is_deeper(text: str, levels: int) -> bool:
    """Return whether a text nests deeper, valid or not: by brackets, or by the dots of one key."""
    brackets = dots = 0
    was_dot = False
    for match in _TOKEN.finditer(text):
        if match.lastgroup == "skip":
            continue
        mark = match[0] if match.lastgroup == "mark" else ""
        if mark == ".":
            dots, was_dot = dots + 1, True
        else:
            brackets = max(0, brackets + (mark in _OPENING) - (mark in _CLOSING))
            dots, was_dot = dots if was_dot else 0, False
        if brackets > levels or dots > levels:
            return True
    return False


class _Scanner:
    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._tables: dict[Path, int] = {}
        """How many tables each ``[[array]]`` has so far."""
        self._tokens = list(_tokens(text))
        self._at = 0
        table: Path = ()
        while self._at < len(self._tokens):
            if self._peek() == _END:
                self._at += 1
            elif self._peek() == "[":
                table = self._header()
            else:
                self._pair(table)

    def _peek(self) -> str:
        return self._tokens[self._at].text if self._at < len(self._tokens) else ""

    def _take(self) -> _Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _note(self, path: Path, line: int) -> None:
        """Keep where a key stands first: ``a.b = 1`` is also where ``a`` is."""
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], line)

    def _header(self) -> Path:
        line = self._take().line
        is_array = self._peek() == "["
        if is_array:
            self._at += 1
        path: Path = ()
        for key in self._keys():
            path = (*path, key)
            if not is_array or self._peek() != "]":  # what is inside an [[array]] belongs to its last table
                path += (self._tables[path] - 1,) if path in self._tables else ()
        if is_array:
            self._note(path, line)
            self._tables[path] = self._tables.get(path, 0) + 1
            path = (*path, self._tables[path] - 1)
            self._at += 1
        self._at += 1
        self._note(path, line)
        return path

    def _pair(self, table: Path) -> None:
        line = self._tokens[self._at].line
        path = (*table, *self._keys())
        self._note(path, line)
        self._at += 1  # =
        self._value(path)

    def _keys(self) -> Iterator[str]:
        """Take a dotted key; the token after it is next when its last part is given out."""
        while True:
            text = self._take().text
            more = self._peek() == "."
            yield tomllib.loads(f"k = {text}")["k"] if text[0] in "\"'" else text
            if not more:
                return
            self._at += 1

    def _value(self, path: Path) -> None:
        match self._peek():
            case "[":
                self._list(path)
            case "{":
                self._inline_table(path)
            case _:  # also what has parts, such as 1.5 or a date and a time
                while self._peek() not in {",", "]", "}", _END, ""}:
                    self._at += 1

    def _list(self, path: Path) -> None:
        self._at += 1
        number = 0
        while (text := self._peek()) != "]":
            if text in {",", _END}:
                self._at += 1
                continue
            self._note((*path, number), self._tokens[self._at].line)
            self._value((*path, number))
            number += 1
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while (text := self._peek()) != "}":
            if text in {",", _END}:
                self._at += 1
                continue
            self._pair(path)
        self._at += 1


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    for match in _TOKEN.finditer(text):
        if match.lastgroup != "skip":
            yield _Token(match[0], line)
        line += match[0].count("\n")
