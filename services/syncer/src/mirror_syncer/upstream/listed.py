"""
The projects of upstream's list: normalized names, in parts that fit into memory.

A name's first two characters select its part. The list's own order is no help: PyPI sorts by its database's collation,
in which ``0-core`` comes after ``090807``, so that a merge would first have to sort 890,000 names. The parts are
compared one by one.
"""

import heapq
import re
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Self, cast

from packaging.utils import NormalizedName

from mirror_contract import parse_project_name
from mirror_syncer.errors import InvalidPageError
from mirror_syncer.model.serials import ListSerials, judge_list
from mirror_syncer.upstream.project_list import Block

_FIRST = "0123456789abcdefghijklmnopqrstuvwxyz"
PARTS = tuple(first + second for first in _FIRST for second in ("", "-", *_FIRST))
"""The possible beginnings of a normalized name (two characters, or one for a name of one), in the order of names."""

_MAX_PROJECTS = 5_000_000  # PyPI has 890,000
_MAX_UNCHECKED_NAME_CHARS = 100  # a block with a longer name is checked name by name
_MAX_FAULTS = 100
_MAX_HIGHEST_SERIALS = 100  # more wrong serials than that are no exception but the norm of this index
# PEP 503 and 508 for all names of a block at once, one per line: ten times as fast as one by one.
_NORMAL = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\n)*")


class ListedProjects:
    """
    The projects of a list, with their serials; 0 if a project has none.

    Args:
        directory: for the unnamed temporary file that holds the parts.
    """

    def __init__(self, directory: Path) -> None:
        self._file = TemporaryFile(dir=directory)  # noqa: SIM115 - closed by close
        self._places = {part: array("q") for part in PARTS}
        self.count = 0
        self.unnumbered = 0
        """Number of projects without a serial."""
        self.highest: list[int] = []
        """The highest hundred serials of projects, in descending order."""
        self.serials: ListSerials | None = None
        """The trusted range of serials, once ``judge`` has determined it."""
        self.faults: list[str] = []
        """Invalid names and names listed twice; the first hundred."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def take(self, blocks: Iterable[Block]) -> None:
        """
        Read a whole list.

        Raises:
            InvalidPageError: raised by the iteration, or the list is empty, or has over five million projects.
        """
        for names, serials in blocks:
            good, theirs = self._normalize_names(names, serials)
            self.count += len(good)
            if self.count > _MAX_PROJECTS:
                raise InvalidPageError(f"the project list has more than {_MAX_PROJECTS:,} projects")
            self._write(good, theirs)
        if not self.count:
            raise InvalidPageError("the project list is empty")

    def judge(self, own: int | None) -> ListSerials:
        """Determine which serials to trust, given the list's own; the others count as 0."""
        self.serials = judge_list(own, self.highest)
        if self.highest and self.highest[0] > self.serials.ceiling:
            self.unnumbered += sum(serial > self.serials.ceiling for serial in self.highest)
        return self.serials

    def parts(self) -> Iterator[tuple[str, dict[NormalizedName, int]]]:
        """Yield each beginning of names with the projects of that part."""
        for beginning, places in self._places.items():
            part: dict[NormalizedName, int] = {}
            for start, length, count in zip(places[::3], places[1::3], places[2::3], strict=True):
                self._file.seek(start)
                names = self._file.read(length).decode("ascii").split("\n")
                serials = self._zero_untrusted(array("q", self._file.read(count * 8)))
                more = cast("dict[NormalizedName, int]", dict(zip(names, serials, strict=True)))
                if len(more) < count or not part.keys().isdisjoint(more):
                    more = self._merge_duplicates(part, zip(names, serials, strict=True))
                part |= more
            yield beginning, part

    def _zero_untrusted(self, serials: "array[int]") -> "array[int]":
        ceiling = None if self.serials is None else self.serials.ceiling
        if ceiling is None or max(serials) <= ceiling:
            return serials
        return array("q", (serial if serial <= ceiling else 0 for serial in serials))

    def _write(self, names: list[str], serials: list[int]) -> None:
        firsts = [name[:2] for name in names]
        if firsts != sorted(firsts):
            order = sorted(range(len(names)), key=firsts.__getitem__)
            firsts = [firsts[place] for place in order]
            names, serials = [names[place] for place in order], [serials[place] for place in order]
        begin = 0
        while begin < len(names):
            end = bisect_right(firsts, firsts[begin], begin)
            text = "\n".join(names[begin:end]).encode("ascii")
            self._places[firsts[begin]].extend((self._file.tell(), len(text), end - begin))
            self._file.write(text)
            self._file.write(array("q", serials[begin:end]).tobytes())
            begin = end

    def _merge_duplicates(
        self, part: dict[NormalizedName, int], pairs: Iterable[tuple[str, int]]
    ) -> dict[NormalizedName, int]:
        """
        Merge repeated names, keeping the highest serial of each.

        A repeated name is no fault; two different serials are.
        """
        more: dict[NormalizedName, int] = {}
        for text, serial in pairs:
            name = NormalizedName(text)
            before = more.get(name, part.get(name))
            if before and serial and before != serial:
                self._add_fault(f"{name!r} is listed twice, with serials {before} and {serial}; using the higher one")
            more[name] = max(serial, before or 0)
        return more

    def _normalize_names(self, names: list[str], serials: list[int]) -> Block:
        self.unnumbered += serials.count(0)
        if serials and max(serials) > (self.highest[-1] if len(self.highest) == _MAX_HIGHEST_SERIALS else 0):
            self.highest = heapq.nlargest(_MAX_HIGHEST_SERIALS, [*self.highest, *filter(None, serials)])
        text = "\n".join([*names, ""])
        if text.isascii():
            # PEP 503's re.sub(r"[-_.]+", "-", name).lower()
            text = text.lower().replace("_", "-").replace(".", "-")
            while "--" in text:
                text = text.replace("--", "-")
            lines = text.split("\n")[:-1]
            if (
                len(lines) == len(names)
                and max(map(len, lines), default=0) <= _MAX_UNCHECKED_NAME_CHARS
                and _NORMAL.fullmatch(text)
            ):
                return lines, serials
        return self._normalize_singly(names, serials)

    def _normalize_singly(self, names: list[str], serials: list[int]) -> Block:
        good: list[str] = []
        theirs: list[int] = []
        for name, serial in zip(names, serials, strict=True):
            try:
                good.append(parse_project_name(name))
                theirs.append(serial)
            except ValueError as error:
                self._add_fault(str(error))
        return good, theirs

    def _add_fault(self, reason: str) -> None:
        if len(self.faults) < _MAX_FAULTS:
            self.faults.append(reason)
