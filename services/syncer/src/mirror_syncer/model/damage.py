"""Damage that a verify finds in the published tree."""

from dataclasses import dataclass
from typing import Literal

Reason = Literal["missing", "wrong", "unreadable", "altered", "differs"]
REASONS: tuple[Reason, ...] = ("missing", "wrong", "unreadable", "altered", "differs")


@dataclass(frozen=True, slots=True)
class Damage:
    """Something published that is not what it should be."""

    what: str
    """A file's name, or the page's."""
    place: str
    """Below ``pypi/web``."""
    reason: Reason
