"""Reading all records of a source, and judging whether they can replace the last good ones."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from mirror_syncer.config.advisories.advisories import newest_time
from mirror_syncer.config.advisories.archive import Document, read_documents
from mirror_syncer.config.advisories.bounds import ArchiveError, Bounds, Budget
from mirror_syncer.config.advisories.record import Record, RecordError, parse_record
from mirror_syncer.config.advisories.store import Meta

MAX_SHRINKAGE = 0.05
"""The share of its records that a source may lose from one reading to the next."""

Keep = Callable[[str, bytes], None]
"""Called with the id and the content of each record that counts."""


class Refusal(NamedTuple):
    """Why new records do not replace the last good ones, and what to do; both without a full stop."""

    problem: str
    remedy: str


@dataclass(slots=True)
class Reading:
    """The records that could be read of a source."""

    records: dict[str, Record] = field(default_factory=dict)
    failed_files: list[str] = field(default_factory=list)
    """Why a file cannot be used, one sentence each."""
    failed_records: list[str] = field(default_factory=list)
    """Why a record cannot be used, one sentence each."""
    failed_ids: list[str] = field(default_factory=list)
    """Of these, the ones whose id is known."""

    def newest(self, now: datetime) -> datetime | None:
        """Return when the newest record was modified."""
        return newest_time((record.modified for record in self.records.values()), now=now)

    def add(self, content: bytes, keep: Keep) -> int:
        """
        Add a record, and return how many entries it has; if several have one id, the last modified one counts.

        Raises:
            RecordError: it cannot be used.
        """
        if (record := parse_record(content)) is None:
            return 0
        other = self.records.get(record.id)
        if other is None or other.modified <= record.modified:
            self.records[record.id] = record
            keep(record.id, content)
        return record.entries


def read_files(files: Iterable[tuple[str, Path]], *, bounds: Bounds, keep: Keep) -> Reading:
    """
    Return what can be read of files; within the bounds, which hold for all of them together.

    Args:
        files: each with its name in messages.
    """
    reading, budget = Reading(), Budget(bounds)
    for name, path in files:
        try:
            for document in read_documents(path, budget, name=name):
                budget.add_entries(_add(reading, document, keep, alone=document.where == name))
        except ArchiveError as error:
            reading.failed_files.append(str(error) if str(error).startswith(name) else f"{name}: {error}")
    return reading


def _add(reading: Reading, document: Document, keep: Keep, *, alone: bool) -> int:
    try:
        return reading.add(document.content, keep)
    except RecordError as error:
        problem = f"{document.where}: {error}"
        if alone:
            reading.failed_files.append(problem)
            return 0
        reading.failed_records.append(problem)
        if error.id is not None:
            reading.failed_ids.append(error.id)
        return 0


def refusals(
    reading: Reading, last: Meta | None, *, source: str, store: Path, stale_after: timedelta, now: datetime
) -> list[Refusal]:
    """
    Return why the records cannot replace the last good ones; nothing if they can.

    Args:
        last: of the last good records.
        source: the path or URL of the new ones.
        store: the file with the last good ones. If it is missing, any whole source is good.
        stale_after: a source whose newest record is older than that must not be older than the last good one.
    """
    if reading.failed_files:
        return [Refusal(problem, "replace it") for problem in reading.failed_files]
    if not reading.records:
        return [Refusal(f"{source} has no record about a project of PyPI", "put OSV records there")]
    if last is None:
        return []
    count, newest = len(reading.records), reading.newest(now)
    accept = f"if that is right, delete {store}"
    if last.source == source and count < (1 - MAX_SHRINKAGE) * last.records:
        return [Refusal(f"{source} has {count:,} records and had {last.records:,}: more than 5 % fewer", accept)]
    stale = newest is None or now - newest > stale_after
    if stale and last.newest_modified is not None and (newest is None or newest < last.newest_modified):
        return [Refusal(f"{source} is older than the last good advisories", accept)]
    return []
