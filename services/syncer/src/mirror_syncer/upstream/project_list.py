"""
The parser of the project list, which reads a file block by block.

PyPI's list has 890,000 entries and 45 MB; only one block is in memory at a time.

Essential reading: PEP 503 and 691, "root URL".
"""

import html
import re
from collections.abc import Iterator
from functools import partial
from typing import Any, BinaryIO

import msgspec

from mirror_syncer.errors import InvalidPageError
from mirror_syncer.model.serials import MAX_SERIAL
from mirror_syncer.upstream.page import check_api_version, parse_serial
from mirror_syncer.upstream.repair import decode_json

Block = tuple[list[str], list[int]]
"""
Names as upstream writes them, and their serials (PyPI's key ``_last-serial``); 0 for none.

Two lists, because 890,000 pairs would keep the garbage collector busy for a second.
"""

_BLOCK_BYTES = 2**20
_MAX_ENTRY_BYTES = 8 * _BLOCK_BYTES  # a longer entry is invalid
_MAX_HEAD_BYTES = 64 * 1024
_PROJECTS = re.compile(rb'"projects"\s*:\s*\[')
_BETWEEN = re.compile(rb"\}\s*(,)\s*\{")
_BOUNDARY_WINDOW_BYTES = 64 * 1024  # at the end of a block, searched for the last boundary
_MAX_BOUNDARIES_TRIED = 32  # an entry's own objects may look like the boundary between two entries
_MAX_REPAIRS_TRIED = 4  # each takes 30 ms; they are tried only where the strict parser refused every boundary
_MAX_FAULTS = 100

# No attribute contains a '<'. A pattern that searched past the next '<' took 10 s for 100 kB of '<a '.
_ANCHOR = re.compile(rb"<a\s(?P<attributes>[^<>]*)>(?P<text>[^<]*)</a\s*>", re.IGNORECASE)
_HREF = re.compile(rb"""href\s*=\s*["']?(?P<url>[^"'\s>]*)""", re.IGNORECASE)
# PyPI and most others have one of these. Without it, every link must name a project, so that a login page is refused.
_IS_INDEX = re.compile(rb"pypi:repository-version|<title>[^<]{0,200}?simple[^<]{0,200}</title>", re.IGNORECASE)
# PyTorch's list has a comment with a time after its end tag.
_HTML_END = re.compile(rb"</(?:html|body)\s*>(?:\s|<!--(?:[^-]|-(?!->))*-->)*$", re.IGNORECASE)


class _Entry(msgspec.Struct):
    name: Any = None
    last_serial: Any = msgspec.field(name="_last-serial", default=None)


class _Meta(msgspec.Struct):
    api_version: str = msgspec.field(name="api-version", default="1.0")
    last_serial: Any = msgspec.field(name="_last-serial", default=None)


class _List(msgspec.Struct):
    meta: _Meta
    projects: list[_Entry | str | bool | int | float | list[Any] | None]


_entries = msgspec.json.Decoder(list[_Entry | str | bool | int | float | list[Any] | None])
_list = msgspec.json.Decoder(_List)


class ListReader:
    """
    A one-time iterator over the blocks of a list; its attributes are complete after the last block.

    Args:
        body: the whole list, positioned at its beginning.

    Raises:
        InvalidPageError: during iteration: it is not a project list, or is truncated.
    """

    def __init__(self, body: BinaryIO, *, is_json: bool) -> None:
        self._body = body
        self._blocks = self._json() if is_json else self._html()
        self.serial: int | None = None
        """The serial of the list itself."""
        self.faults: list[str] = []
        """Messages about entries without a project name; the first hundred."""

    def __iter__(self) -> Iterator[Block]:
        return self._blocks

    def _json(self) -> Iterator[Block]:
        head, rest = self._head()
        while more := self._body.read(_BLOCK_BYTES):
            # Never all of it: the last entries are decoded together with the document's end.
            entries, rest = _decode_complete_entries(rest)
            if entries:
                yield self._block(entries)
            rest += more
            if len(rest) > _MAX_ENTRY_BYTES:
                raise InvalidPageError(f"the project list has an entry of more than {_MAX_ENTRY_BYTES:,} bytes")
        try:
            # The head plus the rest is the whole document with only its last entries, so that a truncated list is not
            # valid JSON.
            end = decode_json(_list, head + rest)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidPageError(f"the project list is not valid JSON (PEP 691), or truncated: {error}") from error
        check_api_version(end.meta.api_version)
        self.serial = parse_serial(end.meta.last_serial)
        yield self._block(end.projects)

    def _head(self) -> tuple[bytes, bytes]:
        """Return the text before the first entry, and the first bytes of the entries."""
        beginning = self._body.read(_MAX_HEAD_BYTES)
        found = _PROJECTS.search(beginning)
        if found is None:
            raise InvalidPageError("the project list is not valid JSON (PEP 691): 'projects' is missing")
        return beginning[: found.end()], beginning[found.end() :]

    def _block(self, entries: list[Any]) -> Block:
        if not all(type(entry) is _Entry and type(entry.name) is str for entry in entries):
            good = [entry for entry in entries if isinstance(entry, _Entry) and isinstance(entry.name, str)]
            missing = min(len(entries) - len(good), _MAX_FAULTS - len(self.faults))
            self.faults += ["an entry has no project name (PEP 691)"] * missing
            entries = good
        serials = [entry.last_serial for entry in entries]
        if set(map(type, serials)) != {int} or not 0 <= min(serials) <= max(serials) <= MAX_SERIAL:
            serials = [parse_serial(serial) or 0 for serial in serials]
        return [entry.name for entry in entries], serials

    def _html(self) -> Iterator[Block]:
        rest = self._body.read(_BLOCK_BYTES)
        is_index, strange, read = _IS_INDEX.search(rest[:_MAX_HEAD_BYTES]) is not None, 0, 0
        while True:
            more = self._body.read(_BLOCK_BYTES)
            names: list[str] = []
            end = 0
            for anchor in _ANCHOR.finditer(rest):
                end = anchor.end()
                if (name := _project_of_anchor(anchor)) is None:
                    strange += 1
                else:
                    names.append(name)
            read += len(names)
            if strange and not is_index:
                break
            if names:
                yield names, [0] * len(names)
            last, rest = rest, rest[end:] + more
            if not more:
                break
            if len(rest) > _MAX_ENTRY_BYTES:
                raise InvalidPageError(f"the project list has {_MAX_ENTRY_BYTES:,} bytes without a link")
        if not is_index and (strange or not read):
            raise InvalidPageError("the response is not a project list: perhaps a login page, or a wrong path")
        if not _HTML_END.search(last[-1024:]):
            raise InvalidPageError("the project list is truncated: its HTML has no end tag")


def _decode_complete_entries(text: bytes) -> tuple[list[Any], bytes]:
    """Return the entries up to a boundary, and the text after it; no entries if no boundary is certain."""
    begin = max(0, len(text) - _BOUNDARY_WINDOW_BYTES)
    boundaries = [found.start(1) for found in _BETWEEN.finditer(text, begin)]
    strict, repairing = boundaries[-_MAX_BOUNDARIES_TRIED:], boundaries[-_MAX_REPAIRS_TRIED:]
    for decode, commas in ((_entries.decode, strict), (partial(decode_json, _entries), repairing)):
        for comma in reversed(commas):
            try:
                return decode(b"[%b]" % text[:comma]), text[comma + 1 :]
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue  # inside an entry, or not JSON at all, which the last block reveals
    return [], text


def _project_of_anchor(anchor: re.Match[bytes]) -> str | None:
    """Return the project that an anchor names, or None if it links elsewhere."""
    text = html.unescape(anchor["text"].decode("utf-8", errors="replace")).strip()
    href = _HREF.search(anchor["attributes"])
    url = "" if href is None else href["url"].decode("utf-8", errors="replace").partition("#")[0].partition("?")[0]
    # PEP 503: the text MUST be the name, the URL ends with the normalized name and a slash; Nexus omits the slash.
    last = url.rstrip("/").rpartition("/")[2]
    return text if text and _normalize(last) == _normalize(text) else None


def _normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
