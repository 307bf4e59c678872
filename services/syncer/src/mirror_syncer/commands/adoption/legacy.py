"""What the old tree kept of PyPI's legacy JSON API: more than HTML says, and more than a page with md5 alone."""

from typing import Any

import msgspec
from packaging.utils import NormalizedName

from mirror_syncer.errors import InvalidPageError
from mirror_syncer.model.page import Page
from mirror_syncer.upstream import decode_json, parse_json


class _Info(msgspec.Struct):
    name: str


class _Document(msgspec.Struct):
    info: _Info
    releases: dict[str, Any]


_COMMAS_MOST = 4_000_000  # a file's entry has a dozen; made into objects, 256 MB of empty ones took 2 GB

_KEYS = {
    "filename": "filename",
    "url": "url",
    "digests": "hashes",
    "size": "size",
    "upload_time_iso_8601": "upload-time",
    "requires_python": "requires-python",
    "core-metadata": "core-metadata",
}
"""Those of a file's entry, and what PEP 691 calls them."""

_document = msgspec.json.Decoder(_Document)


def parse_legacy(body: bytes, *, name: NormalizedName, url: str) -> Page:
    """
    Parse ``/pypi/<project>/json``; arguments and errors as in ``parse_json``.

    It names all files that PyPI had, also those that the mirror was told to leave out.
    """
    if body.count(b",") > _COMMAS_MOST:
        raise InvalidPageError("the document is larger than any that makes sense")
    try:
        document = decode_json(_document, body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidPageError(f"the document is not PyPI's legacy JSON: {error}") from error
    releases = (release for release in document.releases.values() if isinstance(release, list))
    # What is no file's entry is refused as such, by the same parser as all others.
    files = [_entry(file) if isinstance(file, dict) else file for release in releases for file in release]
    page = {"meta": {"api-version": "1.0"}, "name": document.info.name, "files": files}
    return parse_json(msgspec.json.encode(page), name=name, url=url)


def _entry(file: dict[str, Any]) -> dict[str, Any]:
    entry = {new: file[old] for old, new in _KEYS.items() if old in file}
    # PEP 592: the reason, where there is one
    return entry | {"yanked": (file.get("yanked_reason") or True) if file.get("yanked") else False}
