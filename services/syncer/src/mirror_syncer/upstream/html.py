"""A project's page in HTML (PEP 503), for upstreams that speak no JSON."""

import re
from html.parser import HTMLParser
from urllib.parse import parse_qsl, unquote, urlsplit

from packaging.utils import NormalizedName

from mirror_syncer.errors import InvalidPage
from mirror_syncer.upstream.page import (
    Entry,
    Page,
    Refusal,
    check_api_version,
    make_file,
    parse_serial,
    parse_status,
    sort_out,
)

_SERIAL = re.compile(r"SERIAL (\d+)")
_TITLES = ("title", "h1")
_DISTRIBUTIONS = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tgz", ".egg", ".exe", ".msi")
_LOGIN = "is no project page, but perhaps a login page, or a wrong path: it has no pypi:repository-version and no links"


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Entry | Refusal] = []
        self.meta: dict[str, str] = {}
        self.serial: int | None = None
        self.titled = False
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self._in_title = tag in _TITLES
        if tag == "a" and (url := attributes.get("href")):
            try:
                entry = _entry(url, attributes)
            except ValueError as error:
                self.entries.append(Refusal(url[:255], f"its URL is none: {error}"))
            else:
                if entry.hashes or entry.filename.endswith(_DISTRIBUTIONS):
                    self.entries.append(entry)
        elif tag == "meta" and (key := attributes.get("name")):
            self.meta[key] = attributes.get("content") or ""

    def handle_endtag(self, tag: str) -> None:
        self._in_title = self._in_title and tag not in _TITLES

    def handle_data(self, data: str) -> None:
        # "Links for six", devpi's "root/pypi: links for six"; but not a login form's "useful links for staff".
        self.titled = self.titled or (self._in_title and "links for" in data.lower())

    def handle_comment(self, data: str) -> None:
        if match := _SERIAL.fullmatch(data.strip()):
            self.serial = parse_serial(match[1])


def parse_html(
    body: bytes, *, name: NormalizedName, url: str, serial: int | None = None, unhashed: bool = False
) -> Page:
    """
    Parse a page in HTML; arguments and errors as in ``parse_json``.

    It has no sizes and upload times. One with nothing of an index in it, such as a proxy's login form, is no page.
    """
    parser = _Parser()
    try:
        parser.feed(body.decode("utf-8", errors="replace"))
        parser.close()
    except (ValueError, AssertionError, RecursionError) as error:
        raise InvalidPage(f"the page is not HTML: {error}") from error
    if not (parser.entries or parser.titled or "pypi:repository-version" in parser.meta):
        raise InvalidPage(f"the answer {_LOGIN}")
    candidates = (
        entry if isinstance(entry, Refusal) else make_file(entry, unhashed=unhashed) for entry in parser.entries
    )
    files, refused = sort_out(candidates, url=url)
    return Page(
        name=name,
        files=files,
        refused=refused,
        status=parse_status(parser.meta.get("pypi:project-status", "active")),
        status_reason=parser.meta.get("pypi:project-status-reason"),
        serial=serial if serial is not None else parser.serial,
        # PEP 629: absent is 1.0
        api_version=check_api_version(parser.meta.get("pypi:repository-version", "1.0")),
    )


def _entry(url: str, attributes: dict[str, str | None]) -> Entry:
    """
    Return what an anchor says of a file.

    Raises:
        ValueError: its URL is none.
    """
    parts = urlsplit(url)
    return Entry(
        # PEP 503: the anchor's text MUST equal the URL's last component
        filename=unquote(parts.path.rpartition("/")[2]),
        url=url,
        hashes=dict(parse_qsl(parts.fragment)),
        requires_python=attributes.get("data-requires-python"),
        # PEP 592: present is yanked, whatever the value
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
