"""The import of one file into ``mirror.toml``: what is added, what is left out, and the sentences about both."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mirror_syncer.commands.import_choices import FileFormat, ImportAs
from mirror_syncer.commands.importing.conda_environment import read_environment
from mirror_syncer.commands.importing.file_kind import FileKind, recognize
from mirror_syncer.commands.importing.findings import Findings, LeftOut, Wanted
from mirror_syncer.commands.importing.input_file import InputFile, read_input, unusable
from mirror_syncer.commands.importing.lock_copy import LockCopy, choose_copy, read_lock_file
from mirror_syncer.commands.importing.policy_file import PolicyFile
from mirror_syncer.commands.importing.pyproject import PyprojectReader
from mirror_syncer.commands.importing.requirements_file import RequirementsReader, is_lock
from mirror_syncer.config.locks.problem import LockError
from mirror_syncer.config.policy.policy import Scope
from mirror_syncer.errors import ConfigurationError

_NEXT = "The next sync mirrors it: docker compose exec control mirrorctl sync"


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How a file is imported."""

    form: FileFormat | None = None
    """What the file must be; None: what its content is."""
    as_: ImportAs | None = None
    name: str | None = None
    """The lock's name in ``locks/``."""
    force: bool = False
    saves: bool = True
    """False: nothing is written."""


@dataclass(slots=True)
class ImportResult:
    """What an import did, or would do."""

    path: Path
    """Of ``mirror.toml``."""
    source: Path
    """What it is made from: itself, or the example."""
    before: bytes
    after: bytes
    saved: bool
    added: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    """Requirements that have a line already."""
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    copied: str | None = None
    """The sentence about a lock."""

    @property
    def document(self) -> str:
        """The new ``mirror.toml``."""
        return self.after.decode()

    def diff(self) -> str:
        """Return what changes in ``mirror.toml``, as ``diff -u`` shows it."""
        before, after = (content.decode().splitlines(keepends=True) for content in (self.before, self.after))
        lines = difflib.unified_diff(before, after, str(self.source), f"{self.path} (new)")
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)

    def lines(self) -> Iterator[str]:
        """Yield the report for a person."""
        verb = "Added" if self.saved else "Would be added"
        if self.copied:
            yield self.copied
        if self.added:
            yield f"{verb} to {self.path}:"
            yield from (f"  {one}" for one in self.added)
        if self.there:
            yield f"Already in {self.path}: {', '.join(self.there)}"
        yield from self.notes
        if self.left_out:
            yield "Left out, with what to do:"
            yield from (f"  {one}" for one in self.left_out)
        if self.saved and (self.added or self.copied):
            yield _NEXT
        elif not self.added and not self.copied:
            yield "Nothing to add."


def import_into(path: Path, source: Path, options: ImportOptions) -> ImportResult:
    """
    Add what a file requires to ``mirror.toml``, or its lock to ``locks/``.

    Raises:
        ConfigurationError: a file cannot be used; nothing was written.
    """
    file = read_input(source)
    kind = _kind(file, options)
    policy = PolicyFile(path)
    if kind is FileKind.LOCK:
        return _import_lock(file, policy, options)
    if options.name or options.force:
        message = "--name and --force are for locks, and this file's requirements become lines"
        raise ConfigurationError(file.name, [message])
    _expect(file, FileFormat(kind.value), options)
    return _import_lines(file, kind, policy, options)


def _kind(file: InputFile, options: ImportOptions) -> FileKind:
    kind = recognize(file)
    if kind is FileKind.REQUIREMENTS:
        try:
            complete = options.as_ is ImportAs.LOCK or (options.as_ is None and is_lock(file.text, name=file.name))
        except LockError as error:
            raise unusable(error) from error
        return FileKind.LOCK if complete else kind
    given = ImportAs.LOCK if kind is FileKind.LOCK else ImportAs.LINES
    if options.as_ not in {None, given}:
        raise ConfigurationError(file.name, [f"is {kind}, and cannot be imported as {options.as_}"])
    return kind


def _expect(file: InputFile, found: str, options: ImportOptions) -> None:
    if options.form is not None and options.form != found:
        raise ConfigurationError(file.name, [f"is {found} by its content, not {options.form}"])


def _import_lock(file: InputFile, policy: PolicyFile, options: ImportOptions) -> ImportResult:
    reading = read_lock_file(file)
    _expect(file, reading.kind, options)
    copy = choose_copy(file, reading, directory=policy.path.parent, name=options.name, force=options.force)
    patterns = [] if copy.is_covered(policy.locks) else [copy.file]
    content, _ = policy.extend([], locks=patterns) if patterns else (policy.content, {})
    if options.saves and not copy.is_there:
        copy.save()
    result = _finish(policy, content, options)
    result.added = [f"[dependencies] locks: {pattern}" for pattern in patterns]
    result.left_out = [str(problem) for problem in reading.problems]
    result.copied = _about(copy, options)
    return result


def _about(copy: LockCopy, options: ImportOptions) -> str | None:
    what = f"{copy.reading.kind} with {len(copy.reading.pins):,} pins"
    if copy.is_there:
        return None
    if options.saves:
        return f"Copied to {copy.directory / copy.file}: {what}, which stay on the mirror"
    return f"Would be copied to {copy.directory / copy.file}: {what}"


def _import_lines(file: InputFile, kind: FileKind, policy: PolicyFile, options: ImportOptions) -> ImportResult:
    findings = Findings()
    pythons = list[str]()
    if kind is FileKind.PYPROJECT:
        PyprojectReader(file, findings).read()
    elif kind is FileKind.ENVIRONMENT:
        pythons = read_environment(file, findings)
    else:
        RequirementsReader(findings).read(file)
    _check_pythons(pythons, file, policy, findings)
    added = [one for one in findings.wanted if not policy.has(one)]
    there = [one.text for one in findings.wanted if policy.has(one)]
    if policy.scope is Scope.EVERYTHING and added:
        findings.note('scope = "everything" mirrors these projects without a line, and a line would only narrow them')
        added = []
    content, refused = policy.extend(added, locks=[]) if added else (policy.content, {})
    accepted = [one for number, one in enumerate(added) if number not in refused]
    result = _finish(policy, content if accepted else policy.content, options)
    result.added = [_line(one, policy) for one in accepted]
    result.there = there
    result.notes += findings.notes
    refusals = [LeftOut(added[number].origin, message) for number, message in sorted(refused.items())]
    result.left_out = [*findings.left_out, *map(str, refusals)]
    return result


def _line(wanted: Wanted, policy: PolicyFile) -> str:
    if other := policy.other_line(wanted):
        text, line = other
        return f"{wanted.text}  (beside line {line}, {text!r}: what either of them admits is mirrored)"
    return wanted.text


def _check_pythons(pythons: list[str], file: InputFile, policy: PolicyFile, findings: Findings) -> None:
    for python in pythons:
        if policy.pythons and python not in policy.pythons:
            message = f'{file.name} uses Python {python}, which [machines] pythons lacks; add "{python}" there'
            findings.note(message)


def _finish(policy: PolicyFile, content: bytes, options: ImportOptions) -> ImportResult:
    if options.saves and content != policy.content:
        policy.save(content)
    result = ImportResult(policy.path, policy.source, policy.content, content, saved=options.saves)
    if policy.example is not None and content != policy.content:
        began = "began" if options.saves else "would begin"
        result.notes.append(
            f"{policy.path.name} did not exist, so it {began} as a copy of {policy.example.name}; "
            "take out its projects if you do not need them"
        )
    return result
