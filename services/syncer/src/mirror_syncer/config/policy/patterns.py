"""Patterns for project names: a name, a glob (``acme-*``), or a regular expression between slashes (``/^tf-.*/``)."""

import fnmatch
import re
from dataclasses import dataclass
from functools import lru_cache

from packaging.utils import NormalizedName

_GLOB = re.compile(r"[A-Za-z0-9._*?\[\]!-]+")
_SEPARATORS = re.compile(r"(\[!?\]?[^]]*\])|[._-]+")  # not those between brackets
_MAX_LENGTH = 200


@dataclass(frozen=True, slots=True)
class NamePatterns:
    """Patterns for normalized names."""

    patterns: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def match(self, name: NormalizedName) -> str | None:
        """Return the first pattern that matches a whole name, or None."""
        if not self.patterns or not any(one.search(name) for one in _together(self.patterns)):
            return None
        return next((pattern for pattern in self.patterns if compile_pattern(pattern).search(name)), None)


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """
    Return a pattern as an expression to search a normalized name for; a glob matches all of it.

    Raises:
        ValueError: it is no pattern.
    """
    if len(pattern) > _MAX_LENGTH:
        raise ValueError(f"a pattern has at most {_MAX_LENGTH} characters")
    if pattern.startswith("/"):
        return _compile_regex(pattern)
    if not _GLOB.fullmatch(pattern):
        raise ValueError('is no name, no glob such as "acme-*", and no regular expression such as "/^acme-.*/"')
    # PEP 503, also around the wildcards: "Acme_*" is written for acme-.
    normalized = _SEPARATORS.sub(lambda found: found[1] or "-", pattern.lower())
    return re.compile(rf"\A{fnmatch.translate(normalized)}")


def _compile_regex(pattern: str) -> re.Pattern[str]:
    if len(pattern) < 3 or not pattern.endswith("/"):  # noqa: PLR2004 - two slashes and something between
        raise ValueError("a regular expression stands between two slashes")
    try:
        return re.compile(pattern[1:-1], re.IGNORECASE)  # normalized names are in lower case
    except (re.error, OverflowError) as error:
        raise ValueError(f"is no regular expression: {error}") from None


@lru_cache(maxsize=64)
def _together(patterns: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    """
    Return one expression for all globs, since 886,000 names are matched in a row: 0.4 µs instead of 0.3 µs a pattern.

    Regular expressions stay apart: their groups and flags hold for the whole of an expression.
    """
    globs = [f"(?:{compile_pattern(pattern).pattern})" for pattern in patterns if not pattern.startswith("/")]
    regexes = (compile_pattern(pattern) for pattern in patterns if pattern.startswith("/"))
    return (*([re.compile("|".join(globs))] if globs else ()), *regexes)
