"""The parser of a project's page in JSON (PEP 691), the format of PyPI and most others."""

from typing import Any

import msgspec
from packaging.utils import NormalizedName

from mirror_syncer.errors import InvalidPageError
from mirror_syncer.model.page import Page
from mirror_syncer.upstream.entries import Entries, Entry
from mirror_syncer.upstream.page import check_api_version, check_name, parse_serial, parse_status
from mirror_syncer.upstream.repair import decode_json
from mirror_syncer.upstream.text import clean_line

_MAX_FILES = 200_000  # the largest projects of PyPI have some 10,000
_MAX_COMMAS = 20 * _MAX_FILES  # an entry has about ten


class _Meta(msgspec.Struct):
    api_version: str = msgspec.field(name="api-version", default="1.0")
    last_serial: Any = msgspec.field(name="_last-serial", default=None)


class _Status(msgspec.Struct):
    status: str = "active"
    reason: Any = None


class _Page(msgspec.Struct):
    meta: _Meta
    name: str
    # Raw: one invalid entry must not invalidate the others.
    files: list[msgspec.Raw]
    versions: list[Any] = []
    project_status: _Status | None = msgspec.field(name="project-status", default=None)


_page = msgspec.json.Decoder(_Page)
_entry = msgspec.json.Decoder(Entry)


def parse_json(
    body: bytes,
    *,
    name: NormalizedName,
    url: str,
    serial: int | None = None,
    unhashed: bool = False,
    ours: bool = False,
) -> Page:
    """
    Parse a page in JSON (PEP 691).

    Args:
        body: as received, decompressed.
        name: the requested project.
        url: the page's URL after redirects; file URLs may be relative to it.
        serial: the value of ``X-PyPI-Last-Serial``, if present.
        unhashed: accept files without sha256, whose content is not known yet; otherwise refuse them.
        ours: see ``Entries``.

    Raises:
        InvalidPageError: it is not a page, or that of another project. An invalid file entry only adds to ``refused``.
    """
    if body.count(b",") > _MAX_COMMAS:
        raise InvalidPageError(f"the page has more than {_MAX_FILES:,} files")
    try:
        raw = decode_json(_page, body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidPageError(f"the page is not valid JSON (PEP 691): {error}") from error
    check_name(raw.name, requested=name)
    if len(raw.versions) > _MAX_FILES:
        raise InvalidPageError(f"the page has {len(raw.versions):,} versions, more than {_MAX_FILES:,}")
    status = raw.project_status or _Status()
    if serial is None:
        serial = parse_serial(raw.meta.last_serial)
    entries = Entries(name=name, url=url, page=url, unhashed=unhashed, ours=ours)
    for one in raw.files:
        try:
            entry = _entry.decode(one)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            entries.refuse(None, f"its entry violates PEP 691: {error}")
        else:
            entries.add(entry)
    return Page(
        name=name,
        files=entries.files,
        refused=entries.refused,
        contradicting=entries.contradicting,
        versions=tuple(clean_line(version) for version in raw.versions if isinstance(version, str)),
        status=parse_status(status.status),
        status_reason=clean_line(status.reason) if isinstance(status.reason, str) else None,
        serial=serial,
        api_version=check_api_version(raw.meta.api_version),
        dropped_upload_times=entries.dropped_upload_times,
    )
