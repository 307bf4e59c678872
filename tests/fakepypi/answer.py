"""An answer before it is sent, and the HTTP that all read APIs of warehouse share."""

import base64
import gzip
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import md5
from http import HTTPStatus

from aiohttp import hdrs, web
from multidict import CIMultiDict

CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "X-PyPI-Last-Serial"}


class MediaType(StrEnum):
    """The forms of a page (PEP 691)."""

    JSON = "application/vnd.pypi.simple.v1+json"
    HTML = "application/vnd.pypi.simple.v1+html"
    TEXT = "text/html"


# What a client may ask for, and what it gets: PEP 691 has "latest" answered with the concrete version.
_OFFERED = {media: media for media in MediaType} | {
    "application/vnd.pypi.simple.latest+json": MediaType.JSON,
    "application/vnd.pypi.simple.latest+html": MediaType.HTML,
}
_RANGES = {"application/*": MediaType.HTML, "text/*": MediaType.TEXT, "*/*": MediaType.TEXT}


@dataclass
class Answer:
    """Status, headers and body; a fault may change all three."""

    status: int = HTTPStatus.OK
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict)
    body: bytes = b""


def negotiate(request: web.Request) -> MediaType:
    """Choose a page's form as PyPI's edge does: ``?format=`` first, then Accept by its q, else text/html; never 406."""
    wanted = request.query.get("format")
    if wanted in _OFFERED:
        return _OFFERED[wanted]
    choices = []
    for item in request.headers.get(hdrs.ACCEPT, "*/*").split(","):
        media, *parameters = (part.strip() for part in item.split(";"))
        quality = next((float(part[2:]) for part in parameters if part.startswith("q=")), 1.0)
        form = _OFFERED.get(media) or _RANGES.get(media)
        if form and quality > 0:
            choices.append((quality, form))
    return max(choices, key=lambda choice: choice[0], default=(1.0, MediaType.TEXT))[1]


def cached(
    request: web.Request, body: bytes, *, content_type: str, serial: int | None, vary: str = "", max_age: int = 600
) -> Answer:
    """Answer 200 or 304 with warehouse's validators and cache headers."""
    headers = CIMultiDict(CORS)
    headers[hdrs.CACHE_CONTROL] = f"max-age={max_age}, public"
    headers[hdrs.VARY] = f"{vary}, Accept-Encoding" if vary else "Accept-Encoding"
    if serial is not None:
        headers["X-PyPI-Last-Serial"] = str(serial)
    encoding = {}
    if "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
        body, encoding = gzip.compress(body, mtime=0), {hdrs.CONTENT_ENCODING: "gzip"}
    # Strong, and computed from the bytes as sent: identity and gzip have different ones.
    etag = '"' + base64.b64encode(md5(body).digest()).rstrip(b"=").decode() + '"'
    headers[hdrs.ETAG] = etag
    if any(tag.strip().removeprefix("W/") in (etag, "*") for tag in _if_none_match(request)):
        return Answer(HTTPStatus.NOT_MODIFIED, headers)
    headers.update(encoding)
    headers[hdrs.CONTENT_TYPE] = content_type
    return Answer(HTTPStatus.OK, headers, body)


def _if_none_match(request: web.Request) -> list[str]:
    return request.headers.get(hdrs.IF_NONE_MATCH, "").split(",")


def not_found() -> Answer:
    """Answer 404 as warehouse does: in plain text, whatever Accept says."""
    return Answer(HTTPStatus.NOT_FOUND, CIMultiDict({hdrs.CONTENT_TYPE: "text/plain"}), b"404 Not Found")


def moved(location: str) -> Answer:
    """Answer 301."""
    return Answer(HTTPStatus.MOVED_PERMANENTLY, CIMultiDict({**CORS, hdrs.LOCATION: location}))
