"""Poetry's constraints on versions, such as ``^1.2``, as specifiers that every tool reads."""

import re

from packaging.specifiers import InvalidSpecifier, Specifier
from packaging.version import InvalidVersion, Version

_MAX_LENGTH = 500
_MAX_ALTERNATIVES = 20
_PART = re.compile(r"(?P<operator>\^|~=|~|===|==|!=|>=|<=|=|>|<)?[ \t]*(?P<version>(?:\d+!)?[^\s,^~=!<>|]+)")
_BETWEEN = re.compile(r"[ \t]*,?[ \t]*")
_WILDCARD = re.compile(r"(?P<start>\d+(?:\.\d+)*)(?:\.\*)+")
_ANY = re.compile(r"\*(?:\.\*)*")
_TWO = 2  # components that python_version has


def convert_constraint(text: str) -> list[str]:
    """
    Return the specifiers that together admit what a constraint admits: one for each alternative of ``||``.

    Raises:
        ValueError: it is no constraint.
    """
    if len(text) > _MAX_LENGTH:
        raise ValueError("is too long")
    alternatives = re.split(r"\|\|?", text)
    if len(alternatives) > _MAX_ALTERNATIVES:
        raise ValueError(f"has more than {_MAX_ALTERNATIVES} alternatives")
    return list(dict.fromkeys(",".join(_convert(one.strip())) for one in alternatives))


def python_marker(text: str) -> str:
    """
    Return the marker for a constraint on Python; an empty text: any Python.

    Raises:
        ValueError: it is no constraint.
    """
    clauses = list[str]()
    for specifier in convert_constraint(text):
        if not specifier:
            return ""
        parts = [_python_clause(Specifier(part)) for part in specifier.split(",")]
        clauses.append(" and ".join(parts))
    return clauses[0] if len(clauses) == 1 else " or ".join(f"({clause})" for clause in clauses)


def join_markers(*markers: str) -> str:
    """Return the marker that demands all of them; empty ones demand nothing."""
    given = [marker for marker in markers if marker]
    return given[0] if len(given) == 1 else " and ".join(f"({marker})" for marker in given)


def requirements_of(name: str, constraint: str, *, extras: list[str], marker: str) -> list[str]:
    """
    Return the requirements that a constraint stands for.

    Raises:
        ValueError: it is no constraint.
    """
    head = f"{name}[{','.join(extras)}]" if extras else name
    tail = f" ; {marker}" if marker else ""
    return [f"{head}{specifier}{tail}" for specifier in convert_constraint(constraint)]


def _convert(text: str) -> list[str]:
    """Return the specifiers of one alternative, all of which must hold."""
    found, at = list[str](), 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None:
            raise ValueError(f"{text!r} is no constraint of Poetry's")
        found += _convert_part(part["operator"] or "", part["version"])
        between = _BETWEEN.match(text, part.end())
        at = between.end() if between else part.end()
    if not text:
        raise ValueError("is empty")
    return found


def _convert_part(operator: str, version: str) -> list[str]:
    if _ANY.fullmatch(version) and operator in {"", "=", "==", ">="}:
        return []
    if wildcard := _WILDCARD.fullmatch(version):
        if operator == ">=":
            return [f">={wildcard['start']}"]
        if operator not in {"", "=", "==", "!="}:
            raise ValueError(f"{operator}{version}: * follows only ==, != and >=")
        return [f"{'!=' if operator == '!=' else '=='}{wildcard['start']}.*"]
    try:
        parsed = Version(version)
        if operator in {"^", "~"}:
            return [f">={version}", f"<{_upper(parsed, caret=operator == '^')}"]
        return [str(Specifier(f"{'==' if operator in {'', '='} else operator}{version}"))]
    except (InvalidVersion, InvalidSpecifier):
        raise ValueError(f"{operator}{version} is no constraint of Poetry's") from None


def _upper(version: Version, *, caret: bool) -> str:
    """Return the first version after those that ``^`` or ``~`` admits."""
    release = version.release
    if caret:  # the first number that is not 0, or else the last one
        place = next((index for index, number in enumerate(release) if number), len(release) - 1)
    else:
        place = min(1, len(release) - 1)
    epoch = f"{version.epoch}!" if version.epoch else ""
    return epoch + ".".join(map(str, (*release[:place], release[place] + 1)))


def _python_clause(part: Specifier) -> str:
    """Return a comparison; ``python_version`` has no patch release, so that only bounds of two numbers fit it."""
    short = part.operator in {">=", "<"} and len(part.version.split(".")) <= _TWO
    return f"{'python_version' if short else 'python_full_version'} {part.operator} '{part.version}'"
