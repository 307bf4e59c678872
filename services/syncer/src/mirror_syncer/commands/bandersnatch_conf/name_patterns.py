"""bandersnatch's patterns for names, as ``[mirror] exclude`` takes them."""

import re

_UNNORMALIZED = re.compile(r"(?<!\\)[A-Z_]|\\\.")
_SEPARATORS = re.compile(r"\[(?:-[^]^]*|[^]^]*-)\]")  # such as [-_.], which matches the hyphen of a normalized name
_FLAGS = re.compile(r"\(\?([aimsux]+)\)")
_GROUPS = re.compile(r"\\[1-9]|\(\?P")  # exclude joins all its patterns, so numbers and names of groups would clash
_MAX_LENGTH = 198  # characters that exclude takes between the slashes


def whole_name_pattern(pattern: str) -> str | None:
    """
    Return the entry of ``exclude`` that matches what bandersnatch's pattern matches from a name's beginning.

    None: the pattern needs characters that no normalized name has, or the key does not take it.
    """
    flags = _FLAGS.match(pattern)
    rest = pattern[flags.end() :] if flags else pattern
    letters = rest.lower() if flags and "i" in flags[1] else rest
    verbose = bool(flags) and "x" in (flags[1] if flags else "")
    if verbose or _GROUPS.search(rest) or _UNNORMALIZED.search(_SEPARATORS.sub("", letters)):
        return None
    if flags:
        rest = f"(?{flags[1]}:{rest})"
    elif "|" in rest:
        rest = f"(?:{rest})"
    rest = rest if rest.startswith("^") else f"^{rest}"
    rest = rest if rest.endswith((".*", "$")) else f"{rest}.*"
    try:
        re.compile(rest)
    except re.error:
        return None
    return f"/{rest}/" if len(rest) <= _MAX_LENGTH else None
