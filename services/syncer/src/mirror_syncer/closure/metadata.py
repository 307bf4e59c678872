"""
What metadata says about requirements: a wheel's ``METADATA``, an sdist's ``PKG-INFO`` and ``pyproject.toml``.

Strangers upload it. So nothing in it raises an error here: a wrong line is kept as it is, and reported when it is read.
"""

import re
import tomllib
from typing import Any

from packaging.metadata import parse_email
from packaging.utils import InvalidName, canonicalize_name

from mirror_syncer.model.requirement_lines import RequirementLines

MAX_LINES = 10_000
"""Of requirements; the most on PyPI are some thousand, of projects with an extra for each service of a cloud."""
_MAX_HEADER_BYTES = 4 << 20  # the description follows after an empty line, so 50 kB are many
_MAX_PYPROJECT_BYTES = 1 << 20
_MAX_FIELD_LINES = 4 * MAX_LINES
_EMPTY_LINE = re.compile(rb"\n\r?\n")
_NEWLINE = re.compile(r"\r\n|\r|\n")
_FIELD_NAME = re.compile(r"[!-9;-~]+")
_WANTED = frozenset({"metadata-version", "dynamic", "provides-extra", "requires-dist", "requires-python"})
_DEFAULT_BUILD_REQUIRES = ("setuptools>=40.8.0",)  # as in pip
# PEP 643: from this Metadata-Version on, what is not marked as dynamic is the same in each wheel.
_FIRST_STATIC = (2, 2)
_NEXT_MAJOR = (3,)
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})", re.ASCII)
_OF_REQUIREMENTS = {"requires-dist", "provides-extra"}
_Toml = dict[str, Any]


def parse_metadata(body: bytes) -> RequirementLines:
    """
    Return what the ``METADATA`` of a wheel says.

    It is marked as dynamic only where it is too long to be read whole. Its version does not matter: installers read
    every one.
    """
    lines, _ = _read(body)
    return lines


def parse_sdist_metadata(pkg_info: bytes, pyproject: bytes | None) -> RequirementLines:
    """
    Return what the ``PKG-INFO`` and the ``pyproject.toml`` of an sdist say; None: it has no such file.

    A static ``[project]`` comes before ``PKG-INFO``, as for uv. Without it the lines are final only if the metadata is
    of version 2.2 or later, and does not mark them as dynamic. Setuptools writes that mark in small letters.
    """
    lines, is_dynamic = _read(pkg_info)
    document = _parse_toml(pyproject)
    requires_dist, extras, requires_python = lines.requires_dist, lines.extras, lines.requires_python
    static = _static_project(document)
    if static is not None:
        (requires_dist, extras), is_dynamic = static, False
        stated = document["project"].get("requires-python")
        requires_python = stated.strip() or None if isinstance(stated, str) else requires_python
    return RequirementLines(requires_dist, extras, requires_python, is_dynamic, _build_requires(document))


def _read(body: bytes) -> tuple[RequirementLines, bool]:
    """Return the lines of the fields, and whether an sdist with them may have others after it is built."""
    header, is_whole = _header(body)
    # A text, not bytes: of these parse_email puts aside a whole field, where one of its lines is no UTF-8. PostgreSQL
    # stores no NUL.
    text = header.decode("utf-8-sig", errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    wanted = _wanted(text)
    is_whole &= len(wanted) <= _MAX_FIELD_LINES
    fields, others = parse_email("\n".join(wanted[:_MAX_FIELD_LINES]))
    # pip takes the first, where a field should be there once.
    requires_python = fields.get("requires_python") or next(iter(others.get("requires-python", [])), "")
    lines = RequirementLines(
        # One more shows that there are too many.
        requires_dist=tuple(fields.get("requires_dist", [])[: MAX_LINES + 1]),
        extras=tuple(dict.fromkeys(canonicalize_name(extra.strip()) for extra in fields.get("provides_extra", []))),
        requires_python=requires_python.strip() or None,
        is_dynamic=not is_whole,
    )
    match = _VERSION.fullmatch(fields.get("metadata_version", "").strip())
    is_static = match is not None and _FIRST_STATIC <= (int(match[1]), int(match[2])) < _NEXT_MAJOR
    dynamic = {field.strip().lower() for field in fields.get("dynamic", [])}
    return lines, not (is_whole and is_static) or bool(dynamic & _OF_REQUIREMENTS)


def _header(body: bytes) -> tuple[bytes, bool]:
    """Return the fields without the description, and whether these are all."""
    end = _EMPTY_LINE.search(body, 0, _MAX_HEADER_BYTES)
    if end:
        return body[: end.start() + 1], True
    if len(body) <= _MAX_HEADER_BYTES:
        return body, True
    return body[:_MAX_HEADER_BYTES].rpartition(b"\n")[0], False


def _wanted(header: str) -> list[str]:
    """Return the lines of the fields that matter, with their names in small letters; of too many only some."""
    # parse_email looks through all lines once for each name, and each spelling of it: for 100,000 of them too long.
    lines: list[str] = []
    is_wanted = False
    for line in _NEWLINE.split(header):
        name, colon, value = line.partition(":")
        if not line.startswith((" ", "\t")):  # the field goes on
            if not colon or not _FIELD_NAME.fullmatch(name):
                break  # the description follows
            is_wanted = name.lower() in _WANTED
            line = f"{name.lower()}:{value}"  # noqa: PLW2901 - as it is kept
        if is_wanted:
            lines.append(line)
            if len(lines) > _MAX_FIELD_LINES:
                break
    return lines


def _parse_toml(body: bytes | None) -> _Toml:
    """Return a document; an empty one where it cannot be read, as no installer builds from it either."""
    try:
        return tomllib.loads(body.decode()) if body and len(body) <= _MAX_PYPROJECT_BYTES else {}
    except (ValueError, RecursionError):
        return {}


def _build_requires(document: _Toml) -> tuple[str, ...]:
    """Return ``[build-system] requires`` of a ``pyproject.toml`` (PEP 518), or pip's default where it is missing."""
    table = document.get("build-system")
    lines = _texts(table.get("requires")) if isinstance(table, dict) else None
    return _DEFAULT_BUILD_REQUIRES if lines is None else lines[: MAX_LINES + 1]


def _static_project(document: _Toml) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return the lines and the extras that ``[project]`` states (PEP 621); None: a build may have others."""
    project = document.get("project")
    if not isinstance(project, dict) or not isinstance(project.get("name"), str):
        return None
    dynamic = _texts(project.get("dynamic", []))
    required, optional = _texts(project.get("dependencies", [])), project.get("optional-dependencies", {})
    if dynamic is None or {"dependencies", "optional-dependencies"} & set(dynamic):
        return None
    if required is None or not isinstance(optional, dict):
        return None
    lines, extras = list(required), []
    for written, value in optional.items():
        texts = _texts(value)
        try:
            extra = canonicalize_name(written, validate=True)
        except InvalidName:
            return None
        if texts is None:
            return None
        extras.append(extra)
        lines += (_under_extra(line, extra) for line in texts)
    return tuple(lines[: MAX_LINES + 1]), tuple(dict.fromkeys(extras))


def _under_extra(line: str, extra: str) -> str:
    requirement, _, marker = line.partition(";")
    condition = f"({marker.strip()}) and " if marker.strip() else ""
    return f'{requirement.strip()} ; {condition}extra == "{extra}"'


def _texts(value: object) -> tuple[str, ...] | None:
    """Return a list of texts; None where it is something else."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    return None
