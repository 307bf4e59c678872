"""The advisories in force: the last good ones where their source cannot be used."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from mirror_syncer.config.advisories.advisories import NO_ADVISORIES, Advisories
from mirror_syncer.config.advisories.bounds import Bounds
from mirror_syncer.config.advisories.download import DownloadError, Validators, download
from mirror_syncer.config.advisories.location import STALE_AFTER, Location, Signature
from mirror_syncer.config.advisories.reading import Reading, Refusal, read_files, refusals
from mirror_syncer.config.advisories.record import RecordError
from mirror_syncer.config.advisories.store import Meta, Store, StoreWriter
from mirror_syncer.upstream.http.options import ClientOptions

log = structlog.get_logger()

_DOWNLOAD = "advisories.download"
_MAX_NAMED = 5  # problems of one kind that are named one by one
_DEFAULT_BOUNDS = Bounds()


class AdvisorySource:
    """
    The advisories in force, and the reasons why newer ones are not.

    Without last good ones, whatever could be read is in force: blocking something is better than blocking nothing.

    Args:
        state: the directory that keeps the last good advisories.
        keeps: False: nothing is written, and a URL is not requested; for commands beside the service.
    """

    def __init__(self, *, state: Path, keeps: bool = True, bounds: Bounds = _DEFAULT_BOUNDS) -> None:
        self.store = Store.in_directory(state)
        self._download = state / _DOWNLOAD
        self._keeps = keeps
        self._bounds = bounds
        self._lock = threading.Lock()
        self._location: Location | None = None
        self._stale_after = STALE_AFTER
        self._signatures: tuple[Signature, ...] = ()
        self._had_store = False
        self._validators = Validators()
        self._in_force = NO_ADVISORIES
        self._is_good = False
        self._refusals: list[Refusal] = []
        self._failed_download: list[Refusal] = []
        self._failed_records: list[str] = []

    @property
    def current(self) -> Advisories:
        """The advisories in force."""
        return self._in_force

    def problems(self, now: datetime | None = None) -> list[str]:
        """Return what is wrong with the source, one sentence each with file and remedy."""
        kept = "the last good advisories stay in force" if self._is_good else "only what could be read is in force"
        found = _first(f"{one.problem}; {kept}; {one.remedy}" for one in (*self._refusals, *self._failed_download))
        found += _first(self._failed_records)
        age = self._in_force.age(now or datetime.now(UTC))
        if age is not None and age > self._stale_after:
            found.append(
                f"the newest advisory of {self._location} is {age.days} days old, so newer malware is not blocked;"
                " bring newer advisories, or raise [advisories] stale_after"
            )
        return found

    def changed(self, location: Location | None) -> bool:
        """Return whether a directory or file has changed since the last reading; it only reads their status."""
        if location != self._location:
            return True
        if location is None or location.path is None:
            return False
        return location.list_files().signatures != self._signatures or (self._had_store and not self.store.exists)

    def reload(self, location: Location | None, *, stale_after: timedelta = STALE_AFTER) -> None:
        """
        Read the source again, and put it into force if it is good. It blocks for seconds: call it in a thread.

        For a URL it only restores the last good advisories; ``refresh`` requests it.

        Args:
            location: None: no advisories are wanted.
        """
        with self._lock:
            moved = location != self._location
            self._location, self._stale_after = location, stale_after
            if moved:
                self._refusals, self._failed_download, self._failed_records = [], [], []
                self._validators, self._signatures = Validators(), ()
            if location is None:
                self._in_force, self._is_good = NO_ADVISORIES, False
            elif location.path is not None:
                self._read_path(location)
            elif moved:
                self._recall(location)

    async def refresh(self, options: ClientOptions) -> bool:
        """
        Request the URL that ``reload`` was called with, and return whether other advisories are in force now.

        A failure leaves the last good ones in force, and is one of the problems.
        """
        location, before = self._location, self._in_force
        if location is None or location.path is not None or not self._keeps:
            return False
        failed = list[Refusal]()
        known = self._validators if self.store.exists else Validators()
        size = self._bounds.file_bytes
        try:
            validators = await download(location.url, self._download, options=options, validators=known, max_bytes=size)
            if validators is not None:
                await asyncio.to_thread(self._read_download, location, validators)
        except DownloadError as error:
            failed = [Refusal(str(error), "check [advisories] source, and the network")]
        except OSError as error:
            failed = [Refusal(f"{self._download} cannot be written ({error.strerror})", "check the disk")]
        finally:
            with suppress(OSError):
                self._download.unlink(missing_ok=True)
        if location == self._location:
            self._failed_download = failed
        return self._in_force is not before

    def _recall(self, location: Location) -> None:
        """Put the last good advisories into force, until a URL is requested."""
        self._fall_back()
        meta = self.store.meta()
        whole = meta is not None and meta.records == self._in_force.records  # else it must be downloaded again
        if meta is not None and whole and meta.source == str(location):
            self._validators = Validators(meta.etag, meta.last_modified)

    def _read_path(self, location: Location) -> None:
        listing = location.list_files()
        self._signatures = listing.signatures
        if location.optional and not listing.files and not self.store.exists:
            self._in_force, self._is_good, self._refusals, self._failed_records = NO_ADVISORIES, False, [], []
        elif listing.problem is not None:
            self._fall_back()
            remedy = f"restore it, or delete {self.store.path} to use no advisories"
            self._refusals, self._failed_records = [Refusal(listing.problem, remedy)], []
        else:
            self._read([(path.name, path) for path in listing.files], location)
        self._had_store = self.store.exists

    def _read_download(self, location: Location, validators: Validators) -> None:
        with self._lock:
            if location == self._location:
                self._validators = validators
                self._read([(str(location), self._download)], location)

    def _read(self, files: Iterable[tuple[str, Path]], location: Location) -> None:
        """Read files, and put their records into force if these are good."""
        now = datetime.now(UTC)
        last = self.store.meta()
        writer = self._open_writer()
        try:
            keep: Callable[[str, bytes], None] = writer.add if writer else lambda *_: None
            reading = read_files(files, bounds=self._bounds, keep=keep)
            self._keep_failed_records(reading, keep)
            self._refusals = refusals(
                reading, last, source=str(location), store=self.store.path, stale_after=self._stale_after, now=now
            )
            if self._refusals:
                self._fall_back(reading)
                self._failed_records = []
                return
            self._in_force, self._is_good = Advisories.of(reading.records.values(), now=now), True
            self._failed_records = [f"{one}; its last good version, if any, counts" for one in reading.failed_records]
            if writer is not None:
                self._accept(writer, Meta(str(location), len(reading.records), reading.newest(now), *self._validators))
        finally:
            if writer is not None:
                writer.close()

    def _open_writer(self) -> StoreWriter | None:
        """Return a writer; None if nothing is kept, or the disk refuses."""
        if self._keeps:
            try:
                return StoreWriter(self.store.path)
            except (OSError, sqlite3.Error) as error:
                self._report_unkept(error)
        return None

    def _accept(self, writer: StoreWriter, meta: Meta) -> None:
        try:
            writer.accept(meta)
        except (OSError, sqlite3.Error) as error:
            self._report_unkept(error)

    def _report_unkept(self, error: Exception) -> None:
        log.warning("advisories are not kept for the next start", path=str(self.store.path), reason=str(error))

    def _keep_failed_records(self, reading: Reading, keep: Callable[[str, bytes], None]) -> None:
        """Add the last good versions of records that cannot be used."""
        for record_id in reading.failed_ids:
            if record_id not in reading.records and (content := self.store.get(record_id)) is not None:
                with suppress(RecordError):
                    reading.add(content, keep)

    def _fall_back(self, partial: Reading | None = None) -> None:
        """Put the last good advisories into force; without any, what could be read."""
        if self._is_good:
            return
        last = Reading()
        for content in self.store.contents():
            with suppress(RecordError):
                last.add(content, lambda *_: None)
        self._is_good = bool(last.records)
        self._in_force = Advisories.of((last if self._is_good or partial is None else partial).records.values())


def _first(problems: Iterable[str]) -> list[str]:
    """Return the first problems, and how many more there are."""
    found = list(problems)
    rest = len(found) - _MAX_NAMED
    return [*found[:_MAX_NAMED], f"{rest:,} more like that"] if rest > 0 else found
