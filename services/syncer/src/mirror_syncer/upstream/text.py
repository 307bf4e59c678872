"""Text that others wrote, made safe to be printed: terminals obey control characters, and readers' eyes follow bidi."""

import re
from typing import Any

_BREAKS = re.compile(r"[\t\n\v\f\r]+")
# Unicode's Cc and line breaks, all characters that change the direction of text (UAX 9), and halves of surrogate pairs.
_OTHERS = "\x00-\x08\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff"
_UNSAFE = re.compile(f"[{_OTHERS}]")
# A description has lines, which may end in CR LF; CR alone lets a terminal write over what it wrote before.
_UNSAFE_IN_LINES = re.compile(f"[{_OTHERS}\v\f]|\r(?!\n)")
_REPLACEMENT = "\ufffd"


def clean_line(text: str) -> str:
    """Return a text of one line: line breaks become a space, what a terminal would obey becomes U+FFFD."""
    if text.isprintable():
        return text
    return _UNSAFE.sub(_REPLACEMENT, _BREAKS.sub(" ", text))


def clean_lines(text: str) -> str:
    """Return a text that may have several lines, and tabs; the rest as in ``clean_line``."""
    return text if text.isprintable() else _UNSAFE_IN_LINES.sub(_REPLACEMENT, text)


def clean_document(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a JSON document with each text in it cleaned, keys included. No deeper than the parser that read it."""
    if isinstance(value, str):
        return clean_lines(value)
    if isinstance(value, list):
        return [clean_document(item) for item in value]
    if isinstance(value, dict):
        return {clean_lines(key): clean_document(item) for key, item in value.items()}
    return value
