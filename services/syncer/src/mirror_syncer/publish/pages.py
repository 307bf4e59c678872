"""
A project's page as the mirror publishes it, in JSON (PEP 691) and HTML (PEP 503), from one list of files.

The JSON page is also the record of published files: the catalog has no row per file.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any
from urllib.parse import unquote

import msgspec
from packaging.utils import NormalizedName

from mirror_contract.distributions import parse_version, read_version
from mirror_syncer.errors import FileRejectedError, InvalidPageError
from mirror_syncer.model.names import PackagePath, parse_package_path, quote_place
from mirror_syncer.model.page import File, HeldFile, Page, PublishedPage
from mirror_syncer.publish.held import KEY, held_html, held_json, parse_held
from mirror_syncer.upstream import parse_json
from mirror_syncer.volume import AnyView, PageSet

# The newest version of the specification that these pages implement.
API_VERSION = "1.4"
# Relative to /pypi/web/simple/<project>/, so that it works with any prefix, any host name, and file://.
_ROOT_PREFIX = "../../"


class _File(msgspec.Struct):
    url: str


class _Urls(msgspec.Struct):
    files: list[_File]


_urls = msgspec.json.Decoder(_Urls)

PUBLISHED_ROOT = "http://mirror.invalid/pypi/web/"
"""The base of file URLs on parsed published pages; no server answers there."""


def render_page(page: Page, files: Iterable[tuple[File, PackagePath]], held: Sequence[HeldFile] = ()) -> PageSet:
    """
    Render a project's page.

    Args:
        page: upstream's page, for everything except files.
        files: the published files in upstream's order, each with its place.
        held: the files that are held or blocked.
    """
    files = list(files)
    return PageSet(html=_html(page, files, held), json=_json(page, files, held))


def render_html(published: PublishedPage) -> bytes:
    """Render the HTML form of a published page again."""
    files = [(file, published.places[file.filename]) for file in published.page.files]
    return _html(published.page, files, published.held)


def parse_published(body: bytes, *, name: NormalizedName) -> PublishedPage:
    """
    Parse a page that this mirror published.

    Raises:
        InvalidPageError: it is not a page of this mirror, or is damaged.
    """
    root = PUBLISHED_ROOT
    # Same result as joining with the page's URL, which takes a third of the parsing time. It matches only URLs: within
    # a JSON string every quotation mark has a backslash.
    body = body.replace(b'"url":"../../', f'"url":"{root}'.encode())
    page = parse_json(body, name=name, url=f"{root}simple/{name}/", ours=True)
    try:
        places: dict[str, PackagePath] = {file.filename: _place(file, root) for file in page.files}
    except FileRejectedError as error:
        raise InvalidPageError(f"the page was not published by this mirror: {error}") from error
    return PublishedPage(page, {file.filename: file for file in page.files}, places, parse_held(body))


def read_published(tree: AnyView, name: NormalizedName) -> PublishedPage | None:
    """
    Return the published page of a project, or None if it has none. It blocks for the disk.

    Raises:
        InvalidPageError: the page is damaged.
    """
    body = tree.page(name)
    return None if body is None else parse_published(body, name=name)


def read_places(tree: AnyView, name: NormalizedName) -> tuple[list[PackagePath], tuple[HeldFile, ...]] | None:
    """
    Return only the places that a project's page names, and its held files; None if it has no page.

    It takes a quarter of the time of ``read_published``, and blocks for the disk.

    Raises:
        InvalidPageError: the page is damaged.
    """
    body = tree.page(name)
    if body is None:
        return None
    try:
        urls = [file.url for file in _urls.decode(body).files]
        if not all(url.startswith(_ROOT_PREFIX) for url in urls):
            raise InvalidPageError("the page was not published by this mirror: a URL leads elsewhere")
        return [parse_package_path(unquote(url.removeprefix(_ROOT_PREFIX))) for url in urls], parse_held(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidPageError(f"the page is not valid JSON: {error}") from error
    except FileRejectedError as error:
        raise InvalidPageError(f"the page was not published by this mirror: {error}") from error


def find_published(tree: AnyView, name: NormalizedName) -> PublishedPage | None:
    """Return the published page of a project; None if it is missing or damaged. It blocks for the disk."""
    try:
        return read_published(tree, name)
    except InvalidPageError:
        return None


def _place(file: File, root: str) -> PackagePath:
    directory = file.url.removeprefix(root).rpartition("/")[0]
    return parse_package_path(f"{directory}/{file.filename}")


def _url(place: PackagePath) -> str:
    return f"{_ROOT_PREFIX}{quote_place(place)}"


def _api_version(page: Page) -> str:
    # A mirror cannot promise more than its upstream: 1.3 includes provenance, 1.4 a status.
    return min(page.api_version, API_VERSION, key=lambda version: int(version.partition(".")[2]))


def _json(page: Page, files: list[tuple[File, PackagePath]], held: Sequence[HeldFile]) -> bytes:
    meta: dict[str, Any] = {"api-version": _api_version(page)}
    if page.serial is not None:
        # PEP 700: keys with a leading underscore are private to the server. This one is PyPI's, an int.
        meta["_last-serial"] = page.serial
    status: dict[str, str] = {"status": page.status}
    if page.status_reason:
        status["reason"] = page.status_reason
    document: dict[str, Any] = {
        "files": [_entry(file, place) for file, place in files],
        "meta": meta,
        "name": page.name,
        # PEP 792
        "project-status": status,
        # PEP 700: the unique versions of all files here; upstream may also list versions without files
        "versions": _versions(page, files),
    }
    if held:
        document[KEY] = held_json(held)
    return msgspec.json.encode(document, order="deterministic") + b"\n"


def _entry(file: File, place: PackagePath) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "filename": file.filename,
        "hashes": _hashes(file),
        "requires-python": file.requires_python,
        "url": _url(place),
        # PEP 592: the reason, if there is one
        "yanked": file.yanked,
        # PEP 714: `core-metadata`; the older name is only for HTML
        "core-metadata": {"sha256": file.core_metadata} if isinstance(file.core_metadata, str) else False,
    }
    # uv refuses a page with null for any of these, so unknown ones are omitted.
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
    spellings = {version: text for text in page.versions if (version := parse_version(text)) is not None}
    kept = {version for file, _ in files if (version := read_version(page.name, file.filename)) is not None}
    return [spellings.get(version, str(version)) for version in sorted(kept)]


def _html(page: Page, files: list[tuple[File, PackagePath]], held: Sequence[HeldFile]) -> bytes:
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
        *held_html(held),
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
