"""A project's name, as PEP 503 normalizes it."""

from typing import Annotated

from packaging.utils import InvalidName, NormalizedName, canonicalize_name
from pydantic import AfterValidator

# Of a spelling, before it is normalized: runs of separators count as one.
_LONGEST_SPELLING = 4 * 214
# The longest name on PyPI has 188 characters; a path component holds 255 bytes, less what we add to it.
LONGEST = 214


def parse_project_name(text: str) -> NormalizedName:
    """
    Return the normalized name of a project, which is safe as a path component.

    Raises:
        ValueError: it is no name by PEP 508 (ASCII letters, digits and, inside, ``.``, ``_`` and ``-``) or too long.
    """
    if len(text) > _LONGEST_SPELLING:
        raise ValueError(f"{text[:40]!r}… is too long for a project name: {len(text)} characters, at most {LONGEST}")
    try:
        # ASCII first: the Kelvin sign, lower-cased, is a k.
        name = canonicalize_name(text if text.isascii() else "", validate=True)
    except InvalidName:
        raise ValueError(f"{text[:80]!r} is not a project name: a-z, 0-9 and, inside, '.', '_' and '-'") from None
    if len(name) > LONGEST:
        raise ValueError(f"{text[:40]!r}… is too long for a project name: {len(name)} characters, at most {LONGEST}")
    return name


ProjectName = Annotated[str, AfterValidator(parse_project_name)]
"""A field of this type parses what it is given; what it holds is normalized."""
