"""Queries in OSV's format, answered from the advisories in force: what pip-audit and ``uv audit`` ask."""

import re
from datetime import datetime
from typing import NamedTuple, TypeVar
from urllib.parse import unquote

import msgspec
from packaging.utils import NormalizedName, canonicalize_name

from mirror_syncer.config.advisories import Advisories, Advisory
from mirror_syncer.config.advisories.affected import MAX_VERSION_LENGTH, parse_version
from mirror_syncer.config.advisories.feed import AdvisorySource
from mirror_syncer.config.advisories.record import ECOSYSTEM, RecordError, parse_record
from mirror_syncer.errors import InvalidRequestError
from mirror_syncer.upstream.text import clean_line

MAX_QUERIES = 1_000
"""In a batch, as in OSV's own service."""
_PURL = re.compile(r"pkg:pypi/([^/@?#]+)(?:@([^/?#]+))?(?:[?#].*)?")
T = TypeVar("T")


class _Package(msgspec.Struct):
    name: str = ""
    ecosystem: str = ""
    purl: str = ""


class _Query(msgspec.Struct):
    package: _Package | None = None
    version: str = ""


class _Batch(msgspec.Struct):
    queries: list[_Query]


class _Subject(NamedTuple):
    """What a query is about."""

    project: NormalizedName
    version: str
    """Empty: any version."""


class OsvQueries:
    """
    Answers queries with JSON. Each answer is whole, since pip-audit reads no second page.

    Withdrawn records are left out: ``uv audit`` would report them.
    """

    def __init__(self, source: AdvisorySource) -> None:
        self._source = source

    def query(self, body: bytes) -> bytes:
        """
        Answer ``/v1/query`` with whole records, ``{}`` for none.

        Raises:
            InvalidRequestError: it is no query.
        """
        advisories, subject = self._source.current, _subject(_decode(body, _Query))
        if subject is None or not (found := _affecting(advisories, subject)):
            return b"{}"
        modified = advisories.modified(subject.project)
        kept = self._source.store.get_several([one.id for one in found])
        records = (kept.get(one.id) or _outline(one, subject, modified[one.id]) for one in found)
        return b'{"vulns":[%b]}' % b",".join(records)

    def batch(self, body: bytes) -> bytes:
        """
        Answer ``/v1/querybatch`` with the ids of records, in the order of the queries.

        Raises:
            InvalidRequestError: it is no batch, or has too many queries.
        """
        queries, advisories = _decode(body, _Batch).queries, self._source.current
        if len(queries) > MAX_QUERIES:
            raise InvalidRequestError(f"a batch may have {MAX_QUERIES:,} queries; this one has {len(queries):,}")
        return msgspec.json.encode({"results": [_references(advisories, _subject(query)) for query in queries]})

    def record(self, record_id: str) -> bytes | None:
        """Answer ``/v1/vulns/{id}`` with a record as its source gave it; None if it is unknown or withdrawn."""
        content = self._source.store.get(record_id) if self._source.current.records else None
        try:
            record = content and parse_record(content)
        except RecordError:
            return None
        return content if record and not record.withdrawn else None


def _decode(body: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequestError(f"not a query in OSV's format ({clean_line(str(error))[:120]})") from None


def _subject(query: _Query) -> _Subject | None:
    """Return what a query is about; None if that is no project of PyPI, such as a commit."""
    package = query.package
    if package is None:
        return None
    name, version = package.name if package.ecosystem == ECOSYSTEM else "", query.version
    if match := _PURL.fullmatch(package.purl):
        name, version = unquote(match[1]), version or unquote(match[2] or "")
    return _Subject(canonicalize_name(name), version) if name else None


def _affecting(advisories: Advisories, subject: _Subject) -> list[Advisory]:
    """Return the advisories about a version; a local version is affected if the public one is."""
    if len(subject.version) > MAX_VERSION_LENGTH:
        return []  # parsing it could take seconds, and no file has it
    version = parse_version(subject.version)
    if version is not None and version.local is not None:
        version = parse_version(version.public)
    return [
        advisory
        for advisory in advisories.about(subject.project)
        if not subject.version or advisory.affects(version, subject.version)
    ]


def _references(advisories: Advisories, subject: _Subject | None) -> dict[str, list[dict[str, str]]]:
    if subject is None or not (found := _affecting(advisories, subject)):
        return {}
    modified = advisories.modified(subject.project)
    return {"vulns": [{"id": one.id, "modified": _written(modified[one.id])} for one in found]}


def _outline(advisory: Advisory, subject: _Subject, modified: datetime) -> bytes:
    """Return what is known of a record whose text is not kept, because its source is damaged or the disk full."""
    affected = {
        "package": {"ecosystem": ECOSYSTEM, "name": subject.project},
        "versions": advisory.versions.splitlines() or [subject.version],
    }
    document = {
        "id": advisory.id,
        "modified": _written(modified),
        "aliases": advisory.aliases,
        "summary": advisory.summary,
        "affected": [affected],
    }
    return msgspec.json.encode(document)


def _written(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
