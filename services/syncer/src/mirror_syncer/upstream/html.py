"""A project's page in HTML (PEP 503), for upstreams that speak no JSON."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qsl, unquote, urlsplit

from packaging.utils import NormalizedName

from mirror_syncer.errors import FileRejected, InvalidPage
from mirror_syncer.upstream.page import (
    File,
    Page,
    ProjectStatus,
    Refusal,
    check_api_version,
    make_file,
    parse_serial,
    sort_out,
)

_SERIAL = re.compile(r"SERIAL (\d+)")
_TITLES = ("title", "h1")
_DISTRIBUTIONS = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tgz", ".egg", ".exe", ".msi")
_LOGIN = "is no project page, but perhaps a login page, or a wrong path: it has no pypi:repository-version and no links"


@dataclass
class _Anchor:
    """An anchor's attributes, under the names that the JSON page has for them."""

    url: str
    attributes: dict[str, str | None]
    filename: str = ""
    hashes: dict[str, str] = field(default_factory=dict)
    size: None = None
    upload_time: None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        # PEP 503: the anchor's text MUST equal the URL's last component
        self.filename = unquote(parts.path.rpartition("/")[2])
        self.hashes = dict(parse_qsl(parts.fragment))

    @property
    def requires_python(self) -> str | None:
        return self.attributes.get("data-requires-python")

    @property
    def yanked(self) -> bool | str:
        # PEP 592: present is yanked, whatever the value
        return (self.attributes["data-yanked"] or True) if "data-yanked" in self.attributes else False

    @property
    def core_metadata(self) -> bool | dict[str, str] | None:
        return self._metadata("data-core-metadata")

    @property
    def data_dist_info_metadata(self) -> bool | dict[str, str] | None:
        return self._metadata("data-dist-info-metadata")

    @property
    def provenance(self) -> str | None:
        return self.attributes.get("data-provenance")

    def _metadata(self, attribute: str) -> bool | dict[str, str] | None:
        if attribute not in self.attributes:
            return None
        algorithm, equals, digest = (self.attributes[attribute] or "").partition("=")
        return {algorithm: digest} if equals else True


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.anchors: list[_Anchor | Refusal] = []
        self.meta: dict[str, str] = {}
        self.serial: int | None = None
        self.titled = False
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self._in_title = tag in _TITLES
        if tag == "a" and (url := attributes.get("href")):
            try:
                anchor = _Anchor(url, attributes)
            except ValueError as error:
                self.anchors.append(Refusal(url[:255], f"its URL is none: {error}"))
            else:
                if anchor.hashes or anchor.filename.endswith(_DISTRIBUTIONS):
                    self.anchors.append(anchor)
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


def parse_html(body: bytes, *, name: NormalizedName, url: str, serial: int | None = None) -> Page:
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
    if not (parser.anchors or parser.titled or "pypi:repository-version" in parser.meta):
        raise InvalidPage(f"the answer {_LOGIN}")
    files, refused = sort_out(_files(parser.anchors), url=url)
    status = parser.meta.get("pypi:project-status", "active")
    return Page(
        name=name,
        files=files,
        refused=refused,
        status=ProjectStatus(status) if status in set(ProjectStatus) else ProjectStatus.ACTIVE,
        status_reason=parser.meta.get("pypi:project-status-reason"),
        serial=serial if serial is not None else parser.serial,
        # PEP 629: absent is 1.0
        api_version=check_api_version(parser.meta.get("pypi:repository-version", "1.0")),
    )


def _files(anchors: list[_Anchor | Refusal]) -> Iterator[File | Refusal]:
    for anchor in anchors:
        if isinstance(anchor, Refusal):
            yield anchor
            continue
        try:
            yield make_file(anchor)
        except FileRejected as error:
            yield Refusal(anchor.filename[:255], str(error))
