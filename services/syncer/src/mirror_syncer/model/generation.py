"""A tree's generation: a counter that every change raises, so that an older copy of the tree is recognised."""

import re
from dataclasses import dataclass
from typing import Self

_GENERATION = re.compile(r"([0-9]{1,18}) ([0-9a-f]{16})?\n?")


@dataclass(frozen=True, slots=True)
class Generation:
    """
    A point in a tree's history; tree and catalog each keep one.

    Attributes:
        number: one more with each change that clients can see.
        epoch: random, of the process that made the change: two copies that went on separately share no generation.
    """

    number: int = 0
    epoch: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``str`` wrote; anything else is a generation that nothing else has."""
        match = _GENERATION.fullmatch(text)
        return cls(-1, "unreadable") if match is None else cls(int(match[1]), match[2] or "")

    def __str__(self) -> str:
        """Return the form in which it is stored."""
        return f"{self.number} {self.epoch}"
