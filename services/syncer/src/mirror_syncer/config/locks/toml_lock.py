"""A lock that is TOML: its tables, and the line of each package."""

import re
from collections.abc import Iterator
from typing import Any

from mirror_syncer.config.locks.collector import MAX_PINS
from mirror_syncer.config.locks.problem import WRONG_FILE, LockError
from mirror_syncer.config.toml.document import DocumentError, load_toml

_HEADER = re.compile(r"^[ \t]*\[\[[ \t]*packages?[ \t]*\]\]", re.MULTILINE)

Table = dict[str, Any]


class TomlLock:
    """
    A TOML document of packages.

    Args:
        file: its name, as messages show it.

    Raises:
        LockError: it is not TOML, or has too many tables.
    """

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        if text.count("\n[[") > MAX_PINS:  # before tomllib builds them
            raise LockError(file, f"has more than {MAX_PINS:,} packages; {WRONG_FILE}")
        try:
            self.tables = load_toml(text)
        except DocumentError as error:
            problem = error.problems[0]
            message = f"{problem.message}; lock again, or copy the file again"
            raise LockError(file, message, line=problem.line) from error
        self._text = text

    def table(self, key: str) -> Table:
        """Return a table of the top level; an empty one if there is none."""
        value = self.tables.get(key)
        return value if isinstance(value, dict) else {}

    def packages(self, key: str) -> Iterator[tuple[Table, int | None]]:
        """
        Yield the tables of a list, such as ``[[package]]``, each with its line.

        Raises:
            LockError: it is not a list of tables.
        """
        found = self.tables.get(key, [])
        if not isinstance(found, list) or not all(isinstance(package, dict) for package in found):
            raise LockError(self.file, f"{key} must be a list of tables; lock again")
        lines = self._header_lines()
        # An inline list, or a header inside a text of many lines: the line is unknown.
        yield from zip(found, lines if len(lines) == len(found) else [None] * len(found), strict=True)

    def _header_lines(self) -> list[int | None]:
        lines = list[int | None]()
        line, at = 1, 0
        for header in _HEADER.finditer(self._text):
            line += self._text.count("\n", at, header.start())
            at = header.start()
            lines.append(line)
        return lines


def file_hashes(files: object) -> Iterator[object]:
    """Yield the ``hash`` of each table of a list, or of one table, as uv, poetry and pdm write files."""
    for file in files if isinstance(files, list) else [files]:
        if isinstance(file, dict) and "hash" in file:
            yield file["hash"]


def major(version: object) -> str:
    """Return the first part of a format's version, such as ``2`` of ``"2.1"``."""
    return str(version).partition(".")[0]
