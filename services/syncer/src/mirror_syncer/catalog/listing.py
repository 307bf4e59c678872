"""What upstream's list says, merged into the catalog: new projects, changed ones, and those that it lacks."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import sqlalchemy as sa
from packaging.utils import NormalizedName

from mirror_syncer.catalog.schema import about, project
from mirror_syncer.catalog.upsert import insertion, upsert
from mirror_syncer.model.project import NO_VALIDATORS
from mirror_syncer.model.serials import MAX_SERIAL, MAX_SERIAL_LEAD
from mirror_syncer.model.validators import Validators

_BATCH_ROWS = 5_000  # rows a transaction: 50 ms, so that publications need not wait
_KEY = "upstream_list"
CONFIRMED_ABSENT = 0
"""An edition before all others: absent, and no second list needs to agree."""


@dataclass(frozen=True, slots=True)
class KnownList:
    """The last list of upstream's that was merged to its end."""

    origin: str
    edition: int
    """Its serial; of an upstream without serials, the time when it came."""
    serial: int | None = None
    first: int = 0
    """The edition of the first list: what it names and was never looked at is the backlog."""
    unnumbered: int = 0
    """How many projects it gives no serial, or none to be believed."""
    newest: int | None = None
    """The highest serial of a project."""
    validators: Validators = NO_VALIDATORS

    @property
    def ceiling(self) -> int:
        """The highest serial of a page that is believed."""
        return min(MAX_SERIAL, max(self.serial or 0, self.newest or 0) + MAX_SERIAL_LEAD)


@dataclass(frozen=True, slots=True)
class MergeResult:
    """What a list changed."""

    new: int = 0
    changed: int = 0
    absent: int = 0
    back: int = 0
    """Listed again."""

    def __add__(self, other: "MergeResult") -> "MergeResult":
        mine, its = asdict(self), asdict(other)
        return MergeResult(**{key: mine[key] + its[key] for key in mine})


class Listing:
    """The columns of the project table that are the list's, and what is known of the list itself."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def last(self) -> KnownList | None:
        """Return the last list that was merged to its end."""
        with self._engine.connect() as connection:
            text = connection.scalar(sa.select(about.c.value).where(about.c.key == _KEY))
        if text is None:
            return None
        said = json.loads(text)
        return KnownList(**said | {"validators": Validators(**said["validators"])})

    def merge(
        self,
        parts: Iterable[tuple[str, Mapping[NormalizedName, int]]],
        known: KnownList,
        *,
        now: int,
        anew: bool = False,
        older: bool = False,
    ) -> MergeResult:
        """
        Merge a whole list.

        Each part is compared with the rows of its names, and what differs is written a few thousand rows at a time.
        Broken off, it leaves what the parts so far say; only the end makes the list known, its validators with it.

        Args:
            parts: what names begin with, in one or two characters, and the serials of all listed ones; 0: without one.
            known: what is known of the list when it is merged.
            now: what waits for another attempt and changed upstream is due from then on.
            anew: its absences count whatever was known before: a person says so, or upstream has gone back.
            older: it is older than the last one. What it gives another serial is asked for, and nothing is taken for
                absent; the last list stays the one that is known.
        """
        merged = MergeResult()
        for beginning, listed in parts:
            merged += self._merge(beginning, listed, edition=known.edition, now=now, anew=anew, older=older)
        if older:
            # The last list, shown again, must be merged again: a 304 would leave what this one said.
            if (last := self.last()) is not None:
                self._store(replace(last, validators=NO_VALIDATORS))
            return merged
        before = self.last()
        first = known.edition if before is None or before.origin != known.origin else before.first
        self._store(replace(known, first=first))
        return merged

    def record_presence(
        self, connection: sa.Connection, *, gone: Sequence[NormalizedName], there: Sequence[NormalizedName]
    ) -> None:
        """Note which projects upstream itself says to be gone, whatever its list says, and which have come back."""
        if gone:
            connection.execute(_GONE, [{"of": name} for name in gone])
        if there:
            connection.execute(_THERE, [{"of": name} for name in there])

    def forget(self, connection: sa.Connection) -> None:
        """Forget the last list."""
        connection.execute(about.delete().where(about.c.key == _KEY))

    def _store(self, known: KnownList) -> None:
        with self._engine.begin() as connection:
            upsert(connection, about, [{"key": _KEY, "value": json.dumps(asdict(known))}])

    def _merge(
        self,
        beginning: str,
        listed: Mapping[NormalizedName, int],
        *,
        edition: int,
        now: int,
        anew: bool = False,
        older: bool = False,
    ) -> MergeResult:
        known = self._known_serials(beginning)
        if known == listed:
            return MergeResult()
        # Comprehensions: 886,000 turns of a loop would take longer than all the reading.
        differ = [(name, serial) for name, serial in listed.items() if known.get(name) != serial]
        missing = [] if older else [name for name in known if name not in listed]
        new, changed, back = {}, [], 0
        for name, serial in differ:
            before = known.get(name)
            if name not in known:
                new[name] = serial
            elif before is None or before >= 0 or not older:  # what is absent an older list does not bring back
                changed.append({"of": name, "wanted": serial, "now": now})
                back += before is not None and before < 0
        # First seen to be absent in this list, or in one that was counted otherwise.
        absent = [name for name in missing if (known[name] or 0) >= 0 or _absent_since(known[name]) > edition]
        self._write(_CHANGED, changed)
        self._write(_ABSENT, [{"of": name, "edition": edition, "anew": anew} for name in absent])
        self._insert(new)
        return MergeResult(new=len(new), changed=len(changed) - back, absent=len(absent), back=back)

    def _known_serials(self, beginning: str) -> dict[NormalizedName, int | None]:
        """Return the wanted serials of all names that begin so; of absent ones -1 less the edition since when."""
        after = f"{beginning[0]}{chr(ord(beginning[1]) + 1)}" if len(beginning) > 1 else f"{beginning}-"
        with self._engine.connect() as connection:
            # The driver's own cursor, for its plain tuples: see Projects.listed.
            cursor = connection.connection.cursor()
            cursor.execute(f"{_KNOWN} WHERE name >= '{beginning}' AND name < '{after}'")
            found = dict(cast("Iterable[tuple[NormalizedName, int | None]]", cursor))
            cursor.close()
        return found

    def _write(self, statement: sa.Update, rows: Sequence[dict[str, Any]]) -> None:
        for start in range(0, len(rows), _BATCH_ROWS):
            with self._engine.begin() as connection:
                connection.execute(statement, rows[start : start + _BATCH_ROWS])

    def _insert(self, listed: Mapping[NormalizedName, int]) -> None:
        insert = insertion(self._engine.dialect, project).values(**_INSERT)
        # A person may have named one meanwhile, and its row be there.
        insert = insert.on_conflict_do_update(
            index_elements=["name"], set_={"wanted_serial": insert.excluded.wanted_serial}
        )
        compiled = insert.compile(self._engine)
        order = compiled.positiontup
        rows = list(listed.items())
        for start in range(0, len(rows), _BATCH_ROWS):
            some = [{"of": name, "wanted": serial} for name, serial in rows[start : start + _BATCH_ROWS]]
            values = some if order is None else [tuple(row[key] for key in order) for row in some]
            with self._engine.begin() as connection:
                # The statement as the driver takes it: SQLAlchemy's own way takes twice the time.
                connection.exec_driver_sql(str(compiled), values)


_KNOWN = "SELECT name, CASE WHEN absent_since IS NULL THEN wanted_serial ELSE -1 - absent_since END FROM project"
_INSERT = {
    "name": sa.bindparam("of"),
    "wanted_serial": sa.bindparam("wanted"),
    "state": sa.literal_column("'behind'"),
    "published": sa.false(),
    **dict.fromkeys(
        ("file_count", "stored_bytes", "withheld_files", "missing_files", "attempts"), sa.literal_column("0")
    ),
}
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
        # It waited for another attempt at what is past now.
        due_at=sa.case((project.c.due_at.is_not(None), sa.bindparam("now")), else_=None),
    )
)
# A list older than what is known of a project says nothing of its absence.
_ABSENT = (
    project.update()
    .where(
        project.c.name == sa.bindparam("of"),
        sa.or_(
            sa.bindparam("anew", type_=sa.Boolean),
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
