"""The file host's answers: whole files, ranges, and separate metadata."""

import gzip
import re
from email.utils import format_datetime
from hashlib import md5
from http import HTTPStatus

from aiohttp import hdrs, web
from multidict import CIMultiDict

from fakepypi.answer import Answer
from fakepypi.release import File

_RANGE = re.compile(r"(\d*)-(\d*)", re.ASCII)
_CACHE_CONTROL = "max-age=365000000, immutable, public"


def stored_file(request: web.Request, file: File, *, ranges: bool) -> Answer:
    """Answer with a file, whole or a range; never with 304, since PyPI's edge drops the conditions."""
    headers = _headers(file, etag=file.md5)
    size = len(file.content)
    wanted = _range(request, headers, size) if ranges else None
    if ranges:
        headers[hdrs.ACCEPT_RANGES] = "bytes"
    if wanted is None:
        return Answer(HTTPStatus.OK, headers, file.content)
    if not wanted:
        headers[hdrs.CONTENT_RANGE] = f"bytes */{size}"
        return Answer(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers)
    headers[hdrs.CONTENT_RANGE] = f"bytes {wanted.start}-{wanted.stop - 1}/{size}"
    return Answer(HTTPStatus.PARTIAL_CONTENT, headers, file.content[wanted.start : wanted.stop])


def stored_metadata(request: web.Request, file: File) -> Answer:
    """Answer with a wheel's metadata (PEP 658), compressed for a client that accepts only gzip."""
    body = file.metadata or b""
    headers = _headers(file, etag=md5(body).hexdigest())
    headers[hdrs.VARY] = hdrs.ACCEPT_ENCODING
    if request.headers.get(hdrs.ACCEPT_ENCODING) == "gzip":
        headers[hdrs.CONTENT_ENCODING] = "gzip"
        body = gzip.compress(body, mtime=0)
    return Answer(HTTPStatus.OK, headers, body)


def _headers(file: File, *, etag: str) -> CIMultiDict[str]:
    return CIMultiDict(
        {
            hdrs.CONTENT_TYPE: "binary/octet-stream",  # S3's default; clients must ignore it
            hdrs.CACHE_CONTROL: _CACHE_CONTROL,
            hdrs.ETAG: f'"{etag}"',
            hdrs.LAST_MODIFIED: format_datetime(file.uploaded_at, usegmt=True),
            "X-PyPI-File-Project": file.project,
            "X-PyPI-File-Version": file.version,
        }
    )


def _range(request: web.Request, headers: CIMultiDict[str], size: int) -> range | None:
    """Return the requested bytes: empty if the range is beyond the end, None for the whole file."""
    unit, _, wanted = request.headers.get(hdrs.RANGE, "").partition("=")
    condition = request.headers.get(hdrs.IF_RANGE)
    # Several ranges at once were refused until 2026-08; every client must accept the whole file as an answer.
    if unit != "bytes" or "," in wanted or condition not in (None, headers[hdrs.ETAG], headers[hdrs.LAST_MODIFIED]):
        return None
    if (match := _RANGE.fullmatch(wanted)) is None:
        return None
    first, last = match.groups()
    if not first:
        return range(max(0, size - int(last)), size) if last else None
    if last and int(last) < int(first):
        return None
    return range(int(first), min(size, int(last) + 1) if last else size)
