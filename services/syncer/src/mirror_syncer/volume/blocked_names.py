"""
Blocked names with their reasons, for nginx's 404 to their pages: one file, ``pypi/.blocked``.

A 403 would end uv's search, so a blocked page is missing like any other; the text of the 404 says why. nginx looks
there only after it has found no page. A list of 20,000 names must not slow that down, so the lines are sorted, and
nginx reads a dozen of them: see ``nginx/absent.js``. The format::

    <length of the lines with patterns> <length of the lines with names>, in bytes
    <pattern><tab><reason>      in the order of the policy, at most MAX_PATTERNS
    <name><tab><reason>         sorted
"""

from collections.abc import Iterable, Mapping
from itertools import islice

from mirror_syncer.model.names import MAX_NAME_BYTES
from mirror_syncer.volume.held_markers import marker_text

MAX_PATTERNS = 1_000
"""nginx tries each; projects of further patterns are missing just the same, but their 404 gives no reason."""


def blocked_names(names: Mapping[str, str], patterns: Mapping[str, str]) -> bytes | None:
    """
    Return the content of the file, or None if nothing is blocked.

    Args:
        names: reasons by normalized name.
        patterns: reasons by pattern as in ``fnmatch``, for normalized names.
    """
    if not names and not patterns:
        return None
    globs = b"".join(islice(_lines(patterns.items()), MAX_PATTERNS))
    known = b"".join(_lines(sorted(names.items())))
    return b"%d %d\n" % (len(globs), len(known)) + globs + known


def _lines(reasons: Iterable[tuple[str, str]]) -> Iterable[bytes]:
    for name, reason in reasons:
        # Others can never be requested, and nginx relies on the length.
        if name.isascii() and name.isprintable() and len(name) <= MAX_NAME_BYTES:
            yield f"{name}\t{marker_text(reason)}\n".encode()
