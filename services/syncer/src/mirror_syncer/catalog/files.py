"""Files in transition: pending (about to be published or dropped) and retired."""

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from threading import Lock
from typing import Any

import sqlalchemy as sa
from packaging.utils import NormalizedName

from mirror_syncer.catalog.batches import batched
from mirror_syncer.catalog.generations import confirm
from mirror_syncer.catalog.schema import pending, retired
from mirror_syncer.catalog.upsert import upsert
from mirror_syncer.model.generation import Generation
from mirror_syncer.model.names import PackagePath, Sha256
from mirror_syncer.model.project import Pending, Retirement

_BATCH_ROWS = 400
_FINISHED = pending.delete().where(pending.c.project == sa.bindparam("of"))
_STAYS = retired.update().where(retired.c.place == sa.bindparam("of")).values(due_at=None)
"""A place that is published again, or whose file was removed: only its former content is remembered."""


@dataclass(frozen=True, slots=True)
class WaitingFiles:
    """The files that no page names any longer and that wait for the end of their grace period."""

    files: int
    bytes: int
    first_at: int
    """Time of the first removal."""
    last_at: int


class Files:
    """
    The tables ``pending`` and ``retired``.

    Pending files are also kept in memory: only this process writes them, and only active projects have any.

    Attributes:
        guard: every writer holds it during its transaction. SQLite allows one writer at a time, and a second one would
            sleep before it tries again.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self.guard = Lock()
        self._pending: dict[NormalizedName, dict[PackagePath, Pending]] | None = None
        self._owners: dict[PackagePath, NormalizedName] = {}
        self._any_retired = True
        """Whether the table ``retired`` has any row; during a first sync it has none."""
        self._previously_retired: defaultdict[NormalizedName, set[PackagePath]] = defaultdict(set)
        """The pending places that also have a row in ``retired``."""

    def claim(self, intents: Sequence[Pending]) -> set[PackagePath]:
        """
        Claim the files that a publication or a collection is about to change.

        Returns:
            The refused places: another project has claimed them, or they once held other content. They must not be
            changed.
        """
        return self.claim_all([intents])[0]

    def claim_all(self, requests: Sequence[Sequence[Pending]]) -> list[set[PackagePath]]:
        """Process several claims in one transaction; of two claims to one place the earlier wins."""
        with self.guard, self._engine.begin() as connection:
            in_hand = self._load(connection)
            places = [intent.place for intents in requests for intent in intents]
            held = self._recorded_digests(connection, places) if self._any_retired else {}
            touched = set[NormalizedName]()
            results = []
            for intents in requests:
                taken = set[PackagePath]()
                for intent in intents:
                    project, place = intent.project, intent.place
                    if self._owners.get(place, project) != project or held.get(place, intent.sha256) != intent.sha256:
                        taken.add(place)
                        continue
                    self._owners[place] = project
                    in_hand.setdefault(project, {})[place] = intent
                    touched.add(project)
                    if place in held:
                        self._previously_retired[project].add(place)
                results.append(taken)
            upsert(connection, pending, [_pending_row(project, in_hand[project].values()) for project in touched])
        return results

    def store_pending_again(self) -> None:
        """Store all pending files, because the database may have lost them."""
        with self.guard, self._engine.begin() as connection:
            in_hand = self._load(connection)
            upsert(connection, pending, [_pending_row(project, files.values()) for project, files in in_hand.items()])

    def pending(self, project: NormalizedName | None = None) -> list[Pending]:
        """Return the pending files of interrupted publications, by project; those of one project if it is named."""
        with self.guard, self._engine.connect() as connection:
            in_hand = self._load(connection)
            projects = sorted(in_hand) if project is None else [project]
            return [intent for name in projects for intent in in_hand.get(name, {}).values()]

    def finish(
        self,
        connection: sa.Connection,
        *,
        projects: Sequence[NormalizedName],
        retirements: Iterable[Retirement],
        returned: Iterable[PackagePath],
    ) -> None:
        """Delete these projects' pending rows and store retirements; call ``release`` after the commit."""
        in_hand = self._load(connection)
        if rows := [{"of": project} for project in projects if project in in_hand]:
            connection.execute(_FINISHED, rows)
        known = {place for project in projects for place in self._previously_retired.get(project, ())}
        if back := [{"of": place} for place in returned if place in known]:
            connection.execute(_STAYS, back)
        leaving = [_values(retirement) for retirement in retirements]
        self._any_retired |= bool(leaving)
        upsert(connection, retired, leaving)

    def end_grace_of(self, connection: sa.Connection, projects: Sequence[NormalizedName]) -> None:
        """End the grace period of these projects' retired files."""
        if projects:
            waits = retired.c.project.in_(projects), retired.c.due_at.is_not(None)
            connection.execute(retired.update().where(*waits).values(due_at=0))

    def apply_grace(self, seconds: int) -> None:
        """Shorten the grace period of retired files whose own is longer."""
        due_at = retired.c.retired_at + seconds
        later = retired.c.due_at > due_at, ~retired.c.withdraw
        with self.guard, self._engine.begin() as connection:
            # Usually there are none, because the grace period rarely changes.
            if connection.scalar(sa.select(retired.c.place).where(*later).limit(1)) is not None:
                connection.execute(retired.update().where(*later).values(due_at=due_at))

    def end_grace(self) -> None:
        """End the grace period of all retired files."""
        now = int(time.time())
        with self.guard, self._engine.begin() as connection:
            connection.execute(retired.update().where(retired.c.due_at > now).values(due_at=now))

    def waiting_totals(self) -> WaitingFiles | None:
        """Return the totals of files that wait for removal, or None if there are none."""
        totals = (
            sa.func.count(),
            sa.func.sum(retired.c.size),
            sa.func.min(retired.c.due_at),
            sa.func.max(retired.c.due_at),
        )
        with self._engine.connect() as connection:
            files, size, first, last = connection.execute(sa.select(*totals).where(retired.c.due_at.is_not(None))).one()
        return WaitingFiles(files, int(size), first, last) if files else None

    def release(self, projects: Iterable[NormalizedName]) -> None:
        """Release the places that these projects had claimed."""
        for project in projects:
            self._previously_retired.pop(project, None)
            for place in (self._pending or {}).pop(project, ()):
                del self._owners[place]

    def due_projects(self, *, now: int) -> list[NormalizedName]:
        """Return the projects with files due for removal."""
        with self._engine.connect() as connection:
            query = sa.select(retired.c.project).where(retired.c.due_at <= now).distinct()
            return [NormalizedName(name) for name in connection.scalars(query)]

    def due(self, project: NormalizedName, *, now: int) -> list[Retirement]:
        """Return a project's files due for removal."""
        query = sa.select(retired).where(retired.c.project == project, retired.c.due_at <= now)
        with self._engine.connect() as connection:
            return [Retirement(**row) for row in connection.execute(query).mappings()]

    def overdue(self, projects: Iterable[NormalizedName], *, now: int) -> set[PackagePath]:
        """Return the places of these projects' files due for removal."""
        found = set[PackagePath]()
        with self._engine.connect() as connection:
            for some in batched(projects):
                query = sa.select(retired.c.place).where(retired.c.project.in_(some), retired.c.due_at <= now)
                found |= {PackagePath(place) for place in connection.scalars(query)}
        return found

    def waiting(self) -> Iterator[Retirement]:
        """Yield the files that wait for the end of their grace period: they can still be downloaded."""
        after = ""
        query = sa.select(retired).where(retired.c.due_at.is_not(None)).order_by(retired.c.place).limit(_BATCH_ROWS)
        while True:
            with self._engine.connect() as connection:
                rows = connection.execute(query.where(retired.c.place > after)).mappings().all()
            if not rows:
                return
            yield from (Retirement(**row) for row in rows)
            after = rows[-1]["place"]

    def record_removal(
        self,
        project: NormalizedName,
        places: Sequence[PackagePath],
        *,
        staying: Sequence[PackagePath] = (),
        generation: Generation | None = None,
    ) -> None:
        """
        Record that a project's pending files were removed; its other pending files stay pending.

        Their rows stay, so that their places accept only the same content again.

        Args:
            staying: pending files that were not removed; they stay due.
            generation: the tree's generation after the removal.
        """
        with self.guard, self._engine.begin() as connection:
            confirm(connection, generation)
            in_hand = self._load(connection).get(project, {})
            for place in (*places, *staying):
                if in_hand.pop(place, None) is not None:
                    del self._owners[place]
            if in_hand:
                upsert(connection, pending, [_pending_row(project, in_hand.values())])
            else:
                connection.execute(pending.delete().where(pending.c.project == project))
                self.release([project])
            if rows := [{"of": place} for place in places]:
                connection.execute(_STAYS, rows)

    def removed_places(self) -> Iterator[PackagePath]:
        """Yield the places of removed files, and of retired files that are published again."""
        after = ""
        query = (
            sa.select(retired.c.place).where(retired.c.due_at.is_(None)).order_by(retired.c.place).limit(_BATCH_ROWS)
        )
        while True:
            with self._engine.connect() as connection:
                places = [PackagePath(place) for place in connection.scalars(query.where(retired.c.place > after))]
            if not places:
                return
            yield from places
            after = places[-1]

    def expire(self, places: Iterable[PackagePath]) -> int:
        """Make these places due in the next collection, which spares files that a page names; return their number."""
        count, ahead = 0, iter(places)
        while some := list(islice(ahead, _BATCH_ROWS)):
            with self.guard, self._engine.begin() as connection:
                connection.execute(retired.update().where(retired.c.place.in_(some)).values(due_at=0))
            count += len(some)
        return count

    def forget(self, place: PackagePath, *, generation: Generation) -> None:
        """Delete the record of a place's former content, so that it accepts any content."""
        with self.guard, self._engine.begin() as connection:
            confirm(connection, generation)
            connection.execute(retired.delete().where(retired.c.place == place))

    def recorded_digests(self, places: Sequence[PackagePath]) -> dict[str, Sha256]:
        """Return the recorded sha256 of these places' retired or removed files."""
        with self._engine.connect() as connection:
            return self._recorded_digests(connection, places)

    def known_places(self, directory: str) -> frozenset[str]:
        """Return the places in a directory, such as ``packages/ab/``, that are pending or wait for removal."""
        # A range, not LIKE: both databases answer it from the index.
        span = (retired.c.place >= directory, retired.c.place < f"{directory[:-1]}0", retired.c.due_at.is_not(None))
        with self.guard, self._engine.connect() as connection:
            self._load(connection)
            held = {place for place in self._owners if place.startswith(directory)}
            return frozenset(held | set(connection.scalars(sa.select(retired.c.place).where(*span))))

    def retire(self, orphans: Sequence[Retirement]) -> int:
        """
        Retire orphaned files, except those that a project has claimed in the meantime.

        Returns:
            The number of retired files.
        """
        with self.guard, self._engine.begin() as connection:
            self._load(connection)
            held = self._recorded_digests(connection, [orphan.place for orphan in orphans])
            # The record of a place's former content stays: no URL ever changes its content.
            leaving = [replace(o, sha256=held.get(o.place, o.sha256)) for o in orphans if o.place not in self._owners]
            self._any_retired |= bool(leaving)
            upsert(connection, retired, [_values(orphan) for orphan in leaving])
        return len(leaving)

    def _load(self, connection: sa.Connection) -> dict[NormalizedName, dict[PackagePath, Pending]]:
        """Return the pending files; on the first call, load those of an earlier process."""
        if self._pending is None:
            self._pending = {}
            self._any_retired = connection.scalar(sa.select(retired.c.place).limit(1)) is not None
            for name, files in connection.execute(sa.select(pending.c.project, pending.c.files)):
                project = NormalizedName(name)
                intents = [
                    Pending(project, PackagePath(p), Sha256(sha256), aside) for p, sha256, aside in json.loads(files)
                ]
                self._pending[project] = {intent.place: intent for intent in intents}
                self._owners |= dict.fromkeys(self._pending[project], project)
            for place in self._recorded_digests(connection, list(self._owners)):
                self._previously_retired[self._owners[PackagePath(place)]].add(PackagePath(place))
        return self._pending

    def _recorded_digests(self, connection: sa.Connection, places: Sequence[PackagePath]) -> dict[str, Sha256]:
        held: dict[str, Sha256] = {}
        for start in range(0, len(places), _BATCH_ROWS):
            query = sa.select(retired.c.place, retired.c.sha256).where(
                retired.c.place.in_(places[start : start + _BATCH_ROWS])
            )
            held |= {place: Sha256(sha256) for place, sha256 in connection.execute(query)}
        return held


def _pending_row(project: NormalizedName, intents: Iterable[Pending]) -> dict[str, Any]:
    files = [[intent.place, intent.sha256, intent.withdraw] for intent in intents]
    return {"project": project, "files": json.dumps(files)}


def _values(row: Retirement) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in retired.columns}
