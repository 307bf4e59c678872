"""Text from untrusted sources, made safe to print."""


def printable(text: str | None) -> str:
    """Return a text with U+FFFD for each character that could control a terminal or reverse a line."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text or "")
