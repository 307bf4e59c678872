"""Downloading advisories from a URL: only if they changed, within a size, and with the checksum that is offered."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from mirror_syncer.errors import MirrorError, RefusedError, UpstreamError
from mirror_syncer.model.priority import Priority
from mirror_syncer.upstream.http.client import Client
from mirror_syncer.upstream.http.hosts import normalize_host_port
from mirror_syncer.upstream.http.options import ClientOptions

ENDPOINT = "advisories"
_PORTS = {"http": 80, "https": 443}
_SHA256 = re.compile(r"(?<![0-9a-fA-F])[0-9a-fA-F]{64}(?![0-9a-fA-F])")
_MAX_CHECKSUM_FILE_BYTES = 65_536
# RFC 9530 and its predecessor RFC 3230; Google's storage, where OSV publishes, gives an md5 in a header of its own.
_DIGEST_HEADERS = ("repr-digest", "content-digest", "digest", "x-goog-hash")
_ALGORITHMS = {"sha-512": "sha512", "sha-256": "sha256", "md5": "md5"}
_DIGEST = re.compile(r"(?:^|,)\s*([A-Za-z0-9-]+)=:?([A-Za-z0-9+/]+=*):?(?=\s*(?:,|;|$))")


class DownloadError(MirrorError):
    """Advisories cannot be downloaded; the message shows no login and no query of the URL."""


class Validators(NamedTuple):
    """The validators of a response, for conditional requests (RFC 9110 8.8)."""

    etag: str | None = None
    last_modified: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a conditional request."""
        headers = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in headers.items() if value}


def parse_url(text: str) -> str:
    """
    Return the URL of a source.

    Raises:
        ValueError: it is not a URL, or has a login, which logs would show.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("must be a directory, or a URL such as https://example.org/PyPI/all.zip") from None
    if parts.scheme not in _PORTS or not parts.hostname or port == 0:
        raise ValueError("must be a directory, or a URL such as https://example.org/PyPI/all.zip")
    if "@" in parts.netloc:
        raise ValueError("must have no user or password, which logs would show")
    return text


def shown_url(url: str) -> str:
    """Return a URL for messages: without a query, which may hold a key."""
    return urlunsplit(urlsplit(url)._replace(query="", fragment=""))


async def download(
    url: str, into: Path, *, options: ClientOptions, validators: Validators, max_bytes: int
) -> Validators | None:
    """
    Download a file; return its validators, or None if it did not change.

    Args:
        options: those of the client for upstream; the URL's own host is allowed, too.

    Raises:
        DownloadError: the server refuses or fails, the file is too large, or it has another checksum than offered.
        OSError: the file cannot be written.
    """
    parts = urlsplit(url)
    host = normalize_host_port(parts.hostname or "", parts.port or _PORTS[parts.scheme])
    try:
        async with Client(replace(options, hosts=options.hosts | {host}, connections=1)) as client:
            with into.open("wb") as file:
                response = await client.stream(
                    url,
                    _Sink(file, max_bytes),
                    endpoint=ENDPOINT,
                    headers=validators.headers,
                    priority=Priority.NAMED,
                )
            if response.status == HTTPStatus.NOT_MODIFIED and validators.headers:
                return None
            if response.status != HTTPStatus.OK:
                raise DownloadError(f"{shown_url(url)} answered {response.status}")
            _check_headers(response.headers, into)
            await _check_checksum_file(client, url, into)
    except UpstreamError as error:
        raise DownloadError(str(error).replace(url, shown_url(url))) from None
    return Validators(response.headers.get("etag"), response.headers.get("last-modified"))


def _check_headers(headers: Mapping[str, str], path: Path) -> None:
    """Compare a file with the digests in the headers of its response."""
    if headers.get("content-encoding", "identity") != "identity":
        return  # the digests are of the encoded content
    for name in _DIGEST_HEADERS:
        for algorithm, text in _DIGEST.findall(headers.get(name, "")):
            if (known := _ALGORITHMS.get(algorithm.lower())) is not None:
                _check(path, known, _decode(text), offered=f"the header {name}")


async def _check_checksum_file(client: Client, url: str, path: Path) -> None:
    """Compare a file with the sha256 at the same URL with ``.sha256`` appended, if there is one."""
    parts = urlsplit(url)
    beside = urlunsplit(parts._replace(path=f"{parts.path}.sha256"))
    response = await client.get(beside, endpoint=ENDPOINT, headers={}, priority=Priority.NAMED)
    if response.status != HTTPStatus.OK or len(response.body) > _MAX_CHECKSUM_FILE_BYTES:
        return
    if (found := _SHA256.search(response.body.decode("latin-1"))) is not None:
        _check(path, "sha256", bytes.fromhex(found[0]), offered=shown_url(beside).rpartition("/")[2])


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""


def _check(path: Path, algorithm: str, wanted: bytes, *, offered: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).digest()
    if found != wanted:
        raise DownloadError(f"the {algorithm} of the download differs from the one in {offered}")


class _Sink:
    """Receives a download into a file."""

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes

    @property
    def position(self) -> int:
        """How many bytes it holds."""
        return self._file.tell()

    def restart(self) -> None:
        """Discard them."""
        self._file.seek(0)
        self._file.truncate()

    def write(self, chunk: bytes, /) -> None:
        """Receive the next bytes."""
        if self._file.tell() + len(chunk) > self._max_bytes:
            raise RefusedError(f"the download has more than {self._max_bytes:,} bytes")
        self._file.write(chunk)
