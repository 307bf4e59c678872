"""The index: all projects, the journal with its serials, and the file host's bytes."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from packaging.utils import canonicalize_name

from fakepypi.project import Project
from fakepypi.release import File, Listing, Status

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class JournalEntry(NamedTuple):
    """A line of the journal, in the order of XML-RPC's ``changelog_since_serial``."""

    name: str  # the display name
    version: str | None
    timestamp: int
    action: str
    serial: int


class Index:
    """
    All projects and the journal.

    ``index.project("foo").upload("1.0")`` is all that a test needs; equal seeds give equal bytes, serials and times.
    """

    def __init__(self, *, seed: int = 0, serial: int = 25_000_000) -> None:
        self.seed = seed
        self.serial = serial
        self.journal: list[JournalEntry] = []
        self._projects: dict[str, Project] = {}
        self._blobs: dict[str, File] = {}
        self._filenames: set[str] = set()
        self._edition = serial, serial
        self._random = random.Random(seed)

    def __iter__(self) -> Iterator[Project]:
        """Yield the existing projects, in the root page's order."""
        return (project for _, project in sorted(self._projects.items()) if project.status is not Status.ABSENT)

    def project(self, name: str) -> Project:
        """Return the project of that name; its first upload creates it if needed."""
        return self._projects.setdefault(canonicalize_name(name), Project(self, name))

    def find(self, name: str) -> Project | None:
        """Return the project of that name if anything ever happened to it."""
        return self._projects.get(canonicalize_name(name))

    def blob(self, path: str) -> File | None:
        """Return the file host's content at a path, deleted files included, since PyPI keeps their bytes."""
        return self._blobs.get(path)

    def listings(self, *, stale: bool = False) -> tuple[int, list[Listing]]:
        """Return the root page's serial and projects: now, or as they were before the last change."""
        serial = self._edition[0] if stale else self.serial
        listings = (project.as_of(serial) for _, project in sorted(self._projects.items()))
        return serial, [listing for listing in listings if listing.status in (Status.ACTIVE, Status.ARCHIVED)]

    def record(self, name: str, *actions: str, version: str | None = None) -> int:
        """Write a change into the journal, one line per action, and return the serial after it."""
        for action in actions:
            self.serial += self._random.randint(1, 3)  # gaps are normal: a rolled-back transaction has used its serial
            self.journal.append(JournalEntry(name, version, int(self.now().timestamp()), action, self.serial))
        if actions:
            self._edition = self._edition[1], self.serial
        return self.serial

    def store(self, file: File, *, replacing: bool) -> None:
        """Store a file's bytes; a file name is used only once, unless ``replacing``."""
        if file.filename in self._filenames and not replacing:
            raise ValueError(f"{file.filename} was uploaded before; PyPI never takes a file name twice (replace=True?)")
        self._filenames.add(file.filename)
        self._blobs[file.path] = file

    def now(self) -> datetime:
        """Return the time of the index's own clock, which a serial advances; one in five is a whole second."""
        fraction = 0 if self.serial % 5 == 0 else self.serial * 7919 % 1_000_000
        return _EPOCH + timedelta(seconds=self.serial % 10_000_000, microseconds=fraction)
