"""The parser of a project's page in HTML (PEP 503), for upstreams without JSON."""

import re
from collections.abc import Iterator
from contextlib import suppress
from html.parser import HTMLParser
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit

from packaging.utils import NormalizedName

from mirror_contract import parse_project_name
from mirror_syncer.errors import InvalidPageError
from mirror_syncer.model.page import Page, Refusal
from mirror_syncer.upstream.entries import Entries, Entry
from mirror_syncer.upstream.page import check_api_version, check_name, parse_serial, parse_status
from mirror_syncer.upstream.text import clean_line

_SERIAL = re.compile(r"SERIAL (\d+)")
_TITLES = ("title", "h1")
_DOCUMENT = ("html", "body")
# "Links for six", devpi's "root/pypi: links for six"
_TITLE = re.compile(r"links for (?P<name>\S+)$", re.IGNORECASE)
_DISTRIBUTIONS = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tgz", ".egg", ".exe", ".msi")
_LOGIN = "is not a project page (no pypi:repository-version, no links): perhaps a login page, or a wrong path"


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Entry | Refusal] = []
        self.meta: dict[str, str] = {}
        self.serial: int | None = None
        self.titles: list[str] = []
        self.base: str | None = None
        self._in_title = False
        self._opened = False
        self._closed = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self._opened = self._opened or tag in _DOCUMENT
        self._in_title = tag in _TITLES
        if self._in_title:
            self.titles.append("")
        if tag == "a" and (url := attributes.get("href")):
            try:
                entry = _entry(url, attributes)
            except ValueError as error:
                self.entries.append(Refusal(url[:255], f"its URL is invalid: {error}"))
            else:
                if entry.hashes or entry.filename.endswith(_DISTRIBUTIONS):
                    self.entries.append(entry)
        elif tag == "base" and self.base is None:
            self.base = attributes.get("href")  # browsers and pip use the first of several
        elif tag == "meta" and (key := attributes.get("name")):
            self.meta[key] = attributes.get("content") or ""

    def handle_endtag(self, tag: str) -> None:
        self._closed = self._closed or tag in _DOCUMENT
        self._in_title = self._in_title and tag not in _TITLES

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.titles[-1] += data

    @property
    def truncated(self) -> bool:
        """Whether the document opens ``<html>`` or ``<body>`` and closes neither; a bare list of links has none."""
        return self._opened and not self._closed

    @property
    def _titles(self) -> list[str]:
        return [" ".join(title.split()) for title in self.titles]

    @property
    def titled(self) -> bool:
        """Whether a title is that of an index. Only titles count: a login form's text may say "links for staff"."""
        return any("links for" in title.lower() for title in self._titles)

    @property
    def names(self) -> Iterator[str]:
        """The projects that the titles name."""
        for title in self._titles:
            if match := _TITLE.search(title):
                with suppress(ValueError):
                    yield parse_project_name(match["name"])

    def handle_comment(self, data: str) -> None:
        if match := _SERIAL.fullmatch(data.strip()):
            self.serial = parse_serial(match[1])


def parse_html(
    body: bytes,
    *,
    name: NormalizedName,
    url: str,
    serial: int | None = None,
    unhashed: bool = False,
    ours: bool = False,
) -> Page:
    """
    Parse a page in HTML, which has no sizes and upload times; arguments and errors as in ``parse_json``.

    A document without any sign of an index, such as a proxy's login form, is refused, and so is a truncated one.
    """
    parser = _Parser()
    try:
        parser.feed(body.decode("utf-8", errors="replace"))
        parser.close()
        base = urljoin(url, parser.base or "")
    except (ValueError, AssertionError, RecursionError) as error:
        raise InvalidPageError(f"the page is not HTML: {error}") from error
    if not (parser.entries or parser.titled or "pypi:repository-version" in parser.meta):
        raise InvalidPageError(f"the answer {_LOGIN}")
    if parser.truncated:
        # Without a length, or with one that a proxy computed, only this reveals a cut that loses files.
        raise InvalidPageError("the page is truncated: its HTML has no </body> or </html>")
    for title_name in parser.names:
        check_name(title_name, requested=name)
    entries = Entries(name=name, url=base, page=url, unhashed=unhashed, ours=ours)
    for one in parser.entries:
        if isinstance(one, Refusal):
            entries.refuse(one.filename, one.reason)
        else:
            entries.add(one)
    reason = parser.meta.get("pypi:project-status-reason")
    return Page(
        name=name,
        files=entries.files,
        refused=entries.refused,
        contradicting=entries.contradicting,
        status=parse_status(parser.meta.get("pypi:project-status", "active")),
        status_reason=None if reason is None else clean_line(reason),
        serial=serial if serial is not None else parser.serial,
        # PEP 629: absent is 1.0
        api_version=check_api_version(parser.meta.get("pypi:repository-version", "1.0")),
    )


def _entry(url: str, attributes: dict[str, str | None]) -> Entry:
    """
    Return the entry of a file's anchor.

    Raises:
        ValueError: its URL is invalid.
    """
    parts = urlsplit(url)
    return Entry(
        # PEP 503: the anchor's text MUST equal the URL's last component
        filename=unquote(parts.path.rpartition("/")[2]),
        url=url,
        hashes=dict(parse_qsl(parts.fragment)),
        requires_python=attributes.get("data-requires-python"),
        # PEP 592: the attribute means yanked, with any value
        yanked=(attributes["data-yanked"] or True) if "data-yanked" in attributes else False,
        core_metadata=_metadata(attributes, "data-core-metadata"),
        data_dist_info_metadata=_metadata(attributes, "data-dist-info-metadata"),
        provenance=attributes.get("data-provenance"),
    )


def _metadata(attributes: dict[str, str | None], name: str) -> bool | dict[str, str] | None:
    if name not in attributes:
        return None
    algorithm, equals, digest = (attributes[name] or "").partition("=")
    return {algorithm: digest} if equals else True
