"""Text from elsewhere, made safe to be shown."""


def plain(text: str | None) -> str:
    """Return text without characters that would steer a terminal or reverse a line; each becomes U+FFFD."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text or "")
