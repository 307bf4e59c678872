"""The mirrored index: requests for its project list, pages and files."""

import asyncio
from contextlib import AbstractContextManager
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from packaging.utils import NormalizedName

from mirror_syncer.errors import InvalidPageError, MirrorError, RefusedError, UpstreamError
from mirror_syncer.model.page import Page
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.validators import Validators
from mirror_syncer.upstream.html import parse_html
from mirror_syncer.upstream.http.client import Client, Delivery, Response, Sink
from mirror_syncer.upstream.http.part import Part
from mirror_syncer.upstream.json import parse_json
from mirror_syncer.upstream.location import Location
from mirror_syncer.upstream.page import parse_serial
from mirror_syncer.upstream.responses import HTML_TYPES, JSON_TYPES, Gone, ListResponse, NotModified, PageResponse

# PEP 691: JSON as the first choice, HTML where an upstream has nothing else
_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
_ABSENT_STATUSES = frozenset({403, 404, 410})  # a bucket without listing permission answers 403
# With these, the next base URL is tried, until the right one is known.
_TRY_NEXT_STATUSES = frozenset({400, 403, 404, 405, 406, 410})
_MAX_LIST_BYTES = 2**28  # six times PyPI's; enough for five million projects
_MIN_THREADED_BYTES = 256 * 1024  # parsing in a thread costs as much overhead as 100 files


class Index:
    """
    An index by PEP 503 and 691.

    Args:
        origin: the index, without ``/simple`` and without a slash at its end, such as ``https://pypi.org``.
    """

    def __init__(self, origin: str, *, client: Client) -> None:
        self._origin = origin
        self._location = Location(origin)
        self._missing: str | None = None
        self._client = client

    async def page(
        self, name: NormalizedName, *, validators: Validators, priority: Priority
    ) -> PageResponse | NotModified | Gone:
        """
        Request a project's page.

        Raises:
            UpstreamError: the request failed.
            InvalidPageError: the response is not a page.
        """
        bases = self._location.bases
        first: Gone | MirrorError | None = None
        for base in bases:
            try:
                answer = await self._get_page_below(base, name, validators=validators, priority=priority)
            except (_NotHereError, InvalidPageError) as error:
                first = first or error
                continue
            if not isinstance(answer, Gone):
                self._location.confirm(base)
                return answer
            first = first or answer
        if isinstance(first, MirrorError):
            raise first
        return Gone(await self._missing_index(priority))

    async def _missing_index(self, priority: Priority) -> str | None:
        """Return a message if there is no index at all; None if a page or a list was found."""
        if self._location.confirmed or self._missing is not None:
            return self._missing or None
        for base in self._location.bases:
            try:
                answer = await self._client.stream(
                    f"{base}/",
                    _ListProbe(),
                    endpoint="list",
                    headers=_conditional_headers(Validators()),
                    priority=priority,
                )
            except (_ListFound, UpstreamError):
                self._missing = ""
                return None
            if answer.status not in _ABSENT_STATUSES:
                self._missing = ""
                return None
        tried = " and ".join(f"{base}/" for base in self._location.bases)
        self._missing = f"no index at MIRROR_UPSTREAM ({tried} answered {answer.status}): correct its URL"
        return self._missing

    async def _get_page_below(
        self, base: str, name: NormalizedName, *, validators: Validators, priority: Priority
    ) -> PageResponse | NotModified | Gone:
        headers = _conditional_headers(validators)
        answer = await self._client.get(f"{base}/{name}/", endpoint="page", headers=headers, priority=priority)
        match answer.status:
            case 304 if validators.etag or validators.last_modified:
                return NotModified()
            case 404 | 410:
                return Gone()
            case 200:
                pass
            case 401:
                raise RefusedError(f"{answer.url}: answered 401: check user and password in MIRROR_UPSTREAM_NETRC")
            case 407:
                raise RefusedError(
                    f"{answer.url}: the proxy answered 407: check its user and password in MIRROR_UPSTREAM_NETRC"
                )
            case status if status in _TRY_NEXT_STATUSES:
                raise _NotHereError(f"{answer.url}: answered {status}")
            case status:
                raise RefusedError(f"{answer.url}: answered {status}")
        content_type = _content_type(answer)
        page = await _parse_in_thread(
            answer.body,
            content_type=content_type,
            name=name,
            url=answer.url,
            serial=parse_serial(answer.headers.get("x-pypi-last-serial")),
        )
        return PageResponse(page, Validators.of(answer.headers), answer.body, content_type, answer.url)

    def hold_page(self, url: str, size: int) -> AbstractContextManager[None]:
        """Count a page while it is processed; arguments and errors as in ``PageMemory.hold_page``."""
        return self._client.hold_page(url, size)

    async def project_list(
        self, *, validators: Validators, into: BinaryIO, priority: Priority
    ) -> ListResponse | NotModified:
        """
        Request the list of all projects, and write it to an empty file: PyPI's has 45 MB.

        Raises:
            UpstreamError: the request failed.
            InvalidPageError: the response is not a project list, or too large.
        """
        refused: MirrorError | None = None
        for base in self._location.bases:
            try:
                answer = await self._get_list_below(base, validators=validators, into=into, priority=priority)
            except (_NotHereError, _NotAListError) as error:
                refused = refused or error
                continue
            if isinstance(answer, NotModified) or self._location.may_be_list(base, is_json=answer.is_json):
                self._location.confirm(base)
                return answer
        raise refused or InvalidPageError(f"{self._origin}: no project list found; check MIRROR_UPSTREAM")

    async def _get_list_below(
        self, base: str, *, validators: Validators, into: BinaryIO, priority: Priority
    ) -> ListResponse | NotModified:
        url = f"{base}/"
        answer = await self._client.stream(
            url, _Spool(into), endpoint="list", headers=_conditional_headers(validators), priority=priority
        )
        match answer.status:
            case 304 if validators.etag or validators.last_modified:
                return NotModified()
            case 200:
                pass
            case status:
                raise _NotHereError(f"{answer.url}: answered {status} instead of a project list; check MIRROR_UPSTREAM")
        if (content_type := _content_type(answer)) not in JSON_TYPES | HTML_TYPES:
            raise _NotAListError(
                f"{url} answered with {content_type or 'no content type'!r}, not a project list (PEP 503, 691)"
            )
        serial = parse_serial(answer.headers.get("x-pypi-last-serial"))
        return ListResponse(content_type, serial, Validators.of(answer.headers), answer.url)

    async def file(self, url: str, sink: Sink, *, priority: Priority, resume: bool = True) -> Delivery:
        """Download a file into a sink; arguments and errors as in ``Client.download``."""
        return await self._client.download(url, sink, endpoint="file", priority=priority, resume=resume)

    async def metadata(self, url: str, sink: Sink, *, priority: Priority) -> None:
        """Download a file's ``.metadata`` into a sink (PEP 658)."""
        parts = urlsplit(url)
        await self._client.download(
            parts._replace(path=f"{parts.path}.metadata").geturl(), sink, endpoint="metadata", priority=priority
        )

    async def file_part(self, url: str, wanted: range | int, *, max_bytes: int, priority: Priority) -> Part:
        """Return a part of a file; arguments and errors as in ``Client.get_part``."""
        return await self._client.get_part(url, wanted, max_bytes=max_bytes, endpoint="metadata", priority=priority)


class _NotHereError(RefusedError):
    """A failure at this base URL; another one of the same index may work."""


class _NotAListError(InvalidPageError):
    """A response whose content type is not that of a project list."""


class _ListFound(Exception):
    """A signal that the project list exists."""


class _ListProbe:
    """A sink that ends the download at the first bytes: the list exists, and PyPI's has 45 MB."""

    position = 0

    def restart(self) -> None:
        """Do nothing: no bytes are held."""

    def write(self, _chunk: bytes, /) -> None:
        raise _ListFound


class _Spool:
    """A sink that writes to a file, up to the size limit of a list."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    @property
    def position(self) -> int:
        return self._file.tell()

    def restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()

    def write(self, chunk: bytes, /) -> None:
        if self.position + len(chunk) > _MAX_LIST_BYTES:
            raise InvalidPageError(f"the project list is larger than {_MAX_LIST_BYTES:,} bytes")
        self._file.write(chunk)


def _conditional_headers(validators: Validators) -> dict[str, str]:
    # ETags of gzip and identity differ: without gzip in each request, upstream would never answer 304.
    headers = {"Accept": _ACCEPT}
    if validators.etag:
        headers["If-None-Match"] = validators.etag
    if validators.last_modified:
        headers["If-Modified-Since"] = validators.last_modified
    return headers


def _content_type(answer: Response) -> str:
    return answer.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _parse_in_thread(body: bytes, **arguments: Any) -> Page:  # noqa: ANN401 - parse_page's own arguments
    """Parse a page; a large one in a thread, since 50,000 files take a second and a half."""
    if len(body) < _MIN_THREADED_BYTES:
        return parse_page(body, **arguments)
    return await asyncio.to_thread(parse_page, body, **arguments)


def parse_page(body: bytes, *, content_type: str, name: NormalizedName, url: str, serial: int | None) -> Page:
    """
    Parse a page by its content type; arguments and errors as in ``parse_json``.

    The type selects the parser. A login page also answers 200 and ``text/html``; the HTML parser recognizes it.
    """
    if content_type in JSON_TYPES:
        return parse_json(body, name=name, url=url, serial=serial, unhashed=True)
    if content_type in HTML_TYPES:
        return parse_html(body, name=name, url=url, serial=serial, unhashed=True)
    raise InvalidPageError(
        f"{url} answered with {content_type or 'no content type'!r}, not a project page (PEP 503, 691)"
    )
