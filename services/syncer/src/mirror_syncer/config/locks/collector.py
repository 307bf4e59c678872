"""A lock's reading: its pins, checked one by one, and the problems of single entries."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from packaging.utils import NormalizedName

from mirror_contract import parse_project_name
from mirror_contract.distributions import parse_version
from mirror_syncer.config.locks.lock_index import index_name, mirrored_indexes
from mirror_syncer.config.locks.pin import Pin
from mirror_syncer.config.locks.problem import WRONG_FILE, LockError, LockProblem
from mirror_syncer.model.names import Sha256

MAX_PINS = 100_000  # of one lock; the largest real ones have 2,000
_MAX_PROBLEMS = 50
_MAX_VERSION_LENGTH = 255  # as part of a file name
_SHA256 = re.compile(r"sha256[:=]([0-9a-f]{64})", re.IGNORECASE)
_ALGORITHM = re.compile(r"[a-z0-9_]{1,20}(?=[:=])", re.IGNORECASE)
_MALFORMED = "a malformed hash"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a lock says."""

    kind: str
    """Such as ``uv.lock``, whatever the file's name is."""
    pins: tuple[Pin, ...]
    problems: tuple[LockProblem, ...]


class Collector:
    """
    The entries of one lock, as a reader finds them.

    Args:
        file: the lock's name, as messages show it.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self._pins: list[tuple[Pin, str | None, int | None, str]] = []
        """Each with its index, line and file."""
        self._problems: list[LockProblem] = []
        self._unreported = 0
        self._unhashed: list[tuple[str, int | None, NormalizedName]] = []

    @property
    def is_empty(self) -> bool:
        """Whether no entry pinned anything."""
        return not self._pins

    def project(self, name: object, line: int | None, *, file: str = "") -> NormalizedName | None:
        """Return an entry's project, or None after reporting a name that is not one."""
        try:
            return parse_project_name(name if isinstance(name, str) else "")
        except ValueError as error:
            self.report(f"{error}; the entry is ignored", line, file=file)
            return None

    def pin(
        self,
        name: object,
        version: object,
        hashes: Iterable[Any],
        line: int | None,
        *,
        index: object = None,
        file: str = "",
    ) -> None:
        """
        Add an entry that names a release.

        Args:
            version: as the lock has it; None: it names none.
            hashes: such as ``sha256:…``.
            index: the URL from which the release comes; None: the lock does not say.
            file: where the entry stands, if not in the lock itself.

        Raises:
            LockError: the lock has too many entries.
        """
        if (project := self.project(name, line, file=file)) is None:
            return
        parsed = parse_version(version) if isinstance(version, str) and len(version) <= _MAX_VERSION_LENGTH else None
        if version is not None and parsed is None:
            self.report(f"{project}: {_short(version)} is not a version; the entry is ignored", line, file=file)
            return
        sha256, others = _divide(hashes)
        if is_malformed := _MALFORMED in others:
            message = f"{project}: a hash is malformed and ignored; it must be sha256: and 64 hexadecimal digits"
            self.report(message, line, file=file)
        if parsed is None and not sha256:
            self.report(f"{project} has neither a version nor a sha256, so it pins nothing", line, file=file)
            return
        if others and not sha256 and not is_malformed:
            self._unhashed.append((others[0], line, project))
        pin = Pin(project, parsed, sha256, _source(file or self.file, line))
        self._pins.append((pin, index_name(index), line, file))
        if len(self._pins) > MAX_PINS:
            raise LockError(self.file, f"pins more than {MAX_PINS:,} releases; {WRONG_FILE}")

    def report(self, message: str, line: int | None, *, file: str = "") -> None:
        """Add a problem of one entry."""
        if len(self._problems) < _MAX_PROBLEMS:
            self._problems.append(LockProblem(file or self.file, line, message))
        else:
            self._unreported += 1

    def reading(self, kind: str) -> Reading:
        """Return all that was added, but for packages from an index that this mirror does not stand for."""
        pins = tuple(self._mirrored())
        problems = list(self._problems)
        if self._unreported:
            problems.append(LockProblem(self.file, None, f"{self._unreported:,} more entries have problems"))
        if self._unhashed:
            algorithm, line, project = self._unhashed[0]
            others = f" and {len(self._unhashed) - 1:,} more" if self._unhashed[1:] else ""
            message = f"{project}{others}: only sha256 counts, not {algorithm}; kept by version alone"
            problems.append(LockProblem(self.file, line, message))
        if not pins and not problems:
            problems.append(LockProblem(self.file, None, "pins nothing; lock again, or remove it"))
        return Reading(kind, pins, tuple(problems))

    def _mirrored(self) -> Iterator[Pin]:
        """Yield the pins of the mirrored index, and report the others."""
        mirrored = mirrored_indexes(index for _, index, _, _ in self._pins if index is not None)
        for pin, index, line, file in self._pins:
            if index is None or index in mirrored:
                yield pin
            else:
                message = f"{pin.project} comes from another index ({_short(index)}), so the mirror does not keep it"
                self.report(message, line, file=file)


def _divide(hashes: Iterable[Any]) -> tuple[frozenset[Sha256], list[str]]:
    """Return the sha256 among an entry's hashes, and what else there is, in words."""
    found, others = set[Sha256](), list[str]()
    for text in hashes:
        match = _SHA256.fullmatch(text) if isinstance(text, str) else None
        if match:
            found.add(Sha256(match[1].lower()))
        else:
            known = _ALGORITHM.match(text) if isinstance(text, str) else None
            others.append(known[0].lower() if known and known[0].lower() != "sha256" else _MALFORMED)
    return frozenset(found), others


def _source(file: str, line: int | None) -> str:
    return file if line is None else f"{file}, line {line}"


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:80]}…"  # noqa: PLR2004 - as in other messages
