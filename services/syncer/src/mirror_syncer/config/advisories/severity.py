"""The severity of a vulnerability, from CVSS vectors or from a word."""

from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache
from typing import Self

# CVSS 3.1, section 5: the lowest score of each word. CVSS 4.0 has the same.
_LOWEST_SCORES = ((9.0, "CRITICAL"), (7.0, "HIGH"), (4.0, "MEDIUM"), (0.1, "LOW"))
_VECTORS = ("CVSS_V3", "CVSS_V4")
_MAX_VECTOR_LENGTH = 300  # all metrics of CVSS 4.0 take 180
_DISTINCT_VECTORS = 4_096  # of 6,000 rated records; each takes up to 45 µs


class Severity(IntEnum):
    """How bad a vulnerability is; they compare by that."""

    NONE = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @property
    def word(self) -> str:
        """The word that ``mirror.toml`` uses."""
        return self.name.lower()

    @classmethod
    def parse(cls, word: str) -> Self | None:
        """Return the severity of a word, in any case; GitHub's advisories say MODERATE for medium."""
        word = word.upper()
        return cls.__members__.get("MEDIUM" if word == "MODERATE" else word)


def worst(severities: Iterable[Severity | None]) -> Severity | None:
    """Return the worst severity, or None if none is known."""
    return max((one for one in severities if one is not None), default=None)


def rate_vector(kind: str, vector: str) -> Severity | None:
    """Return the severity of a vector's base score; None for an invalid vector, or one of another system."""
    if kind not in _VECTORS or len(vector) > _MAX_VECTOR_LENGTH:
        return None  # not by the cache, which would keep a text of any length
    return _rate(kind, vector)


@lru_cache(_DISTINCT_VECTORS)
def _rate(kind: str, vector: str) -> Severity | None:
    from cvss import CVSS3, CVSS4, CVSSError  # noqa: PLC0415 - its tables take 3 MB, and most mirrors have no advisories

    calculator = CVSS3 if kind == "CVSS_V3" else CVSS4
    try:
        score = float(calculator(vector).scores()[0])
    except (CVSSError, ArithmeticError, LookupError, ValueError):
        return None
    return next((Severity[word] for lowest, word in _LOWEST_SCORES if score >= lowest), Severity.NONE)
