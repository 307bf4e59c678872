"""All advisories, by project."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

import msgspec
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_syncer.config.advisories.advisory import Advisory, Kind
from mirror_syncer.config.advisories.affected import Interval
from mirror_syncer.config.advisories.record import MALWARE_PREFIX, Affected, Record
from mirror_syncer.config.advisories.severity import Severity, worst
from mirror_syncer.model.names import Sha256

_MAX_NOTES = 20
_CLOCK_SKEW = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class BlockingRules:
    """Which advisories block, as ``mirror.toml`` says. Malware always does, unless it is ignored."""

    severity: Severity | None = None
    """Vulnerabilities block from this severity on; None: none does."""
    block_unrated: bool = False
    """Whether a vulnerability that nobody has rated blocks, if ``severity`` is set."""
    ignore: frozenset[str] = frozenset()
    """Ids, or aliases, of advisories that do not block."""
    fixes: bool = False
    """Whether a version that a reviewed advisory names as a fix need not wait."""

    def block(self, advisory: Advisory) -> bool:
        """Return whether an advisory blocks what it affects."""
        if not self.ignore.isdisjoint((advisory.id, *advisory.aliases)):
            return False
        if advisory.kind is Kind.MALWARE:
            return True
        if self.severity is None:
            return False
        return self.block_unrated if advisory.severity is None else advisory.severity >= self.severity


class _Facts(msgspec.Struct, frozen=True, gc=False):
    """What a record says, whichever project it is about."""

    id: str
    aliases: tuple[str, ...]
    kind: Kind
    severity: Severity | None
    reviewed: bool
    summary: str
    modified: datetime


class _Entry(msgspec.Struct, frozen=True, gc=False):
    """A record as it concerns one project; 25,000 of them are in memory, so it is small."""

    facts: _Facts
    versions: str
    intervals: tuple[Interval, ...]
    fixed: tuple[str, ...]
    hashes: frozenset[Sha256]

    @property
    def advisory(self) -> Advisory:
        facts = self.facts
        return Advisory(
            id=facts.id,
            aliases=facts.aliases,
            kind=facts.kind,
            severity=facts.severity,
            reviewed=facts.reviewed,
            summary=facts.summary,
            versions=self.versions,
            intervals=self.intervals,
            hashes=self.hashes,
            fixed=self.fixed,
        )


class Advisories:
    """An immutable index of records that are not withdrawn, by project."""

    def __init__(
        self,
        entries: Mapping[NormalizedName, tuple[_Entry, ...]],
        *,
        records: int,
        newest_modified: datetime | None,
        notes: tuple[str, ...],
    ) -> None:
        self._entries = entries
        self.records = records
        """The number of records in the source, withdrawn ones included."""
        self.newest_modified = newest_modified
        self.notes = notes
        """The parts of records that have no effect, and why: the first few, and how many more there are."""
        ids = {entry.facts.id: entry.facts.kind for found in entries.values() for entry in found}
        self.counts: Mapping[Kind, int] = dict.fromkeys(Kind, 0) | Counter(ids.values())
        """How many records of each kind are in force."""

    @classmethod
    def of(cls, records: Iterable[Record], *, now: datetime | None = None) -> Self:
        """
        Return the index of records; if several have one id, the last modified one counts.

        Args:
            now: modification times after it are not believed when the age is computed.
        """
        newest_by_id = dict[str, Record]()
        for record in records:
            other = newest_by_id.get(record.id)
            if other is None or other.modified <= record.modified:
                newest_by_id[record.id] = record
        found = list(newest_by_id.values())
        live = [record for record in found if not record.withdrawn]
        return cls(
            _index(live, withdrawn=frozenset(record.id for record in found if record.withdrawn)),
            records=len(found),
            newest_modified=newest_time((record.modified for record in found), now=now),
            notes=_first([note for record in live for note in record.notes]),
        )

    @property
    def projects(self) -> frozenset[NormalizedName]:
        """The projects that have an advisory."""
        return frozenset(self._entries)

    def age(self, now: datetime) -> timedelta | None:
        """Return how long ago the newest record was modified; None if there is no record."""
        return None if self.newest_modified is None else max(timedelta(), now - self.newest_modified)

    def about(self, project: NormalizedName) -> tuple[Advisory, ...]:
        """Return the advisories about a project, ordered by id."""
        return tuple(entry.advisory for entry in self._entries.get(project, ()))

    def modified(self, project: NormalizedName) -> dict[str, datetime]:
        """Return when each record about a project was last modified, by id."""
        return {entry.facts.id: entry.facts.modified for entry in self._entries.get(project, ())}

    def blocking(self, project: NormalizedName, rules: BlockingRules) -> tuple[Advisory, ...]:
        """Return the advisories that block what they affect of a project, ordered by id."""
        if project not in self._entries:
            return ()
        return tuple(advisory for advisory in self.about(project) if rules.block(advisory))

    def fixes(self, project: NormalizedName) -> dict[Version, str]:
        """Return the versions of a project that fix a problem by a reviewed advisory, each with its id."""
        reviewed = (advisory for advisory in self.about(project) if advisory.reviewed)
        return {version: advisory.id for advisory in reviewed for version in advisory.fixes}

    def digest(self, project: NormalizedName, rules: BlockingRules) -> str:
        """Return a text that changes whenever the effect of the advisories on a project does; empty for no effect."""
        effects = self.effects(project, rules)
        return hashlib.sha256(repr(effects).encode()).hexdigest()[:16] if effects else ""

    def effects(self, project: NormalizedName, rules: BlockingRules) -> list[tuple[object, ...]]:
        """Return all that the advisories affect of a project, in a form that can be compared."""
        found = list[tuple[object, ...]]()
        for advisory in self.about(project):
            if rules.block(advisory):
                parts = advisory.versions, advisory.intervals, sorted(advisory.hashes)
                found.append((advisory.id, advisory.reason, *parts))
            if rules.fixes and advisory.reviewed and advisory.fixed:
                found.append((advisory.id, advisory.fixed, advisory.versions, advisory.intervals))
        return found


NO_ADVISORIES = Advisories({}, records=0, newest_modified=None, notes=())


def newest_time(times: Iterable[datetime], *, now: datetime | None = None) -> datetime | None:
    """Return the newest time that is not in the future, give or take a day."""
    latest = (now or datetime.now(UTC)) + _CLOCK_SKEW
    return max((time for time in times if time <= latest), default=None)


def _index(live: list[Record], *, withdrawn: frozenset[str]) -> dict[NormalizedName, tuple[_Entry, ...]]:
    ratings = dict[str, Severity | None]()
    for record in live:
        if record.severity is not None:
            ratings |= {name: worst((record.severity, ratings.get(name))) for name in record.ids}
    texts = dict[str, str]()  # aliases often list the same versions: one copy
    entries = dict[NormalizedName, list[_Entry]]()
    for record in sorted(live, key=lambda record: record.id):
        facts = _Facts(
            id=record.id,
            aliases=record.aliases,
            kind=_kind(record, withdrawn),
            severity=record.severity if record.severity is not None else worst(map(ratings.get, record.ids)),
            reviewed=record.reviewed,
            summary=record.summary,
            modified=record.modified,
        )
        for affected in record.affected:
            entries.setdefault(affected.project, []).append(_entry(facts, affected, texts))
    return {name: tuple(found) for name, found in entries.items()}


def _entry(facts: _Facts, affected: Affected, texts: dict[str, str]) -> _Entry:
    versions = texts.setdefault(affected.versions, affected.versions)
    return _Entry(facts, versions, affected.intervals, affected.fixed, affected.hashes)


def _kind(record: Record, withdrawn: frozenset[str]) -> Kind:
    """Return what a record warns of: of malware if it has a MAL id, by which it may also be known elsewhere."""
    malware = (name for name in record.ids if name.startswith(MALWARE_PREFIX) and name not in withdrawn)
    return Kind.MALWARE if any(malware) else Kind.VULNERABILITY


def _first(notes: list[str]) -> tuple[str, ...]:
    rest = len(notes) - _MAX_NOTES
    return (*notes[:_MAX_NOTES], f"and {rest:,} more") if rest > 0 else tuple(notes)
