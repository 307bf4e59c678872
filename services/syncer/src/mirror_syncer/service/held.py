"""The list of files that clients cannot download for now, as the published pages name them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from packaging.utils import NormalizedName
from pydantic import Field

from mirror_contract import Choice, HeldFile
from mirror_syncer.catalog import Catalog, WithheldKey
from mirror_syncer.errors import PathError
from mirror_syncer.model.page import HeldFile as PageEntry
from mirror_syncer.model.project import ProjectRow
from mirror_syncer.publish import read_held
from mirror_syncer.volume import AnyView

# For one call; of each page only ``_held`` is parsed.
_MAX_PAGES_READ = 200
_NEVER = 2**62
PLACE = re.compile(r"(\d{1,20})/([a-z0-9](?:-?[a-z0-9])*)/(\d{1,20})/([^/\x00-\x1f]{0,255})", re.ASCII)
"""A place in the list, as ``next`` gives it."""


class ListedFile(HeldFile):
    """A file with its place in the list."""

    place: str = Field(exclude=True)


@dataclass(frozen=True, slots=True)
class HeldPart:
    """A part of the list."""

    files: list[ListedFile]
    next: str | None
    """The place after which the next part begins; None at the end of the list."""


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    """A file's place in the list: by its project's next change, then by its own time."""

    expires_at: int
    project: str
    until: int
    filename: str

    @classmethod
    def of(cls, row: ProjectRow, entry: PageEntry) -> "_Place":
        until = _NEVER if entry.until is None else entry.until
        return cls(WithheldKey.of(row).expires_at, row.name, until, entry.filename)

    @classmethod
    def parse(cls, text: str) -> "_Place":
        found = PLACE.fullmatch(text)
        assert found, text
        return cls(min(int(found[1]), _NEVER), found[2], int(found[3]), found[4])  # the database has 64 bits

    def __str__(self) -> str:
        return f"{self.expires_at}/{self.project}/{self.until}/{self.filename}"


class HeldFiles:
    """Lists held and blocked files; its methods block for the catalog and the disk."""

    def __init__(self, catalog: Catalog, view: AnyView) -> None:
        self._catalog = catalog
        self._view = view

    def list_files(
        self,
        *,
        decisions: frozenset[Choice],
        project: NormalizedName | None = None,
        after: str | None = None,
        limit: int,
    ) -> HeldPart:
        """
        Return files in the order of their projects' next change, those of a project by their own time.

        Args:
            decisions: hold, block or both.
            project: list only its files.
            after: the place of the last file of the part before.
            limit: the most files to return; there may be fewer although the list goes on.
        """
        start = None if after is None else _Place.parse(after)
        rows = self._rows(decisions, project, start)
        found: list[ListedFile] = []
        for row in rows[:_MAX_PAGES_READ]:
            for entry in self._entries(row, decisions):
                place = _Place.of(row, entry)
                if start is not None and place <= start:
                    continue
                if len(found) == limit:
                    return HeldPart(found, found[-1].place)
                found.append(_file(row.name, entry, place))
        if len(rows) <= _MAX_PAGES_READ:
            return HeldPart(found, None)
        last = rows[_MAX_PAGES_READ - 1]
        return HeldPart(found, str(_Place(WithheldKey.of(last).expires_at, last.name, _NEVER + 1, "")))

    def _rows(
        self, decisions: frozenset[Choice], project: NormalizedName | None, start: _Place | None
    ) -> list[ProjectRow]:
        if project is not None:
            row = self._catalog.projects.get(project)
            return [] if row is None else [row]
        key = WithheldKey() if start is None else WithheldKey(start.expires_at, start.project)
        held, blocked = Choice.HOLD in decisions, Choice.BLOCK in decisions
        rows = self._catalog.withheld.page(held=held, blocked=blocked, start=key, limit=_MAX_PAGES_READ + 2)
        if rows and start is not None and start.until > _NEVER and WithheldKey.of(rows[0]) == key:
            del rows[0]  # the part before has all of it
        return rows

    def _entries(self, row: ProjectRow, decisions: frozenset[Choice]) -> Iterator[PageEntry]:
        if not (row.held_files or row.blocked_files):
            return
        try:
            entries = read_held(self._view, row.name)
        except PathError:
            return  # the next run stores the error in the project's row
        for entry in sorted(entries, key=lambda entry: _Place.of(row, entry)):
            if _choice(entry) in decisions:
                yield entry


def _choice(entry: PageEntry) -> Choice:
    return Choice.BLOCK if entry.blocked else Choice.HOLD


def _file(project: NormalizedName, entry: PageEntry, place: _Place) -> ListedFile:
    return ListedFile(
        place=str(place),
        project=project,
        filename=entry.filename,
        decision=_choice(entry),
        reason=entry.reason,
        until=None if entry.until is None else datetime.fromtimestamp(entry.until, UTC),
    )
