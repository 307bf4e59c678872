"""What the old tree kept of PyPI's legacy JSON API: more than HTML says, and more than a page with md5 alone."""

from typing import Any

import msgspec
from packaging.utils import NormalizedName

from mirror_syncer.errors import InvalidPage
from mirror_syncer.upstream import Page, parse_json


class _File(msgspec.Struct):
    filename: str
    url: str
    digests: dict[str, str] = {}
    size: int | None = None
    upload_time: str | None = msgspec.field(name="upload_time_iso_8601", default=None)
    requires_python: str | None = None
    yanked: bool = False
    yanked_reason: str | None = None
    core_metadata: bool | dict[str, str] | None = msgspec.field(name="core-metadata", default=None)


class _Info(msgspec.Struct):
    name: str


class _Document(msgspec.Struct):
    info: _Info
    releases: dict[str, list[_File]]


_COMMAS_MOST = 4_000_000  # a file's entry has a dozen; made into objects, 256 MB of empty ones took 2 GB

_document = msgspec.json.Decoder(_Document)


def parse_legacy(body: bytes, *, name: NormalizedName, url: str) -> Page:
    """
    Parse ``/pypi/<project>/json``; arguments and errors as in ``parse_json``.

    It names all files that PyPI had, also those that the mirror was told to leave out.
    """
    if body.count(b",") > _COMMAS_MOST:
        raise InvalidPage("the document is larger than any that makes sense")
    try:
        document = _document.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidPage(f"the document is not PyPI's legacy JSON: {error}") from error
    files = [_entry(file) for release in document.releases.values() for file in release]
    page = {"meta": {"api-version": "1.0"}, "name": document.info.name, "files": files}
    return parse_json(msgspec.json.encode(page), name=name, url=url)


def _entry(file: _File) -> dict[str, Any]:
    return {
        "filename": file.filename,
        "url": file.url,
        "hashes": file.digests,
        "size": file.size,
        "upload-time": file.upload_time,
        "requires-python": file.requires_python,
        # PEP 592: the reason, where there is one
        "yanked": (file.yanked_reason or True) if file.yanked else False,
        "core-metadata": file.core_metadata,
    }
