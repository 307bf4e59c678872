"""The last good reading of each lock, kept across restarts in the state directory."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog
from packaging.version import Version

from mirror_contract import parse_project_name
from mirror_syncer.config.locks.collector import Reading
from mirror_syncer.config.locks.pin import Pin
from mirror_syncer.errors import FileRejectedError
from mirror_syncer.model.names import parse_sha256

log = structlog.get_logger()

_FILE = "locks.json"
_FORMAT = 1


class _Pin(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    project: str
    version: str | None
    hashes: list[str]
    source: str


class _Lock(msgspec.Struct, forbid_unknown_fields=True):
    kind: str
    pins: list[_Pin]


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    locks: dict[str, _Lock]


class LastGood:
    """
    The file that keeps the last good readings.

    Args:
        state: the state directory; None: nothing is kept.
        writes: False: another process writes the file, this one only reads it.
    """

    def __init__(self, state: Path | None, *, writes: bool = True) -> None:
        self._path = state and state / _FILE
        self._writes = writes
        self._kept: bytes | None = None

    def load(self) -> dict[str, Reading]:
        """Return the readings by file; none if the file is missing, damaged or of another format."""
        if self._path is None:
            return {}
        try:
            content = self._path.read_bytes()
            document = msgspec.json.decode(content, type=_Document)
            if document.format != _FORMAT:
                return {}
            readings = {file: _reading(lock) for file, lock in document.locks.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, FileRejectedError, RecursionError) as error:
            reason = type(error).__name__ if isinstance(error, ValueError) else error
            log.warning("the last good locks cannot be read and are ignored", path=str(self._path), reason=str(reason))
            return {}
        self._kept = content
        return readings

    def keep(self, readings: Mapping[str, Reading]) -> None:
        """Keep the readings for the next start; if the disk refuses, this process still has them."""
        if self._path is None or not self._writes:
            return
        locks = {file: _Lock(reading.kind, list(map(_kept, reading.pins))) for file, reading in readings.items()}
        content = msgspec.json.encode(_Document(_FORMAT, locks), order="deterministic")
        if content == self._kept or (self._kept is None and not readings):
            return
        temporary = self._path.with_suffix(".new")
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        except OSError as error:
            log.warning("the locks are not kept for the next start", path=str(self._path), reason=error.strerror)
            with suppress(OSError):  # the disk may refuse that as well
                temporary.unlink(missing_ok=True)
            return
        self._kept = content


def _kept(pin: Pin) -> _Pin:
    return _Pin(pin.project, None if pin.version is None else str(pin.version), sorted(pin.hashes), pin.source)


def _reading(lock: _Lock) -> Reading:
    pins = tuple(
        Pin(
            parse_project_name(pin.project),
            None if pin.version is None else Version(pin.version),
            frozenset(map(parse_sha256, pin.hashes)),
            pin.source,
        )
        for pin in lock.pins
    )
    return Reading(lock.kind, pins, ())
