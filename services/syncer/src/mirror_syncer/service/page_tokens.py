"""
Where a list goes on: a cursor names the last item that was read, and the query that it was read by.

It is opaque to clients, not secret: whoever makes one up learns nothing that a filter would not tell. But one that is
used with other filters would skip what it never showed, so it carries a digest of them and is refused there.
"""

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

_VERSION = 1


class PageTokenError(ValueError):
    """It is none, or another list's; the message says what to do."""


class PageTokens:
    """
    The cursors of one query.

    Args:
        noun: what is listed.
        filters: which of it; how many at once is no filter.
    """

    def __init__(self, noun: str, **filters: str | list[str]) -> None:
        plain = {name: value if isinstance(value, str) else sorted(value) for name, value in filters.items()}
        self._query = hashlib.sha256(json.dumps([noun, plain], sort_keys=True).encode()).hexdigest()[:16]

    def after(self, item: str) -> str:
        """Return the cursor of what comes after an item."""
        said = json.dumps({"v": _VERSION, "of": self._query, "after": item}, separators=(",", ":"))
        return urlsafe_b64encode(said.encode()).decode().rstrip("=")

    def item(self, cursor: str) -> str:
        """
        Return the item that a cursor comes after.

        Raises:
            CursorError: it is none of this query's.
        """
        try:
            said = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        except (ValueError, RecursionError):  # letters beyond base64's, bytes that are no JSON, a thousand brackets
            said = None
        match said:
            case {"v": int(version)} if version != _VERSION:
                raise PageTokenError("is of another version of the mirror; begin anew without one.")
            case {"v": int(), "of": self._query, "after": str(item)}:
                return item
            case {"v": int(), "of": str(), "after": str()}:
                raise PageTokenError("belongs to another query; repeat that one's filters, or begin anew without one.")
            case _:
                raise PageTokenError("is no cursor; pass on what 'next' says, or follow the Link header.")
