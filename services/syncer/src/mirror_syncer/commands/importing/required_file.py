"""What a file requires, for a check: requirements that are installed together, or the releases that a lock names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name

from mirror_syncer.commands.importing.conda_environment import read_environment
from mirror_syncer.commands.importing.file_kind import FileKind, recognize
from mirror_syncer.commands.importing.findings import Findings, Wanted
from mirror_syncer.commands.importing.input_file import InputFile, read_input
from mirror_syncer.commands.importing.lock_copy import read_lock_file
from mirror_syncer.commands.importing.pyproject import BUILD, PyprojectReader
from mirror_syncer.commands.importing.requirements_file import RequirementsReader
from mirror_syncer.config.locks import Pin, merge_pins
from mirror_syncer.config.policy.roots import Root
from mirror_syncer.errors import ConfigurationError
from mirror_syncer.model.names import Sha256
from mirror_syncer.model.need import Need


@dataclass(frozen=True, slots=True)
class RequiredFile:
    """What one file requires."""

    name: str
    roots: tuple[Root, ...] = ()
    """Sets of requirements, each to be installed in one environment; none: it is a lock."""
    pins: tuple[Pin, ...] = ()
    """The releases that a lock names."""
    hashes: Mapping[NormalizedName, frozenset[Sha256]] = field(default_factory=dict)
    """By project: only files with these hashes may be installed."""
    left_out: tuple[str, ...] = ()
    """Sentences about what is not checked."""
    notes: tuple[str, ...] = ()
    is_incomplete: bool = False
    """Whether a requirement is not checked, and not only an option."""


def read_required(path: Path) -> RequiredFile:
    """
    Read a file, or standard input for ``-``.

    Raises:
        ConfigurationError: it cannot be used, or requires nothing.
    """
    file = read_input(path)
    kind = recognize(file)
    if kind is FileKind.LOCK:
        return _read_lock(file)
    findings, includes = Findings(), dict[str, list[str]]()
    if kind is FileKind.PYPROJECT:
        reader = PyprojectReader(file, findings)
        reader.read()
        includes = reader.includes
    elif kind is FileKind.ENVIRONMENT:
        read_environment(file, findings)
    else:
        RequirementsReader(findings).read(file)
    if not findings.wanted:
        raise ConfigurationError(file.name, [*findings.left_out, "requires nothing that an index could have"])
    return RequiredFile(
        file.name,
        roots=tuple(_roots(file.name, findings.parts, includes)),
        hashes=_hashes_of((canonicalize_name(one.requirement.name), one.hashes) for one in findings.wanted),
        left_out=tuple(findings.left_out),
        notes=tuple(findings.notes),
        is_incomplete=findings.is_incomplete,
    )


def _read_lock(file: InputFile) -> RequiredFile:
    reading = read_lock_file(file)
    pins = tuple(pin for some in merge_pins(reading.pins).values() for pin in some)
    problems = tuple(map(str, reading.problems))
    return RequiredFile(
        file.name,
        pins=pins,
        hashes=_hashes_of((pin.project, pin.hashes) for pin in pins),
        left_out=problems,
        is_incomplete=bool(problems),
    )


def _roots(name: str, parts: Mapping[str, Iterable[Wanted]], includes: Mapping[str, list[str]]) -> Iterable[Root]:
    """Yield what is installed together: extras and groups beside what each installation needs, the build alone."""
    usual = tuple(map(_requirement, parts.get("", ())))
    if usual:
        yield Root(name, usual)
    for part in dict.fromkeys((*parts, *includes)):
        if part == "":
            continue
        own = [_requirement(one) for some in _with_included(part, includes) for one in parts.get(some, ())]
        together = own if part == BUILD else [*usual, *own]
        if together:
            yield Root(f"{name}, {part}", tuple(dict.fromkeys(together)))


def _with_included(part: str, includes: Mapping[str, list[str]]) -> Iterable[str]:
    found, left = dict[str, None](), [part]
    while left:
        one = left.pop()
        if one not in found:
            found[one] = None
            left += includes.get(one, ())
    return found


def _requirement(wanted: Wanted) -> Need:
    requirement = wanted.requirement
    return Need(
        canonicalize_name(requirement.name),
        frozenset(map(canonicalize_name, requirement.extras)),
        SpecifierSet(str(requirement.specifier)),
        requirement.marker,
        wanted.text,
    )


def _hashes_of(
    named: Iterable[tuple[NormalizedName, frozenset[Sha256]]],
) -> dict[NormalizedName, frozenset[Sha256]]:
    """Return the hashes by project, for the projects that have some wherever they are named."""
    found: dict[NormalizedName, frozenset[Sha256] | None] = {}
    for name, hashes in named:
        before = found.get(name, frozenset())
        found[name] = before | hashes if hashes and before is not None else None
    return {name: hashes for name, hashes in found.items() if hashes}
