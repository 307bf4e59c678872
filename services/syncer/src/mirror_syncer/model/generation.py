"""A tree's generation: a counter of all changes, which reveals an older copy of the tree."""

import re
from dataclasses import dataclass
from typing import Self

_GENERATION = re.compile(r"([0-9]{1,18}) ([0-9a-f]{16})?\n?")


@dataclass(frozen=True, slots=True)
class Generation:
    """
    A point in a tree's history; tree and catalog each store one.

    Attributes:
        number: increases by one with each visible change.
        epoch: random per process, so that copies with separate later changes never share a generation.
    """

    number: int = 0
    epoch: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the form of ``str``; any other text becomes a generation that equals no valid one."""
        match = _GENERATION.fullmatch(text)
        return cls(-1, "unreadable") if match is None else cls(int(match[1]), match[2] or "")

    def __str__(self) -> str:
        """Return the stored form."""
        return f"{self.number} {self.epoch}"
