"""One OSV record, parsed from JSON into values that are always valid."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from packaging.utils import NormalizedName, canonicalize_name

from mirror_syncer.config.advisories.affected import MAX_VERSION_LENGTH, Interval, read_range
from mirror_syncer.config.advisories.severity import Severity, rate_vector, worst
from mirror_syncer.errors import MirrorError
from mirror_syncer.model.names import Sha256
from mirror_syncer.upstream.text import clean_line

ECOSYSTEM = "PyPI"
MALWARE_PREFIX = "MAL-"
MAX_ENTRIES = 100_000
"""Of versions, events and aliases in one record; the largest real ones list some thousand versions."""
_MAX_MARKS = 4 * MAX_ENTRIES  # an event takes four at most, with those of its range: "{", "[" and ","
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_RANGE_TYPES = ("ECOSYSTEM", "SEMVER")  # GIT ranges name commits
_NO_EVENT = {"": ""}
_MAX_SUMMARY_LENGTH = 160
_MAX_NAME_LENGTH = 200
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class RecordError(MirrorError, ValueError):
    """
    A record is not in the OSV format, or is too large.

    Attributes:
        id: its id, as far as that is known.
    """

    def __init__(self, message: str, *, record_id: str | None = None) -> None:
        super().__init__(message)
        self.id = record_id


class Affected(NamedTuple):
    """What a record says about one project."""

    project: NormalizedName
    versions: str = ""
    """The versions that it lists, each on a line: 300,000 strings would take 30 MB."""
    intervals: tuple[Interval, ...] = ()
    fixed: tuple[str, ...] = ()
    hashes: frozenset[Sha256] = frozenset()


class Record(NamedTuple):
    """A record about projects of PyPI."""

    id: str
    aliases: tuple[str, ...]
    modified: datetime
    withdrawn: bool
    summary: str
    severity: Severity | None
    reviewed: bool
    affected: tuple[Affected, ...]
    notes: tuple[str, ...]
    """Its parts that have no effect, and why."""
    entries: int
    """How many versions, events and aliases it lists."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Its id and its aliases."""
        return self.id, *self.aliases


class _Package(msgspec.Struct):
    ecosystem: str = ""
    name: str = ""


class _Range(msgspec.Struct):
    type: str = ""
    events: list[dict[str, Any]] = []


class _Rating(msgspec.Struct):
    type: str = ""
    score: str = ""


class _Affected(msgspec.Struct):
    package: _Package | None = None
    ranges: list[_Range] | None = None
    versions: list[str] | None = None
    severity: list[_Rating] | None = None
    database_specific: msgspec.Raw = msgspec.Raw(b"null")


class _Identity(msgspec.Struct):
    id: str


class _Document(_Identity):
    modified: str = ""
    withdrawn: str | None = None
    aliases: list[str] | None = None
    summary: str | None = None
    details: str | None = None
    severity: list[_Rating] | None = None
    affected: list[_Affected] | None = None
    database_specific: msgspec.Raw = msgspec.Raw(b"null")


_decoder = msgspec.json.Decoder(_Document)


def parse_record(content: bytes) -> Record | None:
    """
    Return a record, or None if it concerns no project of PyPI.

    Raises:
        RecordError: it is not in the OSV format, or is too large. The message quotes only its id, if that is valid.
    """
    if content.count(b"{") > MAX_ENTRIES:  # each event is an object
        raise RecordError(f"not an OSV record (more than {MAX_ENTRIES:,} objects)")
    if len(content) > _MAX_MARKS and sum(map(content.count, (b"{", b"[", b","))) > _MAX_MARKS:
        raise _too_many_entries(_find_id(content))  # each empty list in it would take 64 bytes
    try:
        document = _decoder.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"not an OSV record ({clean_line(str(error))[:120]})", record_id=_find_id(content)) from None
    if not _ID.fullmatch(document.id):
        raise RecordError("not an OSV record (its id has characters that no id has)")
    ours = [one for one in document.affected or () if one.package is not None and one.package.ecosystem == ECOSYSTEM]
    if not ours:
        return None
    entries = _count_entries(document, ours)
    details = _as_object(document.database_specific)
    notes = list[str]()
    return Record(
        id=document.id,
        aliases=tuple(alias for alias in dict.fromkeys(document.aliases or ()) if _ID.fullmatch(alias)),
        modified=_parse_time(document.modified),
        withdrawn=bool(document.withdrawn),
        summary=_shorten(document.summary or document.details or ""),
        severity=worst(_ratings(document, ours, word=details.get("severity"))),
        reviewed=document.id.startswith("PYSEC-")
        or (document.id.startswith("GHSA-") and details.get("github_reviewed") is True),
        affected=tuple(_read_affected(ours, notes)),
        notes=tuple(f"{document.id}: {note}" for note in notes),
        entries=entries,
    )


def _find_id(content: bytes) -> str | None:
    """Return the id of a record that is otherwise not valid."""
    try:
        found = msgspec.json.decode(content, type=_Identity).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found if _ID.fullmatch(found) else None


def _count_entries(document: _Document, ours: list[_Affected]) -> int:
    events = sum(1 + len(one.events) for affected in ours for one in affected.ranges or ())
    versions = sum(1 + len(affected.versions or ()) for affected in ours)
    entries = events + versions + len(document.aliases or ())
    if entries > MAX_ENTRIES:
        raise _too_many_entries(document.id)
    return entries


def _too_many_entries(record_id: str | None) -> RecordError:
    problem = f"{record_id or 'it'} lists more than {MAX_ENTRIES:,} versions, events and aliases"
    return RecordError(problem, record_id=record_id)


def _read_affected(ours: list[_Affected], notes: list[str]) -> Iterator[Affected]:
    """Yield what a record says about each project; a project may come several times."""
    for one in ours:
        assert one.package is not None
        name = canonicalize_name(one.package.name)
        if not name or len(name) > _MAX_NAME_LENGTH or not name.isprintable():
            notes.append("a project's name in it is not valid")
            continue
        ranges = [
            read_range([(kind, str(text)) for event in found.events for kind, text in (event or _NO_EVENT).items()])
            for found in one.ranges or ()
            if found.type in _RANGE_TYPES
        ]
        notes += (
            f"{clean_line(found.unknown)[:60]!r} in a range of {name} is not a version, so only versions that the"
            " record lists are affected"
            for found in ranges
            if found.unknown is not None
        )
        hashes = _hashes(one.database_specific)
        if not ranges and not one.versions and not hashes:
            notes.append(f"no versions of {name} in it, so it affects none")
        yield Affected(
            project=name,
            versions=_join(one.versions or []),
            intervals=tuple(dict.fromkeys(interval for found in ranges for interval in found.intervals)),
            fixed=tuple(dict.fromkeys(version for found in ranges for version in found.fixed)),
            hashes=hashes,
        )


def _join(versions: list[str]) -> str:
    """Return versions, each on a line; without texts that no file name contains, such as one with a line break."""
    if not "".join(versions).isprintable() or max(map(len, versions), default=0) > MAX_VERSION_LENGTH:
        versions = [text for text in versions if text.isprintable() and len(text) <= MAX_VERSION_LENGTH]
    return "\n".join(dict.fromkeys(versions))


def _ratings(document: _Document, ours: list[_Affected], *, word: object) -> Iterator[Severity | None]:
    for ratings in (document.severity, *(one.severity for one in ours)):
        for rating in (ratings or ())[:20]:  # one for each version of CVSS
            yield rate_vector(rating.type, rating.score)
    if isinstance(word, str):
        yield Severity.parse(word)


def _hashes(raw: msgspec.Raw) -> frozenset[Sha256]:
    """Return the digests in ``indicators.package_integrity[].hashes.sha256``, where newer MAL records have them."""
    if b"package_integrity" not in bytes(raw):
        return frozenset()
    indicators = _as_object(raw).get("indicators")
    files = indicators.get("package_integrity") if isinstance(indicators, dict) else None
    found = set[Sha256]()
    for file in files if isinstance(files, list) else ():
        hashes = file.get("hashes") if isinstance(file, dict) else None
        digest = hashes.get("sha256") if isinstance(hashes, dict) else None
        if isinstance(digest, str) and _SHA256.fullmatch(digest):
            found.add(Sha256(digest.lower()))
    return frozenset(found)


def _as_object(raw: msgspec.Raw) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _parse_time(text: str) -> datetime:
    """Return a time; one that is missing or invalid counts as long ago, so that it makes no feed look fresh."""
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return _LONG_AGO


def _shorten(text: str) -> str:
    line = " ".join(clean_line(text[: 4 * _MAX_SUMMARY_LENGTH]).split())
    return line if len(line) <= _MAX_SUMMARY_LENGTH else f"{line[: _MAX_SUMMARY_LENGTH - 1].rstrip()}…"
