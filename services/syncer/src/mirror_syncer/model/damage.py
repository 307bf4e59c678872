"""Damage of the published tree, found by a verify."""

from dataclasses import dataclass
from typing import Literal

Reason = Literal["missing", "wrong", "unreadable", "altered", "differs"]
REASONS: tuple[Reason, ...] = ("missing", "wrong", "unreadable", "altered", "differs")


@dataclass(frozen=True, slots=True)
class Damage:
    """A published file or page that is missing or corrupt."""

    what: str
    """Name of the file or the page."""
    place: str
    """Path below ``pypi/web``."""
    reason: Reason
