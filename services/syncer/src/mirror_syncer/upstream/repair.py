"""
JSON that a strict parser refuses as a whole for the sake of one value.

Half a surrogate pair (what cuts a text at 255 UTF-16 units leaves one), NaN, a number past all bounds, a byte that is
no UTF-8, a raw control character: Python's own parser reads most of these, and so does pip. It takes ten times as long
and ten times the memory, so it is asked only after the strict one refused.
"""

import json
import math
from typing import TypeVar

import msgspec

_MAX_BODY_BYTES = 32 * 2**20  # bytes: a page of 50,000 files, read within a second
_MAX_VALUES = 1_000_000  # each takes 64 to 232 bytes
_MAX_DIGITS = 4_000  # of a number; Python refuses a document for more
T = TypeVar("T")


def decode_json(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """
    Decode a document, repaired where it is JSON for a tolerant parser alone.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is no such document, or too large to be repaired.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:
        raise  # it is JSON, of another shape
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        try:
            repaired = _repair(body)
        except (ValueError, RecursionError):
            raise error from None
        return decoder.decode(repaired)


def _repair(body: bytes) -> bytes:
    """
    Return strict JSON that says the same; what cannot be said is null, or U+FFFD within a text.

    Raises:
        ValueError, RecursionError: it cannot be repaired.
    """
    if len(body) > _MAX_BODY_BYTES or sum(map(body.count, (b",", b"[", b"{"))) > _MAX_VALUES:
        raise ValueError("too large")
    document = json.loads(
        body.decode("utf-8-sig", errors="replace"),
        strict=False,
        parse_constant=lambda _: None,
        parse_float=_float,
        parse_int=lambda digits: int(digits) if len(digits) <= _MAX_DIGITS else None,
    )
    # By way of UTF-16, in which two halves that belong together become one character.
    text = json.dumps(document, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
    return text.decode("utf-16-le", "replace").encode()


def _float(digits: str) -> float | None:
    return number if math.isfinite(number := float(digits)) else None
