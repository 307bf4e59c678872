"""
What warehouse renders: a page is one document, and JSON and HTML are two ways to write it down.

A document is the JSON form as plain dictionaries, so that a fault may edit it before either is written.
"""

import json
from collections.abc import Iterable
from datetime import datetime
from html import escape
from typing import Any
from urllib.parse import quote

from packaging.utils import canonicalize_name

from fakepypi.release import File, ListedFile, Listing

Document = dict[str, Any]

API_VERSION = "1.4"  # PEP 792
# Left as they are by warehouse's URL generator; '#', '%', '?', '[' and spaces are not.
_UNQUOTED = "~!$&'()*+,;=:@/"


def root_document(listings: Iterable[Listing], *, serial: int) -> Document:
    """Return ``/simple/``: display names in the order of the normalized ones."""
    return {
        "meta": {"_last-serial": serial, "api-version": API_VERSION},
        "projects": [{"_last-serial": listing.serial, "name": listing.display_name} for listing in listings],
    }


def project_document(listing: Listing, *, file_origin: str) -> Document:
    """Return ``/simple/<project>/``; the file host's origin is ``http://host:port``."""
    return {
        "files": [_file_document(listed, file_origin) for listed in listing.files],
        "meta": {"_last-serial": listing.serial, "api-version": API_VERSION},
        "name": listing.name,
        "project-status": {"status": str(listing.status)},
        # PEP 700 asks for the versions of all files; warehouse lists exactly those.
        "versions": list(dict.fromkeys(listed.file.version for listed in listing.files)),
    }


def _file_document(listed: ListedFile, file_origin: str) -> Document:
    file = listed.file
    metadata = {"sha256": file.metadata_sha256} if file.metadata_sha256 else False
    return {
        "core-metadata": metadata,  # PEP 714
        "data-dist-info-metadata": metadata,  # not PEP 658's key in JSON: pip 22.2 to 23.1 misread that one
        "filename": file.filename,
        "hashes": {"sha256": file.sha256},
        "provenance": provenance_url(file) if file.provenance else None,  # PEP 740
        "requires-python": listed.requires_python,
        "size": len(file.content),  # PEP 700
        "upload-time": timestamp(file.uploaded_at),  # PEP 700
        "url": file_url(file, file_origin),
        "yanked": listed.yanked,  # PEP 592
    }


def file_url(file: File, origin: str) -> str:
    """Return a file's URL."""
    return f"{origin}/{quote(file.path, safe=_UNQUOTED)}"


def provenance_url(file: File) -> str:
    """Return the URL of a file's attestations: PyPI's own, since PEP 740 requires https."""
    filename = quote(file.filename, safe=_UNQUOTED)
    return f"https://pypi.org/integrity/{file.project}/{file.version}/{filename}/provenance"


def timestamp(moment: datetime) -> str:
    """Write a time as warehouse does: six digits of a second, or none on a whole second."""
    return moment.replace(tzinfo=None).isoformat() + "Z"


def to_json(document: Document) -> bytes:
    """Write a document as JSON, with the options of warehouse's renderer."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def to_html(document: Document) -> bytes:
    """Write a document as HTML, with the white space of warehouse's templates (frozen by PEP 833)."""
    text = _root_html(document) if "projects" in document else _project_html(document)
    return text.encode()


def _root_html(document: Document) -> str:
    anchors = "".join(
        f'<a href="/simple/{_escape(canonicalize_name(project["name"]))}/">{_escape(project["name"])}</a>\n'
        for project in document["projects"]
    )
    return f"""\
<!DOCTYPE html>
<html lang="en">
  <head>
    <meta name="pypi:repository-version" content="{document["meta"]["api-version"]}">
    <title>Simple index</title>
  </head>
  <body>
{anchors}</body>
</html>"""


def _project_html(document: Document) -> str:
    title = f"Links for {_escape(document['name'])}"
    serial = document["meta"].get("_last-serial")
    comment = "" if serial is None else f"\n<!--SERIAL {serial}-->"
    return f"""\
<!DOCTYPE html>
<html lang="en">
  <head>
    <meta name="pypi:repository-version" content="{document["meta"]["api-version"]}">
<meta name="pypi:project-status" content="{document["project-status"]["status"]}">    <title>{title}</title>
  </head>
  <body>
    <h1>{title}</h1>
{"".join(_anchor(file) for file in document["files"])}</body>
</html>{comment}"""


def _anchor(file: Document) -> str:
    attributes = ""
    if file["requires-python"]:
        attributes += f'data-requires-python="{_escape(file["requires-python"])}" '
    if file["yanked"]:
        attributes += f'data-yanked="{_escape(file["yanked"]) if isinstance(file["yanked"], str) else ""}" '
    if file["core-metadata"]:
        digest = f"sha256={file['core-metadata']['sha256']}"
        attributes += f'data-dist-info-metadata="{digest}" data-core-metadata="{digest}"'
    if file["provenance"]:
        attributes += f' data-provenance="{_escape(file["provenance"])}"'
    fragment = "".join(f"#{algorithm}={digest}" for algorithm, digest in file["hashes"].items())
    return f'<a href="{_escape(file["url"])}{fragment}" {attributes}>{_escape(file["filename"])}</a><br />\n'


def _escape(text: str) -> str:
    """Escape as Jinja does, which writes quotes in decimal."""
    return escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
