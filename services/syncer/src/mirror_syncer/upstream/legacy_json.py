"""
The client of the legacy JSON API, ``/pypi/<project>/json``, which adds details that a page lacks.

PyPI used it before PEP 691; only Warehouse's documentation specifies it. The page alone decides which files exist and
describes them; values that the page also has are ignored here.
"""

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import msgspec
from packaging.utils import NormalizedName

from mirror_syncer.errors import InvalidPageError, RefusedError
from mirror_syncer.model.names import Sha256
from mirror_syncer.model.page import Page
from mirror_syncer.model.priority import Priority
from mirror_syncer.upstream.http.client import Client
from mirror_syncer.upstream.json import parse_json
from mirror_syncer.upstream.page import check_name, parse_serial
from mirror_syncer.upstream.repair import decode_json
from mirror_syncer.upstream.text import clean_document, clean_line, clean_lines

_MIN_THREADED_BYTES = 256 * 1024  # larger documents are parsed in a thread
# The largest on PyPI have some 20 MB. A file's entry has about 22 commas.
_MAX_BODY_BYTES = 128 * 2**20
_MAX_COMMAS = 4_000_000
_MAX_ABOUT_BYTES = 8 * 2**20  # of parts passed on unchanged: a long description, many vulnerabilities
# It becomes part of a URL. The longest on PyPI has 201, in a file name of 253.
_MAX_VERSION_CHARS = 2_000
# The keys of a file's entry that a page also has, and their names in PEP 691.
_PAGE_KEYS = {
    "filename": "filename",
    "url": "url",
    "digests": "hashes",
    "size": "size",
    "upload_time_iso_8601": "upload-time",
    "requires_python": "requires-python",
    "core-metadata": "core-metadata",
}
_DIGESTS = {"md5": re.compile(r"[0-9a-f]{32}"), "blake2b_256": re.compile(r"[0-9a-f]{64}")}


class LegacyFile(msgspec.Struct, frozen=True):
    """The details of a file that only the legacy document has."""

    sha256: Sha256
    version: str
    """The release that contains it."""
    digests: dict[str, str]
    """md5 and blake2b_256, if given."""
    comment_text: str = ""
    packagetype: str | None = None
    python_version: str | None = None


@dataclass(frozen=True, slots=True)
class LegacyDocument:
    """The legacy document of a project, or of one version."""

    version: str
    """The release that ``info`` and ``vulnerabilities`` describe."""
    info: dict[str, Any]
    """Passed on unchanged; no decision depends on it."""
    vulnerabilities: list[Any] = field(default_factory=list)
    ownership: dict[str, Any] | None = None
    files: Mapping[str, LegacyFile] = field(default_factory=dict)
    """By file name; empty for the document of one version."""
    serial: int | None = None


class _Entry(msgspec.Struct):
    filename: str
    digests: dict[str, str]
    comment_text: str | None = None
    packagetype: str | None = None
    python_version: str | None = None


class _Document(msgspec.Struct):
    info: msgspec.Raw
    # Raw: one invalid entry must not invalidate the others.
    releases: dict[str, msgspec.Raw] = {}
    vulnerabilities: msgspec.Raw = msgspec.Raw(b"[]")
    ownership: msgspec.Raw = msgspec.Raw(b"null")
    last_serial: Any = None


_document = msgspec.json.Decoder(_Document)
_entries = msgspec.json.Decoder(list[msgspec.Raw])
_entry = msgspec.json.Decoder(_Entry)


class LegacyIndex:
    """
    The legacy JSON API of an index.

    Args:
        origin: as for ``Index``.
    """

    def __init__(self, origin: str, *, client: Client) -> None:
        self._origin = origin
        self._client = client

    async def document(
        self, name: NormalizedName, *, version: str | None = None, priority: Priority
    ) -> LegacyDocument | None:
        """
        Request the document of a project or of one version; return None if upstream has none.

        The request has no validators: it follows a change of the page, which also changes the document.

        Raises:
            UpstreamError: the request failed.
            InvalidPageError: the response is not a legacy document.
        """
        path = name if version is None else f"{name}/{quote(version, safe='')}"
        answer = await self._client.get(
            f"{self._origin}/pypi/{path}/json",
            endpoint="legacy_json",
            headers={"Accept": "application/json"},
            priority=priority,
        )
        match answer.status:
            case 404 | 410:
                return None
            case 200:
                pass
            case status:
                raise RefusedError(f"{answer.url}: answered {status}")
        if len(answer.body) < _MIN_THREADED_BYTES:
            return parse_legacy(answer.body, name=name)
        return await asyncio.to_thread(parse_legacy, answer.body, name=name)


def parse_legacy(body: bytes, *, name: NormalizedName) -> LegacyDocument:
    """
    Parse a document.

    Args:
        body: as received, decompressed.
        name: the requested project.

    Raises:
        InvalidPageError: it is not a legacy document, or that of another project. Invalid file entries are skipped.
    """
    with _invalid_page():
        raw = _decode(body)
        info = _decode_passthrough(raw.info, dict)
        vulnerabilities = _decode_passthrough(raw.vulnerabilities, list)
        ownership = _decode_passthrough(raw.ownership, dict | None)
    info_name, version = info.get("name"), info.get("version")
    check_name(info_name if isinstance(info_name, str) else "", requested=name)
    if not isinstance(version, str) or not 0 < len(version) <= _MAX_VERSION_CHARS:
        raise InvalidPageError("the legacy JSON names no version in its info")
    return LegacyDocument(
        version=clean_line(version),
        info=info,
        vulnerabilities=vulnerabilities,
        ownership=ownership,
        files=_files(raw.releases.items()),
        serial=parse_serial(raw.last_serial),
    )


def parse_legacy_page(body: bytes, *, name: NormalizedName, url: str) -> Page:
    """
    Parse a document as a page of all files in it, including those that another mirror did not download.

    Arguments and errors as in ``parse_json``, which also checks each file's entry.
    """
    with _invalid_page():
        document = _decode(body)
        info = msgspec.json.decode(document.info, type=dict[str, Any])
        releases = [msgspec.json.decode(release) for release in document.releases.values()]
    files = [_page_entry(entry) for release in releases if isinstance(release, list) for entry in release]
    page = {"meta": {"api-version": "1.0"}, "name": info.get("name"), "files": files}
    return parse_json(msgspec.json.encode(page), name=name, url=url)


def _page_entry(entry: object) -> object:
    if not isinstance(entry, dict):
        return entry
    # PEP 592: the reason, if there is one
    yanked = (entry.get("yanked_reason") or True) if entry.get("yanked") else False
    return {new: entry[old] for old, new in _PAGE_KEYS.items() if old in entry} | {"yanked": yanked}


def _decode(body: bytes) -> _Document:
    if len(body) > _MAX_BODY_BYTES or body.count(b",") > _MAX_COMMAS:
        raise InvalidPageError(f"the legacy JSON is too large: {len(body):,} bytes")
    return decode_json(_document, body)


@contextmanager
def _invalid_page() -> Iterator[None]:
    try:
        yield
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise InvalidPageError(f"the legacy JSON is invalid: {error}") from error


def _decode_passthrough(raw: msgspec.Raw, kind: Any) -> Any:  # noqa: ANN401 - a type, and a value of it
    if len(memoryview(raw)) > _MAX_ABOUT_BYTES:
        raise InvalidPageError(f"a part of the legacy JSON is larger than {_MAX_ABOUT_BYTES:,} bytes")
    return clean_document(msgspec.json.decode(raw, type=kind))


def _files(releases: Iterable[tuple[str, msgspec.Raw]]) -> dict[str, LegacyFile]:
    """Return the details by file name; of repeated entries the first, with all digests of that content."""
    files: dict[str, LegacyFile] = {}
    for version, raw in releases:
        for entry in _release(raw) if len(version) <= _MAX_VERSION_CHARS else ():
            digests = {kind: entry.digests.get(kind, "") for kind in _DIGESTS}
            file = LegacyFile(
                sha256=Sha256(entry.digests.get("sha256", "")),
                version=clean_line(version),
                digests={kind: text for kind, text in digests.items() if _DIGESTS[kind].fullmatch(text)},
                comment_text=clean_lines(entry.comment_text or ""),
                packagetype=entry.packagetype and clean_line(entry.packagetype),
                python_version=entry.python_version and clean_line(entry.python_version),
            )
            before = files.setdefault(entry.filename, file)
            if before.sha256 == file.sha256 and before.digests != file.digests:
                files[entry.filename] = msgspec.structs.replace(before, digests=file.digests | before.digests)
    return files


def _release(raw: msgspec.Raw) -> Iterator[_Entry]:
    """Yield a release's valid entries; the page describes the files of the others."""
    with suppress(msgspec.MsgspecError, UnicodeError, RecursionError):
        for entry in _entries.decode(raw):
            with suppress(msgspec.MsgspecError, UnicodeError, RecursionError):
                yield _entry.decode(entry)
