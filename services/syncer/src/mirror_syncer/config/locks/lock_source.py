"""The locks in force: read from files that people copy at any time, and kept where a file cannot be used."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import NormalizedName

from mirror_syncer.config.locks.collector import Reading
from mirror_syncer.config.locks.formats import decode, read_lock
from mirror_syncer.config.locks.last_good import LastGood
from mirror_syncer.config.locks.lock_file import LockDirectory, Stamp
from mirror_syncer.config.locks.patterns import MISSING, Matches, find_files, is_below, is_match
from mirror_syncer.config.locks.pin import Pin, digest_pins, merge_pins
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

    @property
    def digest(self) -> str:
        """Return what changes when the locks keep other files."""
        return digest_pins(self.pins)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A lock as it was read last."""

    stamps: Mapping[str, Stamp]
    """Of the file and of all that it includes."""
    result: Reading | LockProblem


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
        self._patterns: tuple[str, ...] | None = None
        self._matches = Matches()
        self._seen: dict[str, _Seen] = {}
        self._good = self._last_good.load()

    def read(self, patterns: Iterable[str]) -> Locks:
        """Read the locks that changed, and return what all of them pin now."""
        with self._lock:
            self._patterns = tuple(patterns)
            self._matches = found = find_files(self._directory.path, self._patterns)
            problems = list(_report(found))
            files = found.files[:_MAX_FILES]
            self._seen = {file: self._look(file) for file in files}
            self._good = dict(self._still_good(problems))
            used, left = dict[str, Reading](), _MAX_PINS
            for file, reading in sorted(self._good.items()):
                if len(reading.pins) > left:
                    told = f"is not used: all locks together pin more than {_MAX_PINS:,} releases; remove old ones"
                    problems.append(LockProblem(file, None, told, unusable=True))
                    continue
                left -= len(reading.pins)
                used[file] = reading
            self._last_good.keep(self._good)
            return Locks(
                merge_pins(pin for reading in used.values() for pin in reading.pins),
                tuple(problems),
                tuple(self._file(file, reading) for file, reading in used.items()),
            )

    def changed(self) -> bool:
        """Return whether the next reading may differ from the last one; this only looks at the directories."""
        with self._lock:
            if self._patterns is None:
                return True
            if find_files(self._directory.path, self._patterns) != self._matches:
                return True
            stamps = (stamp for seen in self._seen.values() for stamp in seen.stamps.items())
            return any(self._directory.stamp(file) != stamp for file, stamp in stamps)

    def _look(self, file: str) -> _Seen:
        seen = self._seen.get(file)
        if seen and all(self._directory.stamp(name) == stamp for name, stamp in seen.stamps.items()):
            return seen
        stamps = dict[str, Stamp]()

        def text_of(name: str) -> str:
            stamps[name] = self._directory.stamp(name)  # before reading: a change in between shows at the next look
            return decode(name, self._directory.read(name))

        try:
            return _Seen(stamps, read_lock(file, text_of(file), include=text_of))
        except LockError as error:
            return _Seen(stamps, error.problem)

    def _still_good(self, problems: list[LockProblem]) -> Iterator[tuple[str, Reading]]:
        """Yield the reading of each lock that counts, and add what is wrong with the files."""
        for file, seen in self._seen.items():
            if isinstance(seen.result, Reading):
                problems += seen.result.problems
                yield file, seen.result
            elif (last := self._good.get(file)) is not None:
                problems.append(_with(seen.result, _KEPT))
                yield file, last
            else:
                problems.append(_with(seen.result, "it pins nothing"))
        for file in self._matches.files[_MAX_FILES:]:
            if file in self._good:
                yield file, self._good[file]
        for directory, reason in sorted(self._matches.unlisted.items()):
            kept = {
                file: last
                for file, last in self._good.items()
                if file not in self._seen and is_below(file, directory) and self._is_named(file)
            }
            if kept or reason != MISSING:  # else its pattern matches nothing, which is reported
                told = f"{reason}; restore it, or remove its pattern from [dependencies] locks"
                problem = LockProblem(directory, None, told, unusable=True)
                problems.append(_with(problem, f"the last good readings of {len(kept)} locks stay in force"))
            yield from kept.items()

    def _is_named(self, file: str) -> bool:
        return any(is_match(file, pattern) for pattern in self._patterns or ())

    def _file(self, file: str, reading: Reading) -> LockFile:
        seen = self._seen.get(file)
        return LockFile(file, reading.kind, len(reading.pins), is_current=seen is not None and seen.result is reading)


def read_locks(patterns: Iterable[str], directory: Path) -> Locks:
    """Return what the locks below a directory pin now, without any last good reading."""
    return LockSource(directory, state=None).read(patterns)


def _report(found: Matches) -> Iterator[LockProblem]:
    for pattern in found.silent:
        told = "matches no file in the directory of mirror.toml; add a lock, or remove the pattern from [dependencies]"
        yield LockProblem(pattern, None, told)
    for name in found.unprintable:
        yield LockProblem(name, None, "its name has control characters; rename it", unusable=True)
    if len(found.files) > _MAX_FILES:
        told = f"is one of {len(found.files):,} locks, of which the first {_MAX_FILES:,} are read; remove old ones"
        yield LockProblem(found.files[_MAX_FILES], None, told, unusable=True)


def _with(problem: LockProblem, effect: str) -> LockProblem:
    return LockProblem(problem.file, problem.line, f"{problem.message}; {effect}", unusable=True)
