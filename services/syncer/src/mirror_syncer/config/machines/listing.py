"""Machines as a sentence lists them."""

from collections.abc import Sequence

_MAX_LISTED = 3


def listed(machines: Sequence[str]) -> str:
    """Return the first three names, and the number of the others."""
    more = f" and {len(machines) - _MAX_LISTED} more" if len(machines) > _MAX_LISTED else ""
    return f"{', '.join(machines[:_MAX_LISTED])}{more}"
