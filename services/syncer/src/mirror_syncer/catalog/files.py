"""Files between two states: about to be published or dropped, and retired."""

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

from mirror_syncer.catalog.generations import confirm
from mirror_syncer.catalog.schema import pending, retired
from mirror_syncer.catalog.upsert import upsert
from mirror_syncer.model.generation import Generation
from mirror_syncer.model.names import PackagePath, Sha256
from mirror_syncer.model.project import Pending, Retirement

_BATCH_ROWS = 400


@dataclass(frozen=True, slots=True)
class WaitingFiles:
    """Files that no page names any more, and that wait for the end of their grace."""

    files: int
    bytes: int
    first_at: int
    """When the first leaves."""
    last_at: int


class Files:
    """
    The pending and the retired table.

    What is pending is also held in memory: this process alone writes it, and it is as much as is in hand.

    Attributes:
        guard: whoever writes here holds it from before its transaction until after it: SQLite has one writer at a time,
            and a second one would find out by sleeping.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self.guard = Lock()
        self._pending: dict[NormalizedName, dict[PackagePath, Pending]] | None = None
        self._owners: dict[PackagePath, NormalizedName] = {}
        self._any_retired = True
        """Whether a look into that table can find anything: in a first sync it cannot."""
        self._previously_retired: defaultdict[NormalizedName, set[PackagePath]] = defaultdict(set)
        """Of what is in hand, the places that the retired table has."""

    def claim(self, intents: Sequence[Pending]) -> set[PackagePath]:
        """
        Note what a publication, or a collection, is about to touch.

        Returns:
            The places among them that another project has in hand, or that held other content once. They may not be
            touched, and are not noted.
        """
        return self.claim_all([intents])[0]

    def claim_all(self, requests: Sequence[Sequence[Pending]]) -> list[set[PackagePath]]:
        """Note several such wishes in one transaction; the earlier has the place that two of them want."""
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

    def pending(self, project: NormalizedName | None = None) -> list[Pending]:
        """Return what publications that were broken off had in hand, by project; of one, where it is named."""
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
        """Forget what these projects had in hand, since it is done; plan what leaves. Then, committed: ``release``."""
        in_hand = self._load(connection)
        if rows := [{"of": project} for project in projects if project in in_hand]:
            connection.execute(pending.delete().where(pending.c.project == sa.bindparam("of")), rows)
        known = {place for project in projects for place in self._previously_retired.get(project, ())}
        if back := [{"of": place} for place in returned if place in known]:
            stays = retired.update().where(retired.c.place == sa.bindparam("of")).values(due_at=None)
            connection.execute(stays, back)
        leaving = [_values(retirement) for retirement in retirements]
        self._any_retired |= bool(leaving)
        upsert(connection, retired, leaving)

    def end_grace_of(self, connection: sa.Connection, projects: Sequence[NormalizedName]) -> None:
        """Let what is to leave of these projects some time leave now."""
        if projects:
            waits = retired.c.project.in_(projects), retired.c.due_at.is_not(None)
            connection.execute(retired.update().where(*waits).values(due_at=0))

    def apply_grace(self, seconds: int) -> None:
        """Let files that wait leave sooner, where this grace is shorter than the one that they were given."""
        due_at = retired.c.retired_at + seconds
        later = retired.c.due_at > due_at, ~retired.c.withdraw
        with self.guard, self._engine.begin() as connection:
            # Hardly ever there are such: a grace is seldom changed.
            if connection.scalar(sa.select(retired.c.place).where(*later).limit(1)) is not None:
                connection.execute(retired.update().where(*later).values(due_at=due_at))

    def end_grace(self) -> None:
        """Let all files that wait leave now."""
        now = int(time.time())
        with self.guard, self._engine.begin() as connection:
            connection.execute(retired.update().where(retired.c.due_at > now).values(due_at=now))

    def waiting_totals(self) -> WaitingFiles | None:
        """Return what waits to leave, or None where nothing does."""
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
        """Let others have what these projects had in hand."""
        for project in projects:
            self._previously_retired.pop(project, None)
            for place in (self._pending or {}).pop(project, ()):
                del self._owners[place]

    def due_projects(self, *, now: int) -> list[NormalizedName]:
        """Return the projects that have files whose time has come."""
        with self._engine.connect() as connection:
            query = sa.select(retired.c.project).where(retired.c.due_at <= now).distinct()
            return [NormalizedName(name) for name in connection.scalars(query)]

    def due(self, project: NormalizedName, *, now: int) -> list[Retirement]:
        """Return a project's files whose time has come."""
        query = sa.select(retired).where(retired.c.project == project, retired.c.due_at <= now)
        with self._engine.connect() as connection:
            return [Retirement(**found._mapping) for found in connection.execute(query)]  # noqa: SLF001 - documented

    def record_removal(
        self,
        project: NormalizedName,
        places: Sequence[PackagePath],
        *,
        staying: Sequence[PackagePath] = (),
        generation: Generation | None = None,
    ) -> None:
        """
        Note that files are gone which were in hand for a project; the rest of what it has in hand stays.

        Their rows stay, and keep their places for their content.

        Args:
            staying: were in hand, and are there as before; they are due as before.
            generation: of the tree that they left.
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
                gone = retired.update().where(retired.c.place == sa.bindparam("of")).values(due_at=None)
                connection.execute(gone, rows)

    def removed_places(self) -> Iterator[PackagePath]:
        """Yield the places of files that left, or that were to leave and are published again."""
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
        """Have what is at these places leave in the next collection, unless a page names it; return how many."""
        count, ahead = 0, iter(places)
        while some := list(islice(ahead, _BATCH_ROWS)):
            with self.guard, self._engine.begin() as connection:
                connection.execute(retired.update().where(retired.c.place.in_(some)).values(due_at=0))
            count += len(some)
        return count

    def forget(self, place: PackagePath, *, generation: Generation) -> None:
        """Forget what a place once held, so that it may hold anything else."""
        with self.guard, self._engine.begin() as connection:
            confirm(connection, generation)
            connection.execute(retired.delete().where(retired.c.place == place))

    def recorded_digests(self, places: Sequence[PackagePath]) -> dict[str, Sha256]:
        """Return what these places hold, or once held, though no page names it."""
        with self._engine.connect() as connection:
            return self._recorded_digests(connection, places)

    def known_places(self, directory: str) -> frozenset[str]:
        """Return the places of a directory, such as ``packages/ab/``, that are in hand or due to leave."""
        # A range, not LIKE: both databases answer it from the index.
        span = (retired.c.place >= directory, retired.c.place < f"{directory[:-1]}0", retired.c.due_at.is_not(None))
        with self.guard, self._engine.connect() as connection:
            self._load(connection)
            held = {place for place in self._owners if place.startswith(directory)}
            return frozenset(held | set(connection.scalars(sa.select(retired.c.place).where(*span))))

    def retire(self, orphans: Sequence[Retirement]) -> int:
        """
        Plan that files leave which nobody knew; what somebody has in hand by now stays.

        Returns:
            How many leave.
        """
        with self.guard, self._engine.begin() as connection:
            self._load(connection)
            held = self._recorded_digests(connection, [orphan.place for orphan in orphans])
            # What a place once held stays on record: no URL ever changes its bytes.
            leaving = [replace(o, sha256=held.get(o.place, o.sha256)) for o in orphans if o.place not in self._owners]
            self._any_retired |= bool(leaving)
            upsert(connection, retired, [_values(orphan) for orphan in leaving])
        return len(leaving)

    def _load(self, connection: sa.Connection) -> dict[NormalizedName, dict[PackagePath, Pending]]:
        """Return what is in hand; the first time as an earlier process left it."""
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
