"""
Repair of JSON that a strict parser refuses because of one value.

Examples: half a surrogate pair (left by cutting a text at 255 UTF-16 units), NaN, a huge number, an invalid UTF-8
byte, a raw control character. Python's own parser accepts most of these, and so does pip. It needs ten times the time
and the memory, so it runs only after the strict parser failed.
"""

import json
import math
from typing import TypeVar

import msgspec

_MAX_BODY_BYTES = 32 * 2**20  # a page of 50,000 files, repaired within a second
_MAX_VALUES = 1_000_000  # each takes 64 to 232 bytes
_OUT_OF_RANGE = "Number out of range"  # msgspec's words for 1e400, which it takes for an error of shape
_MAX_DIGITS = 4_000  # of a number; Python refuses a document for more
T = TypeVar("T")


def decode_json(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """
    Decode a document; if only a tolerant parser accepts it, repair it first.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is invalid, or too large to repair.
    """
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if isinstance(error, msgspec.ValidationError) and not str(error).startswith(_OUT_OF_RANGE):
            raise  # valid JSON of another shape
        try:
            repaired = _repair(body)
        except (ValueError, RecursionError):
            raise error from None
        return decoder.decode(repaired)


def _repair(body: bytes) -> bytes:
    """
    Return equivalent strict JSON; invalid values become null, invalid characters U+FFFD.

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
    # Through UTF-16, where two matching surrogates become one character.
    text = json.dumps(document, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
    return text.decode("utf-16-le", "replace").encode()


def _float(digits: str) -> float | None:
    return number if math.isfinite(number := float(digits)) else None
