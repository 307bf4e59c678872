"""The merge of upstream's project list into the catalog: new, changed and absent projects."""

import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import sqlalchemy as sa
from packaging.utils import NormalizedName

from mirror_syncer.catalog.backend import backend_of
from mirror_syncer.catalog.batches import LISTED_BATCH_ROWS
from mirror_syncer.catalog.facts import Fact, delete_fact, read_fact, write_fact
from mirror_syncer.catalog.schema import project
from mirror_syncer.model.project import NO_VALIDATORS
from mirror_syncer.model.serials import MAX_SERIAL, MAX_SERIAL_LEAD
from mirror_syncer.model.validators import Validators

_BATCH_ROWS = 5_000  # per transaction: 50 ms, so that publications need not wait
_READ_ROWS = 5_000  # at once: most of the 1,368 parts have few names, and a query for each takes 0.1 ms
CONFIRMED_ABSENT = 0
"""An edition before all others: the absence is certain and needs no confirmation by a second list."""


@dataclass(frozen=True, slots=True)
class KnownList:
    """The last completely merged list of upstream."""

    origin: str
    edition: int
    """Its serial, or the time of its download if upstream has no serials."""
    serial: int | None = None
    first: int = 0
    """The edition of the first list; its projects that were never requested form the backlog."""
    unnumbered: int = 0
    """Number of projects without a serial, or with an untrusted one."""
    newest: int | None = None
    """The highest serial of a project."""
    validators: Validators = NO_VALIDATORS

    @property
    def ceiling(self) -> int:
        """The highest trusted serial of a page."""
        return min(MAX_SERIAL, max(self.serial or 0, self.newest or 0) + MAX_SERIAL_LEAD)


@dataclass(frozen=True, slots=True)
class MergeResult:
    """The numbers of projects that a list changed."""

    new: int = 0
    changed: int = 0
    absent: int = 0
    back: int = 0
    """Listed again."""

    def __add__(self, other: "MergeResult") -> "MergeResult":
        mine, its = asdict(self), asdict(other)
        return MergeResult(**{key: mine[key] + its[key] for key in mine})


class Listing:
    """The list's columns of the project table, and the record of the list itself."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def last(self) -> KnownList | None:
        """Return the last completely merged list."""
        with self._engine.connect() as connection:
            text = read_fact(connection, Fact.UPSTREAM_LIST)
        if text is None:
            return None
        stored = json.loads(text)
        return KnownList(**stored | {"validators": Validators(**stored["validators"])})

    def merge(
        self,
        parts: Iterable[tuple[str, Mapping[NormalizedName, int]]],
        known: KnownList,
        *,
        now: int,
        accept_absences: bool = False,
        older: bool = False,
    ) -> MergeResult:
        """
        Merge a whole list.

        Each part is compared with the rows of its names; differences are written a few thousand rows at a time. An
        interrupted merge keeps the parts merged so far; the list and its validators are recorded only at the end.

        Args:
            parts: the first one or two characters of names, in the order of names, and the serials of all listed names;
                0 for no serial.
            known: the record of this list, to be stored at the end.
            now: changed projects that wait for a retry become due at this time.
            accept_absences: count absences despite newer serials: the operator says so, or upstream was reset.
            older: it is older than the last one. Projects with another serial become due, none becomes absent, and the
                last list stays on record.
        """
        merged = MergeResult()
        new: list[tuple[NormalizedName, int]] = []
        serials = _KnownSerials(self._engine)
        backend = backend_of(self._engine)
        with backend.indexes_afterwards(self._engine):
            for beginning, listed in parts:
                before = serials.of_part(beginning)
                if before == listed:
                    continue
                merged += self._merge(
                    before,
                    listed,
                    new,
                    edition=known.edition,
                    now=now,
                    accept_absences=accept_absences,
                    older=older,
                )
                if len(new) >= LISTED_BATCH_ROWS:
                    backend.insert_listed(self._engine, new)
                    new.clear()
            backend.insert_listed(self._engine, new)
        if older:
            # The last list must be merged again when upstream serves it again: a 304 would keep this one's values.
            if (last := self.last()) is not None:
                self._store(replace(last, validators=NO_VALIDATORS))
            return merged
        last = self.last()
        first = known.edition if last is None or last.origin != known.origin else last.first
        self._store(replace(known, first=first))
        return merged

    def record_presence(
        self, connection: sa.Connection, *, gone: Sequence[NormalizedName], there: Sequence[NormalizedName]
    ) -> None:
        """Record which projects upstream's pages report as removed or present, regardless of its list."""
        if gone:
            connection.execute(_GONE, [{"of": name} for name in gone])
        if there:
            connection.execute(_THERE, [{"of": name} for name in there])

    def forget(self, connection: sa.Connection) -> None:
        """Forget the last list."""
        delete_fact(connection, Fact.UPSTREAM_LIST)

    def _store(self, known: KnownList) -> None:
        with self._engine.begin() as connection:
            write_fact(connection, Fact.UPSTREAM_LIST, json.dumps(asdict(known)))
            backend_of(connection).add_changed_totals(connection)

    def _merge(
        self,
        known: Mapping[NormalizedName, int | None],
        listed: Mapping[NormalizedName, int],
        new: list[tuple[NormalizedName, int]],
        *,
        edition: int,
        now: int,
        accept_absences: bool = False,
        older: bool = False,
    ) -> MergeResult:
        """Merge a part, but only add its new projects to ``new``."""
        # Comprehensions: a loop over 886,000 names would take longer than reading them.
        differ = [(name, serial) for name, serial in listed.items() if known.get(name) != serial]
        missing = [] if older else [name for name in known if name not in listed]
        before_new, changed, back = len(new), [], 0
        for name, serial in differ:
            before = known.get(name)
            if name not in known:
                new.append((name, serial))
            elif before is None or before >= 0 or not older:  # an older list does not restore an absent project
                changed.append({"of": name, "wanted": serial, "now": now})
                back += before is not None and before < 0
        # First absent in this list, or in one with a different numbering.
        absent = [name for name in missing if (known[name] or 0) >= 0 or _absent_since(known[name]) > edition]
        self._write(_CHANGED, changed)
        self._write(_ABSENT, [{"of": name, "edition": edition, "accept_absences": accept_absences} for name in absent])
        return MergeResult(new=len(new) - before_new, changed=len(changed) - back, absent=len(absent), back=back)

    def _write(self, statement: sa.Update, rows: Sequence[dict[str, Any]]) -> None:
        for start in range(0, len(rows), _BATCH_ROWS):
            with self._engine.begin() as connection:
                connection.execute(statement, rows[start : start + _BATCH_ROWS])


class _KnownSerials:
    """
    The wanted serials of all projects by the beginning of their names; for absent projects -1 minus the edition.

    Rows are read ahead, a few thousand at a time. Rows of parts that were already asked for may be written meanwhile.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._rows: list[tuple[NormalizedName, int | None]] = []
        self._last = ""
        self._all_read = False

    def of_part(self, beginning: str) -> dict[NormalizedName, int | None]:
        """Return those of all names with this beginning. Beginnings must be asked for in the order of names."""
        after = f"{beginning[0]}{chr(ord(beginning[1]) + 1)}" if len(beginning) > 1 else f"{beginning}-"
        found: dict[NormalizedName, int | None] = {}
        while True:
            begin, end = bisect_left(self._rows, (beginning,)), bisect_left(self._rows, (after,))
            found.update(self._rows[begin:end])
            del self._rows[:end]
            if self._rows or self._all_read:
                return found
            self._read()

    def _read(self) -> None:
        query = _KNOWN.where(project.c.name > self._last).order_by(project.c.name).limit(_READ_ROWS)
        # The driver's cursor returns plain tuples: see Projects.listed.
        with self._engine.connect() as connection, backend_of(connection).cursor(connection) as cursor:
            cursor.execute(str(query.compile(self._engine, compile_kwargs={"literal_binds": True})))
            self._rows = list(cursor.fetchall())
        self._all_read = len(self._rows) < _READ_ROWS
        if self._rows:
            self._last = self._rows[-1][0]


_KNOWN = sa.select(
    project.c.name,
    sa.case((project.c.absent_since.is_(None), project.c.wanted_serial), else_=-1 - project.c.absent_since),
)
_CHANGED = (
    project.update()
    .where(project.c.name == sa.bindparam("of"))
    .values(
        wanted_serial=sa.bindparam("wanted"),
        absent_since=None,
        state=sa.case(
            (
                sa.and_(
                    project.c.state == "current",
                    sa.bindparam("wanted", type_=sa.BigInteger) > 0,
                    sa.func.coalesce(project.c.serial, 0) != sa.bindparam("wanted"),
                    sa.func.coalesce(project.c.seen_serial, 0) != sa.bindparam("wanted"),
                ),
                "behind",
            ),
            else_=project.c.state,
        ),
        # Its pending retry was for outdated content.
        due_at=sa.case((project.c.due_at.is_not(None), sa.bindparam("now")), else_=None),
    )
)
# A list that is older than a project's last known serial does not prove its absence.
_ABSENT = (
    project.update()
    .where(
        project.c.name == sa.bindparam("of"),
        sa.or_(
            sa.bindparam("accept_absences", type_=sa.Boolean),
            sa.and_(
                sa.func.coalesce(project.c.serial, 0) <= sa.bindparam("edition"),
                sa.func.coalesce(project.c.wanted_serial, 0) <= sa.bindparam("edition"),
            ),
        ),
    )
    .values(absent_since=sa.bindparam("edition"))
)
_GONE = project.update().where(project.c.name == sa.bindparam("of")).values(absent_since=CONFIRMED_ABSENT)
_THERE = (
    project.update()
    .where(project.c.name == sa.bindparam("of"), project.c.absent_since == CONFIRMED_ABSENT)
    .values(absent_since=None)
)


def _absent_since(known: int | None) -> int:
    return -1 - (known or 0)
