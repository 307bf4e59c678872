"""Text for people: what comes from untrusted sources, made safe to print, and sizes."""

_KILO = 1000


def printable(text: str | None) -> str:
    """Return a text with U+FFFD for each character that could control a terminal or reverse a line."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text or "")


def format_bytes(size: int) -> str:
    """Return a size as people read it: ``512 bytes``, ``5.6 GB``."""
    if size < _KILO:
        return f"{size} bytes"
    value = size / _KILO
    units = iter(("kB", "MB", "GB", "TB"))
    while (unit := next(units, None)) is not None and value >= _KILO - 0.05:  # 999.96 would be shown as 1,000.0
        value /= _KILO
    return f"{value:,.1f} {unit or 'PB'}"
