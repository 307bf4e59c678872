"""Foreign text made safe to print, without control characters and bidirectional overrides."""

import re
from typing import Any

_BREAKS = re.compile(r"[\t\n\v\f\r]+")
# Unicode's Cc and line breaks, all characters that change the text direction (UAX 9), and lone surrogates.
_OTHERS = "\x00-\x08\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff"
_UNSAFE = re.compile(f"[{_OTHERS}]")
# Lines of a description may end in CR LF; a CR alone lets a terminal overwrite the line.
_UNSAFE_IN_LINES = re.compile(f"[{_OTHERS}\v\f]|\r(?!\n)")
_REPLACEMENT = "\ufffd"


def clean_line(text: str) -> str:
    """Return a text as one line: line breaks become a space, control characters U+FFFD."""
    if text.isprintable():
        return text
    return _UNSAFE.sub(_REPLACEMENT, _BREAKS.sub(" ", text))


def clean_lines(text: str) -> str:
    """Return a text that keeps its line breaks and tabs, otherwise cleaned as in ``clean_line``."""
    return text if text.isprintable() else _UNSAFE_IN_LINES.sub(_REPLACEMENT, text)


def clean_document(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a JSON document with every text cleaned, keys included. It recurses no deeper than the parser did."""
    if isinstance(value, str):
        return clean_lines(value)
    if isinstance(value, list):
        return [clean_document(item) for item in value]
    if isinstance(value, dict):
        return {clean_lines(key): clean_document(item) for key, item in value.items()}
    return value
