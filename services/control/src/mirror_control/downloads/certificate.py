"""The end of the certificate that nginx serves, read from the copy that nginx puts beside the access log."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

# Beside the access log; nginx/certificate.js writes it.
_FILENAME: Final = "certificate.pem"
_MAX_BYTES: Final = 65_536
_SEQUENCE, _CONTEXT_0, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
_LONG_LENGTH: Final = 0x80


def read_certificate_end(directory: Path) -> datetime | None:
    """Return when the certificate ends; None if nginx has none, or it cannot be read."""
    try:
        with (directory / _FILENAME).open("rb") as file:
            text = file.read(_MAX_BYTES).decode("ascii")
        return _end_of(ssl.PEM_cert_to_DER_cert(_first(text)))
    except (OSError, ValueError, IndexError):
        return None


def _first(text: str) -> str:
    """Return the first certificate of a chain: the host's own."""
    begin = text.index(ssl.PEM_HEADER)
    return text[begin : text.index(ssl.PEM_FOOTER, begin) + len(ssl.PEM_FOOTER)]


def _end_of(der: bytes) -> datetime:
    """
    Return ``notAfter`` of a certificate (RFC 5280, 4.1). The standard library has no public function for it.

    Raises:
        ValueError, IndexError: it is no certificate.
    """
    (_, certificate), *_ = _items(der)
    (_, body), *_ = _items(certificate)
    fields = [(tag, content) for tag, content in _items(body) if tag != _CONTEXT_0]
    # serialNumber, signature, issuer, validity
    tag, validity = fields[3]
    if tag != _SEQUENCE:
        raise ValueError("no validity")
    _, (kind, end) = _items(validity)
    text = end.decode("ascii")
    if kind == _UTC_TIME:
        # RFC 5280, 4.1.2.5.1: from 50 on, a year is of the last century.
        text = ("19" if text[:2] >= "50" else "20") + text
    elif kind != _GENERALIZED_TIME:
        raise ValueError("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _items(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each element (X.690, 8.1)."""
    place = 0
    while place < len(der):
        tag, length = der[place], der[place + 1]
        place += 2
        if length >= _LONG_LENGTH:
            digits = length - _LONG_LENGTH
            length = int.from_bytes(der[place : place + digits])
            place += digits
        if place + length > len(der):
            raise ValueError("cut short")
        yield tag, der[place : place + length]
        place += length
