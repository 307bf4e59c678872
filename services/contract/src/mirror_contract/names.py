"""Project names, normalized by PEP 503."""

from packaging.utils import InvalidName, NormalizedName, canonicalize_name

# Before normalization, which turns a run of separators into one.
_MAX_SPELLING_LENGTH = 4 * 214
# The longest name on PyPI has 188 characters. A path component holds 255 bytes, and the syncer appends to it.
MAX_NAME_LENGTH = 214


def parse_project_name(text: str) -> NormalizedName:
    """
    Return the normalized name of a project, which is safe as a path component.

    Raises:
        ValueError: it is too long, or not a name by PEP 508 (ASCII letters and digits; ``.``, ``_``, ``-`` inside).
    """
    if len(text) > _MAX_SPELLING_LENGTH:
        raise ValueError(
            f"{text[:40]!r}… is too long for a project name: {len(text)} characters, at most {MAX_NAME_LENGTH}"
        )
    try:
        # Check for ASCII first: the Kelvin sign lower-cased is a k.
        name = canonicalize_name(text if text.isascii() else "", validate=True)
    except InvalidName:
        raise ValueError(f"{text[:80]!r} is not a project name: use a-z and 0-9, and '.', '_' or '-' inside") from None
    if len(name) > MAX_NAME_LENGTH:
        raise ValueError(
            f"{text[:40]!r}… is too long for a project name: {len(name)} characters, at most {MAX_NAME_LENGTH}"
        )
    return name
