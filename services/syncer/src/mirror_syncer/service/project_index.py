"""
An index of all projects in memory: a search in their names, and their order by size, files and last change.

All names stand in one text, shorter ones first, and ``find`` searches it; docs/performance.md has times and memory. The
index is a snapshot: it says which projects match and in which order, and their rows say everything else.
"""

import re
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import merge, nsmallest
from itertools import islice
from typing import NamedTuple

from packaging.utils import NormalizedName

from mirror_contract import ProjectSort, ProjectState
from mirror_syncer.catalog import ProjectFigures

# Up to as many matches are ranked one by one, in some 5 ms; of more, the list is walked until its part is full.
_MAX_RANKED = 5_000
# A sort of 886,000 numbers at once would hold the GIL for 0.7 s.
_SORTED_AT_ONCE = 50_000
_STATES = list(ProjectState)

PLACE = re.compile(r"(?:(\d{1,19})/)?([a-z0-9](?:-?[a-z0-9])*)", re.ASCII)
"""A place in a list, as ``next`` gives it: the value that the list is sorted by, if it is a number, and the name."""


class Hit(NamedTuple):
    """A project that matches."""

    name: NormalizedName
    place: str


@dataclass(frozen=True, slots=True)
class Hits:
    """A part of the projects that match."""

    hits: list[Hit]
    total: int | None
    """How many match; None if more than ``_MAX_RANKED`` may."""
    more: bool
    """Whether others come after these."""


@dataclass(slots=True)
class _Column:
    """The projects whose names have one length."""

    text: bytearray = field(default_factory=bytearray)
    states: bytearray = field(default_factory=bytearray)
    files: "array[int]" = field(default_factory=lambda: array("I"))
    sizes: "array[int]" = field(default_factory=lambda: array("Q"))
    changes: "array[int]" = field(default_factory=lambda: array("Q"))


class ProjectIndex:
    """
    A snapshot of all projects. A project's number is its place by length of the name, then by name.

    Args:
        projects: the figures of all projects, by name.
    """

    def __init__(self, projects: Iterable[ProjectFigures]) -> None:
        columns = defaultdict[int, _Column](_Column)
        lengths = array("H")
        letters = {state.value: number for number, state in enumerate(_STATES)}
        for name, state, files, size, changed in projects:
            length = len(name)
            lengths.append(length)
            column = columns[length]
            column.text += name.encode()
            column.text += b"\n"
            column.states.append(letters[state])
            column.files.append(files)
            column.sizes.append(max(size, 0))
            column.changes.append(max(changed or 0, 0))
        self._lengths = sorted(columns)
        ordered = [columns[length] for length in self._lengths]
        self._text = b"\n" + b"".join(column.text for column in ordered)
        self._states = b"".join(column.states for column in ordered)
        # Of the first name of each length: its number, and its place in the text.
        self._first_numbers, self._first_places = list[int](), list[int]()
        number, place = 0, 1
        for column in ordered:
            self._first_numbers.append(number)
            self._first_places.append(place)
            number += len(column.states)
            place += len(column.text)
        self._values = {
            ProjectSort.SIZE: _joined("Q", (column.sizes for column in ordered)),
            ProjectSort.FILES: _joined("I", (column.files for column in ordered)),
            ProjectSort.CHANGED: _joined("Q", (column.changes for column in ordered)),
        }
        del columns, ordered
        self._orders = {sort: _descending(values) for sort, values in self._values.items()}
        self._orders[ProjectSort.NAME] = self._by_name(lengths)

    def __len__(self) -> int:
        return len(self._states)

    def find(
        self,
        text: str = "",
        *,
        states: Iterable[ProjectState] = (),
        sort: ProjectSort,
        after: str | None = None,
        limit: int,
    ) -> Hits:
        """
        Return a part of the projects whose names contain a text.

        Args:
            text: as ``canonicalize_name`` spells it.
            states: only these; empty: all.
            after: the place of the last project of the part before.
        """
        sort = ProjectSort.NAME if sort is ProjectSort.MATCH and not text else sort
        search = _Search(self, text.encode(), frozenset(map(_STATES.index, states)))
        found, total = search.candidates()
        if found is None:
            numbers = search.walk(sort, after)
        else:
            key = search.key(sort)
            start = None if after is None else search.key_after(sort, after)
            rest = found if start is None else [number for number in found if key(number) > start]
            numbers = iter(nsmallest(limit + 1, rest, key=key))
        part = list(islice(numbers, limit + 1))
        hits = [Hit(NormalizedName(self.name(number).decode()), self._place(sort, number)) for number in part[:limit]]
        return Hits(hits, total, more=len(part) > limit)

    def name(self, number: int) -> bytes:
        """Return the name of a project."""
        group = bisect_right(self._first_numbers, number) - 1
        length = self._lengths[group]
        start = self._first_places[group] + (number - self._first_numbers[group]) * (length + 1)
        return self._text[start : start + length]

    def number_after(self, name: bytes) -> int:
        """Return the number of the first project that comes after a name, which need not be there."""
        return bisect_right(range(len(self)), (len(name), name), key=lambda other: (len(n := self.name(other)), n))

    def order(self, sort: ProjectSort) -> "array[int]":
        """Return the numbers of all projects in an order."""
        return self._orders[sort]

    def value(self, sort: ProjectSort, number: int) -> int:
        """Return what a project is sorted by."""
        return self._values[sort][number]

    def count(self, states: Iterable[int]) -> int:
        """Return how many projects are in these states."""
        return sum(self._states.count(state) for state in states)

    def is_in(self, states: frozenset[int], number: int) -> bool:
        """Return whether a project is in one of these states; none means any."""
        return not states or self._states[number] in states

    def with_state(self, states: Iterable[int]) -> Iterator[int]:
        """Yield the numbers of the projects in these states."""
        members = b"".join(re.escape(bytes((state,))) for state in states)
        return (match.start() for match in re.finditer(b"[" + members + b"]", self._states))

    def containing(self, pattern: bytes, *, start: int = 0) -> Iterator[int]:
        """
        Yield the numbers, from one on, of the projects whose names contain a pattern, each once.

        Args:
            pattern: may begin with the line feed that stands before each name, or end with the one after it.
        """
        if start >= len(self):
            return
        text, offset = self._text, pattern.startswith(b"\n")
        place = self._place_of(start) - 1
        while (place := text.find(pattern, place)) >= 0:
            group = bisect_right(self._first_places, place + offset) - 1
            first, step = self._first_places[group], self._lengths[group] + 1
            of_group = (place + offset - first) // step
            yield self._first_numbers[group] + of_group
            place = first + (of_group + 1) * step - 1  # the line feed after this name

    def _place_of(self, number: int) -> int:
        group = bisect_right(self._first_numbers, number) - 1
        return self._first_places[group] + (number - self._first_numbers[group]) * (self._lengths[group] + 1)

    def _place(self, sort: ProjectSort, number: int) -> str:
        name = self.name(number).decode()
        return f"{self._values[sort][number]}/{name}" if sort in self._values else name

    def _by_name(self, lengths: Iterable[int]) -> "array[int]":
        """Return the numbers of all projects by name, from the lengths of the names in this order."""
        following = dict(zip(self._lengths, self._first_numbers, strict=True))
        order = array("I")
        for length in lengths:
            order.append(following[length])
            following[length] += 1
        return order


class _Search:
    """A search in an index."""

    def __init__(self, index: ProjectIndex, needle: bytes, states: frozenset[int]) -> None:
        self._index = index
        self._needle = needle
        self._word = b"-" + needle
        self._states = states

    def candidates(self) -> tuple[list[int] | None, int | None]:
        """Return the projects that match, and their number; None instead of projects if there are many."""
        index, states = self._index, self._states
        of_states = index.count(states) if states else len(index)
        if not self._needle:
            return (None if of_states > _MAX_RANKED else self._in_states(), of_states)
        if of_states <= _MAX_RANKED:
            few = [number for number in self._in_states() if self._needle in index.name(number)]
            return few, len(few)
        found = list(islice(index.containing(self._needle), _MAX_RANKED + 1))
        if len(found) > _MAX_RANKED:
            return None, None
        found = [number for number in found if index.is_in(states, number)]
        return found, len(found)

    def walk(self, sort: ProjectSort, after: str | None) -> Iterator[int]:
        """Yield the projects that match, in an order, and none that comes before a place."""
        numbers = self._walk_matches(after) if sort is ProjectSort.MATCH else self._walk_order(sort, after)
        return (number for number in numbers if self._index.is_in(self._states, number))

    def key(self, sort: ProjectSort) -> "Callable[[int], tuple[int | bytes, int]]":
        """Return the key by which an order sorts projects."""
        index = self._index
        if sort is ProjectSort.MATCH:
            return lambda number: (self._rank(index.name(number)), number)
        if sort is ProjectSort.NAME:
            return lambda number: (index.name(number), 0)
        return lambda number: (-index.value(sort, number), number)

    def key_after(self, sort: ProjectSort, after: str) -> tuple[int | bytes, int]:
        """Return the key of a place, or the greatest one before the next project, if its project has gone."""
        value, name = _parse_place(after)
        if sort is ProjectSort.NAME:
            return name, 0
        last = self._index.number_after(name) - 1
        return (self._rank(name) if sort is ProjectSort.MATCH else -value), last

    def _in_states(self) -> list[int]:
        return list(self._index.with_state(self._states) if self._states else range(len(self._index)))

    def _rank(self, name: bytes) -> int:
        """Return how well a name matches: 0 exactly, 1 at its beginning, 2 at the beginning of a word, 3 inside."""
        if name.startswith(self._needle):
            return int(len(name) > len(self._needle))
        return 2 if self._word in name else 3

    def _walk_matches(self, after: str | None) -> Iterator[int]:
        index, needle = self._index, self._needle
        name = b"" if after is None else _parse_place(after)[1]
        rank_after = -1 if after is None else self._rank(name)
        first = max(rank_after, 3 if needle.startswith(b"-") else 0)  # no word begins with a dash
        for rank, pattern in enumerate((b"\n" + needle + b"\n", b"\n" + needle, self._word, needle)):
            if rank >= first:
                start = index.number_after(name) if rank == rank_after else 0
                found = index.containing(pattern, start=start)
                yield from (number for number in found if self._rank(index.name(number)) == rank)

    def _walk_order(self, sort: ProjectSort, after: str | None) -> Iterator[int]:
        index, order, start = self._index, self._index.order(sort), 0
        if after is not None:
            start = bisect_right(order, self.key_after(sort, after), key=self.key(sort))
        following = (order[place] for place in range(start, len(order)))
        return (number for number in following if self._needle in index.name(number))


def _parse_place(text: str) -> tuple[int, bytes]:
    found = PLACE.fullmatch(text)
    assert found, text
    return int(found[1] or 0), found[2].encode()


def _joined(code: str, columns: "Iterable[array[int]]") -> "array[int]":
    values = array(code)
    for column in columns:
        values.extend(column)
    return values


def _descending(values: "array[int]") -> "array[int]":
    """Return the numbers of the projects with the greatest value first; of equal ones, in their order."""

    def key(number: int) -> int:
        return -values[number]

    parts = (
        sorted(range(start, min(start + _SORTED_AT_ONCE, len(values))), key=key)
        for start in range(0, len(values), _SORTED_AT_ONCE)
    )
    return array("I", merge(*parts, key=key))
