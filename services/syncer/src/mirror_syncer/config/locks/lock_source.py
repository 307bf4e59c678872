"""The locks in force: read from files that people copy at any time, and kept where a file cannot be used."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import NormalizedName

from mirror_syncer.config.locks.collector import Reading
from mirror_syncer.config.locks.last_good import LastGood
from mirror_syncer.config.locks.lock_file import LockDirectory, Stamp
from mirror_syncer.config.locks.patterns import MISSING, Matches, find_files, is_below, is_match
from mirror_syncer.config.locks.pin import Pin, merge_pins
from mirror_syncer.config.locks.problem import LockError, LockProblem

_MAX_FILES = 1_000
_MAX_PINS = 1_000_000  # of all locks; 500 B each
_KEPT = "its last good reading stays in force"


@dataclass(frozen=True, slots=True)
class LockFile:
    """A lock that counts."""

    file: str
    """Relative to the directory of ``mirror.toml``."""
    kind: str
    """Such as ``uv.lock``, whatever the file's name is."""
    pins: int
    is_current: bool = True
    """False: the file cannot be used now, and its last good reading is in force."""


@dataclass(frozen=True, slots=True)
class Locks:
    """What all locks pin."""

    pins: Mapping[NormalizedName, tuple[Pin, ...]]
    problems: tuple[LockProblem, ...] = ()
    files: tuple[LockFile, ...] = ()

    def of(self, project: NormalizedName) -> tuple[Pin, ...]:
        """Return the pins of a project."""
        return self.pins.get(project, ())


@dataclass(frozen=True, slots=True)
class _LockState:
    """A lock as it was last read."""

    stamps: Mapping[str, Stamp]
    """The stamps of the file and of all files that it includes."""
    result: Reading | LockProblem


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """All locks as they were last read."""

    patterns: tuple[str, ...]
    matches: Matches
    seen: Mapping[str, _LockState]
    good: Mapping[str, Reading]
    """The readings that count, by file."""
    locks: Locks


class LockSource:
    """
    The locks that patterns name.

    A file that cannot be used leaves its last good reading in force, also across restarts. The pins of a file that is
    removed end; those of a directory that is missing or cannot be listed stay.

    Args:
        directory: of ``mirror.toml``.
        state: the directory that the last good readings are kept in; None: they are not kept.
        keeps: False: another process keeps them, and this one only reads them.
    """

    def __init__(self, directory: Path, *, state: Path | None, keeps: bool = True) -> None:
        self._directory = LockDirectory(directory)
        self._last_good = LastGood(state, writes=keeps)
        self._lock = threading.Lock()
        self._first = self._last_good.load()
        self._last: _Snapshot | None = None

    def read(self, patterns: Iterable[str]) -> Locks:
        """Read the locks that changed, and return what all of them pin now."""
        with self._lock:
            self._last = snapshot = self._take_snapshot(tuple(patterns))
            self._last_good.keep(snapshot.good)
            return snapshot.locks

    def preview(self, patterns: Iterable[str]) -> Locks:
        """Return what the locks of other patterns would pin. It changes neither the kept readings nor ``changed``."""
        with self._lock:
            return self._take_snapshot(tuple(patterns)).locks

    def changed(self) -> bool:
        """Return whether the next reading may differ from the last one; this only looks at the directories."""
        with self._lock:
            if (last := self._last) is None:
                return True
            if find_files(self._directory.path, last.patterns) != last.matches:
                return True
            stamps = (stamp for seen in last.seen.values() for stamp in seen.stamps.items())
            return any(self._directory.stamp(file) != stamp for file, stamp in stamps)

    def _take_snapshot(self, patterns: tuple[str, ...]) -> _Snapshot:
        found = find_files(self._directory.path, patterns)
        seen = {file: self._read_if_changed(file) for file in found.files[:_MAX_FILES]}
        problems = list(_report(found))
        good = dict(_still_good(patterns, found, seen, self._last.good if self._last else self._first, problems))
        used, left = dict[str, Reading](), _MAX_PINS
        for file, reading in sorted(good.items()):
            if len(reading.pins) > left:
                message = f"is not used: all locks together pin more than {_MAX_PINS:,} releases; remove old ones"
                problems.append(LockProblem(file, None, message, unusable=True))
                continue
            left -= len(reading.pins)
            used[file] = reading
        locks = Locks(
            merge_pins(pin for reading in used.values() for pin in reading.pins),
            tuple(problems),
            tuple(
                LockFile(
                    file, reading.kind, len(reading.pins), is_current=file in seen and seen[file].result is reading
                )
                for file, reading in used.items()
            ),
        )
        return _Snapshot(patterns, found, seen, good, locks)

    def _read_if_changed(self, file: str) -> _LockState:
        seen = self._last.seen.get(file) if self._last else None
        if seen and all(self._directory.stamp(name) == stamp for name, stamp in seen.stamps.items()):
            return seen
        # The formats take 0.015 s to import, and most mirrors have no lock.
        from mirror_syncer.config.locks.formats import decode, read_lock  # noqa: PLC0415 - see above

        stamps = dict[str, Stamp]()

        def text_of(name: str) -> str:
            stamps[name] = self._directory.stamp(name)  # before reading: a change in between shows at the next reading
            return decode(name, self._directory.read(name))

        try:
            return _LockState(stamps, read_lock(file, text_of(file), include=text_of))
        except LockError as error:
            return _LockState(stamps, error.problem)


def read_locks(patterns: Iterable[str], directory: Path) -> Locks:
    """Return what the locks below a directory pin now, without any last good reading."""
    return LockSource(directory, state=None).read(patterns)


def _still_good(
    patterns: tuple[str, ...],
    found: Matches,
    seen: Mapping[str, _LockState],
    before: Mapping[str, Reading],
    problems: list[LockProblem],
) -> Iterator[tuple[str, Reading]]:
    """Yield the reading of each lock that counts; add the problems of the files to ``problems``."""
    for file, now in seen.items():
        if isinstance(now.result, Reading):
            problems += now.result.problems
            yield file, now.result
        elif (last := before.get(file)) is not None:
            problems.append(_with(now.result, _KEPT))
            yield file, last
        else:
            problems.append(_with(now.result, "it pins nothing"))
    for file in found.files[_MAX_FILES:]:
        if file in before:
            yield file, before[file]
    for directory, reason in sorted(found.unlisted.items()):
        kept = {
            file: last
            for file, last in before.items()
            if file not in seen and is_below(file, directory) and any(is_match(file, one) for one in patterns)
        }
        if kept or reason != MISSING:  # else its pattern matches nothing, which is reported
            message = f"{reason}; restore it, or remove its pattern from [dependencies] locks"
            problem = LockProblem(directory, None, message, unusable=True)
            problems.append(_with(problem, f"the last good readings of {len(kept)} locks stay in force"))
        yield from kept.items()


def _report(found: Matches) -> Iterator[LockProblem]:
    for pattern in found.silent:
        message = (
            "matches no file in the directory of mirror.toml; add a lock, or remove the pattern from [dependencies]"
        )
        yield LockProblem(pattern, None, message)
    for name in found.unprintable:
        yield LockProblem(name, None, "its name has control characters; rename it", unusable=True)
    if len(found.files) > _MAX_FILES:
        message = f"is not read: of {len(found.files):,} locks only the first {_MAX_FILES:,} are; remove old ones"
        yield LockProblem(found.files[_MAX_FILES], None, message, unusable=True)


def _with(problem: LockProblem, effect: str) -> LockProblem:
    return LockProblem(problem.file, problem.line, f"{problem.message}; {effect}", unusable=True)
