"""The syntax of a requirements file, as pip reads it: lines, comments, options and hashes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from mirror_syncer.config.locks.problem import WRONG_FILE, LockError

_MAX_LINE = 1_000_000  # characters after joining; 10,000 hashes would be less
_COMMENT = re.compile(r"(?:^|(?<=[ \t]))#.*")
_OPTION = re.compile(r"[ \t](?=-)")  # options follow the requirement
_HASH = re.compile(r"--hash(?:=|[ \t]+)(\S+)")
_INCLUDE = re.compile(r"(?:-(?P<short>[rc])[ \t=]*|--(?P<long>requirement|constraint)(?:[ \t]+|=))(?P<path>.*)")
_EDITABLE = re.compile(r"-e\b|--editable\b")
_PATH = re.compile(r"[./~\\]|[A-Za-z]:[/\\]")
_NAMED_URL = re.compile(r"[A-Za-z0-9][\w.-]*[ \t]*(?:\[[^\]]*\])?[ \t]*@")
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


class LineKind(Enum):
    """What a line of a requirements file is."""

    REQUIREMENT = auto()
    LOCATION = auto()
    """A path or a URL without a name."""
    EDITABLE = auto()
    INCLUDE = auto()
    CONSTRAINTS = auto()
    """A file whose lines restrict versions and require nothing."""
    OPTION = auto()
    """Any other option, such as ``--index-url``."""


@dataclass(frozen=True, slots=True)
class RequirementLine:
    """One line of a requirements file, after joining, without its comment."""

    kind: LineKind
    text: str
    """Of a requirement or location: without options. Of a file: its path. Otherwise: the whole line."""
    number: int
    hashes: tuple[str, ...] = ()
    """Such as ``sha256:…``, as the line has them."""


def read_requirement_lines(file: str, text: str) -> Iterator[RequirementLine]:
    """
    Yield each line that is not empty.

    Raises:
        LockError: a line is longer than any real one.
    """
    for line, number in _logical_lines(file, text):
        yield parse_requirement_line(line, number)


def parse_requirement_line(line: str, number: int) -> RequirementLine:
    """Return one line; it is already joined, without its comment and blanks at its ends."""
    if match := _INCLUDE.fullmatch(line):
        kind = LineKind.INCLUDE if match["short"] == "r" or match["long"] == "requirement" else LineKind.CONSTRAINTS
        return RequirementLine(kind, match["path"].strip().strip("\"'"), number)
    if line.startswith("-"):
        return RequirementLine(LineKind.EDITABLE if _EDITABLE.match(line) else LineKind.OPTION, line, number)
    text, *options = _OPTION.split(line, maxsplit=1)
    hashes = tuple(_HASH.findall(options[0])) if options else ()
    kind = LineKind.LOCATION if _is_location(text.partition(";")[0].strip()) else LineKind.REQUIREMENT
    return RequirementLine(kind, text.strip(), number, hashes)


def _is_location(text: str) -> bool:
    if _PATH.match(text):
        return True
    return not _NAMED_URL.match(text) and ("://" in text or text.lower().endswith(_ARCHIVES))


def _logical_lines(file: str, text: str) -> Iterator[tuple[str, int]]:
    """
    Yield each line that is not empty, with its number; lines that end in a backslash are joined, comments removed.

    A comment ends a joined line, as pip has it.
    """
    parts = list[str]()
    length = first = 0
    for number, raw in enumerate(text.splitlines(), start=1):
        is_comment = raw.lstrip().startswith("#")
        more = raw.endswith("\\") and not is_comment
        first = first if parts else number
        parts.append(raw[:-1] if more else f" {raw}" if is_comment else raw)
        length += len(raw)
        if length > _MAX_LINE:
            raise LockError(file, f"has a line that is too long; {WRONG_FILE}", line=first)
        if not more:
            if line := _COMMENT.sub("", "".join(parts)).strip():
                yield line, first
            parts, length = [], 0
    if line := _COMMENT.sub("", "".join(parts)).strip():
        yield line, first
