"""A TOML document for people: read by pydantic's models, with every problem at once, each with its key and line."""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from mirror_contract import PolicyProblem
from mirror_syncer.config.toml.lines import Path, is_deeper, locate_keys
from mirror_syncer.config.toml.values import shown

_POSITION = re.compile(r"(?P<message>.*) \(at (?:line (?P<line>\d+), column \d+|end of document)\)", re.DOTALL)
_DURATION = re.compile(r"(\d{1,5})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SIZE = re.compile(r"(\d{1,6}(?:\.\d+)?) ?(kB|MB|GB|TB|KiB|MiB|GiB|TiB)")
_SIZES = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZES |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SHARE = re.compile(r"(\d{1,3}(?:\.\d+)?)%")
_MAX_DEPTH = 100
_KEY_ERROR = "[key]"  # pydantic's last part of a place where a key is wrong, not its value
_NAMING = frozenset({"name", "allow"})  # keys that a line of a list stands for where it is no table


class Table(BaseModel):
    """
    A table of the document.

    A field's description says what is right, and completes "KEY = VALUE: must be …" where a value is wrong.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Line(Table):
    """A line of a list: a table, or in place of it the text of its most important key alone."""

    KEY: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _is_text_alone(cls, value: object) -> object:
        return value if isinstance(value, dict) else {cls.KEY: value}


T = TypeVar("T", bound=Table)


def _duration(value: object) -> timedelta:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be a number with m, h, d or w, as in "24h"')
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _share(value: object) -> float:
    match = _SHARE.fullmatch(value) if isinstance(value, str) else None
    if match is None or float(match[1]) > 100:  # noqa: PLR2004 - per cent
        raise ValueError('must be a share of all projects, as in "1%"')
    return float(match[1]) / 100


def _moment(value: object) -> datetime:
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        raise ValueError("must be a date or a time without quotes, as in 2026-12-24 or 2026-12-01T06:00:00Z")  # noqa: TRY004 - pydantic reads ValueError
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is before the year 1 or after 9999 in UTC") from None


def _size(value: object) -> int:
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be a size with kB, MB, GB or TB, as in "2GB"')
    return int(float(match[1]) * _SIZES[match[2]])


def quoted(example: str) -> BeforeValidator:
    """Return the check that an item of a list is text; the message names an example."""

    def check(value: object) -> object:
        if isinstance(value, str):
            return value
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        why = "; without quotes TOML reads a number, so 3.10 becomes 3.1" if number else ""
        raise ValueError(f"must be text in quotes, as in {shown(example)}{why}")

    return BeforeValidator(check)


Duration = Annotated[timedelta, BeforeValidator(_duration)]
"""Such as ``24h``."""
Moment = Annotated[datetime, BeforeValidator(_moment)]
"""A TOML date or time; UTC if it names no offset."""
Size = Annotated[int, BeforeValidator(_size)]
"""Such as ``2GB``, in bytes."""
Share = Annotated[float, BeforeValidator(_share)]
"""Such as ``1%``."""
Count = Annotated[int, Field(ge=1)]


class DocumentError(ValueError):
    """A document is wrong; ``problems`` are all of them, in the order of their lines."""

    def __init__(self, problems: Iterable[PolicyProblem]) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.line or 0)
        super().__init__("; ".join(map(str, self.problems)))


class TomlDocument:
    """
    A document that is TOML.

    Args:
        name: the file's, as messages say it.

    Raises:
        DocumentError: it is none.
    """

    def __init__(self, content: bytes, *, name: str) -> None:
        self.name = name
        try:
            text = content.decode("utf-8-sig")  # Notepad and PowerShell write a byte order mark
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise DocumentError([PolicyProblem(line=line, message="is not UTF-8; save the file as UTF-8")]) from error
        self.tables = load_toml(text)
        self._lines = locate_keys(text)

    def problem(self, path: Path, message: str) -> PolicyProblem:
        """Return what is wrong at a place; of what is absent, its table's line."""
        known = next((path[:length] for length in range(len(path), 0, -1) if path[:length] in self._lines), None)
        return PolicyProblem(line=self._lines[known] if known else None, key=_key(path), message=message)

    def read(self, shape: type[T]) -> tuple[T | None, list[PolicyProblem]]:
        """Return what the document says, or None and all that is wrong with it."""
        try:
            return shape.model_validate(self.tables), []
        except ValidationError as error:
            return None, [self._problem(shape, one) for one in error.errors(include_url=False)]

    def _problem(self, shape: type[Table], error: Any) -> PolicyProblem:  # noqa: ANN401 - pydantic's ErrorDetails
        path: Path = error["loc"]
        if path[-1] == _KEY_ERROR:  # a wrong key of a table whose keys people choose
            *table, key, _ = path
            message = f"{_key(tuple(table))}: {shown(key)}: {error['ctx']['error']}"
            return self.problem(path[:-1], message)
        if error["type"] == "extra_forbidden":
            return self.problem(path, self._unknown(path, known=_fields(shape, path[:-1])))
        value = shown(error["input"])
        given = f"{_key(path)}{' = ' if isinstance(path[-1], str) and path[-1] not in _NAMING else ': '}{value}"
        if error["type"] == "missing":
            return self.problem(path, f"{given} has no {path[-1]}")
        if error["type"] == "value_error":
            message = str(error["ctx"]["error"])
            # A message that begins with the value itself is a sentence about it.
            rest = message.removeprefix(value)
            return self.problem(path, f"{given}: {message}" if rest == message else f"{given}{rest}")
        return self.problem(path, f"{given}: must be {_description(shape, path) or error['msg']}")

    def _unknown(self, path: Path, *, known: Iterable[str]) -> str:
        close = difflib.get_close_matches(str(path[-1]), list(known), n=1)
        hint = (
            f"did you mean {'.'.join([*filter(None, [_key(path[:-1])]), close[0]])}?"
            if close
            else f"known: {', '.join(sorted(known))}"
        )
        return f"{_key(path)} is not a key of {self.name}; {hint}"


def load_toml(text: str) -> dict[str, Any]:
    """
    Return the tables of a TOML document.

    Raises:
        DocumentError: it is not TOML, or nests too deep.
    """
    if is_deeper(text, _MAX_DEPTH):  # tomllib takes the square of a dotted key's length
        raise DocumentError([PolicyProblem(message=f"nests more than {_MAX_DEPTH} levels deep")])
    try:
        return tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, or a number with more digits than Python reads
        found = _POSITION.fullmatch(str(error))
        last: int | None = int(found["line"]) if found and found["line"] else len(text.splitlines()) or None
        message = f"is not TOML: {found['message'] if found else error}"
        raise DocumentError([PolicyProblem(line=last, message=message)]) from error


def _key(path: Path) -> str:
    """Return a key as people write it: of an item in a list its name stands for the item."""
    if path[1:] and path[-1] in _NAMING and isinstance(path[-2], int):
        path = path[:-1]
    return ".".join(part for part in path if isinstance(part, str))


def _fields(shape: type[Table], path: Path) -> Mapping[str, FieldInfo]:
    """Return the fields of the table at a place; none if people choose the keys there."""
    for part in path:
        if isinstance(part, str):
            field = shape.model_fields.get(part)
            table = field and _table_of(field.annotation)
            if table is None:
                return {}
            shape = table
    return shape.model_fields


def _table_of(annotation: Any) -> type[Table] | None:  # noqa: ANN401 - any annotation
    """Return the table that an annotation names, also as the item of a list; None if it names none."""
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return annotation
    return next((found for part in get_args(annotation) if (found := _table_of(part))), None)


def _description(shape: type[Table], path: Path) -> str | None:
    """Return what is right at a place: a table, or what its field's description says, or that of the table around."""
    for length in range(len(path), 0, -1):
        *tables, last = path[:length]
        field: FieldInfo | None = _fields(shape, tuple(tables)).get(str(last))
        if field is None:
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, Table):
            return f"a table, [{_key(path[:length])}]"
        return field.description
    return None
