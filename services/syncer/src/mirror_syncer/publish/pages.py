"""
A project's page as we publish it, in JSON (PEP 691) and HTML (PEP 503), from one list of files.

The JSON page is also our record of what is published: there is no row for a file.
"""

from collections.abc import Iterable
from html import escape
from typing import Any

import msgspec
from packaging.utils import NormalizedName

from mirror_contract.distributions import parse_version, read_version
from mirror_syncer.errors import FileRejectedError, InvalidPageError
from mirror_syncer.model.names import PackagePath, parse_package_path, quote_place
from mirror_syncer.model.page import File, Page, PublishedPage
from mirror_syncer.upstream import parse_json
from mirror_syncer.volume import PageSet, View

# The newest version of the specification that these pages speak.
API_VERSION = "1.4"
# From /pypi/web/simple/<project>/: right below any prefix, any host name, and for file://.
_TO_ROOT = "../../"


def render_page(page: Page, files: Iterable[tuple[File, PackagePath]]) -> PageSet:
    """
    Render a project's page.

    Args:
        page: upstream's, for everything but files.
        files: those that are published, in upstream's order, each with its place.
    """
    files = list(files)
    return PageSet(html=_html(page, files), json=_json(page, files))


def render_html(published: PublishedPage) -> bytes:
    """Render again in HTML what is published."""
    return _html(published.page, [(file, published.places[file.filename]) for file in published.page.files])


def parse_published(body: bytes, *, name: NormalizedName) -> PublishedPage:
    """
    Read our own page back.

    Raises:
        InvalidPageError: it is not ours, or damaged.
    """
    root = "http://mirror.invalid/pypi/web/"
    # As joined with the page's own URL, which takes a third of the time that a page takes. Within a string of JSON no
    # quotation mark stands without a backslash, so nothing but URLs is met.
    body = body.replace(b'"url":"../../', f'"url":"{root}'.encode())
    page = parse_json(body, name=name, url=f"{root}simple/{name}/", ours=True)
    try:
        places: dict[str, PackagePath] = {file.filename: _place(file, root) for file in page.files}
    except FileRejectedError as error:
        raise InvalidPageError(f"the page is not ours: {error}") from error
    return PublishedPage(page, files={file.filename: file for file in page.files}, places=places)


def read_published(tree: View, name: NormalizedName) -> PublishedPage | None:
    """
    Return what is published of a project, or None where it has no page. It blocks for the disk.

    Raises:
        InvalidPageError: the page is damaged.
    """
    body = tree.page(name)
    return None if body is None else parse_published(body, name=name)


def find_published(tree: View, name: NormalizedName) -> PublishedPage | None:
    """Return what is published of a project; None where nothing is, or nothing that can be read. Blocks likewise."""
    try:
        return read_published(tree, name)
    except InvalidPageError:
        return None


def _place(file: File, root: str) -> PackagePath:
    directory = file.url.removeprefix(root).rpartition("/")[0]
    return parse_package_path(f"{directory}/{file.filename}")


def _url(place: PackagePath) -> str:
    return f"{_TO_ROOT}{quote_place(place)}"


def _api_version(page: Page) -> str:
    # A mirror cannot know more than its upstream said: 1.3 promises provenance, 1.4 a status.
    return min(page.api_version, API_VERSION, key=lambda version: int(version.partition(".")[2]))


def _json(page: Page, files: list[tuple[File, PackagePath]]) -> bytes:
    meta: dict[str, Any] = {"api-version": _api_version(page)}
    if page.serial is not None:
        # PEP 700: keys that begin with an underscore are the server's own. This one is PyPI's, an int.
        meta["_last-serial"] = page.serial
    status: dict[str, str] = {"status": page.status}
    if page.status_reason:
        status["reason"] = page.status_reason
    document = {
        "files": [_entry(file, place) for file, place in files],
        "meta": meta,
        "name": page.name,
        # PEP 792
        "project-status": status,
        # PEP 700: every version that a file here is of, none twice; upstream may name empty ones
        "versions": _versions(page, files),
    }
    return msgspec.json.encode(document, order="deterministic") + b"\n"


def _entry(file: File, place: PackagePath) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "filename": file.filename,
        "hashes": _hashes(file),
        "requires-python": file.requires_python,
        "url": _url(place),
        # PEP 592: the reason, where there is one
        "yanked": file.yanked,
        # PEP 714: `core-metadata`; its older name is for HTML alone
        "core-metadata": {"sha256": file.core_metadata} if isinstance(file.core_metadata, str) else False,
    }
    # uv refuses a page with null for any of these, so they are absent where unknown.
    optional = {"size": file.size, "upload-time": file.upload_time, "provenance": file.provenance}
    return entry | {key: value for key, value in optional.items() if value is not None}


def _hashes(file: File) -> dict[str, str]:
    if file.other_digest is None:
        return {"sha256": file.sha256}
    algorithm, _, digest = file.other_digest.partition("=")
    return {algorithm: digest, "sha256": file.sha256}


def _versions(page: Page, files: list[tuple[File, PackagePath]]) -> list[str]:
    if page.versions and len(files) == len(page.files) + len(page.refused):
        return list(dict.fromkeys(page.versions))
    said = {version: text for text in page.versions if (version := parse_version(text)) is not None}
    kept = {version for file, _ in files if (version := read_version(page.name, file.filename)) is not None}
    return [said.get(version, str(version)) for version in sorted(kept)]


def _html(page: Page, files: list[tuple[File, PackagePath]]) -> bytes:
    title = f"Links for {escape(page.name)}"
    # PEP 792
    status = [f'    <meta name="pypi:project-status" content="{page.status}">']
    if page.status_reason:
        status.append(f'    <meta name="pypi:project-status-reason" content="{escape(page.status_reason)}">')
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "  <head>",
        '    <meta charset="utf-8">',
        # PEP 629
        f'    <meta name="pypi:repository-version" content="{_api_version(page)}">',
        *status,
        f"    <title>{title}</title>",
        "  </head>",
        "  <body>",
        f"    <h1>{title}</h1>",
        *(_anchor(file, place) for file, place in files),
        "  </body>",
        "</html>",
    ]
    if page.serial is not None:
        lines.append(f"<!--SERIAL {page.serial}-->")
    return ("\n".join(lines) + "\n").encode()


def _anchor(file: File, place: PackagePath) -> str:
    attributes = [f'href="{escape(_url(place))}#sha256={file.sha256}"']
    if file.requires_python:
        attributes.append(f'data-requires-python="{escape(file.requires_python)}"')
    if file.yanked:
        attributes.append(f'data-yanked="{escape(file.yanked) if isinstance(file.yanked, str) else ""}"')
    if isinstance(file.core_metadata, str):
        # PEP 714: both names in HTML, with one value
        digest = f"sha256={file.core_metadata}"
        attributes += [f'data-core-metadata="{digest}"', f'data-dist-info-metadata="{digest}"']
    if file.provenance:
        attributes.append(f'data-provenance="{escape(file.provenance)}"')
    # PEP 503: the text MUST be the URL's last component
    return f"    <a {' '.join(attributes)}>{escape(file.filename)}</a><br>"
