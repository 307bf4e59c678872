"""
What upstream lists: names normalized, in parts that each fit into memory.

Parts go by a name's first two characters, whatever the order: PyPI sorts by its database's collation, in which
``0-core`` comes after ``090807``, and a merge of two orders would have to sort 890,000 names first. Each part is
compared by itself.
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
"""What a normalized name begins with, two characters, or one where it has no more; in the order of names."""

_MAX_PROJECTS = 5_000_000  # PyPI has 890,000
_MAX_UNCHECKED_NAME_CHARS = 100  # characters of a name that nobody need look at by itself
_MAX_FAULTS = 100
_MAX_HIGHEST_SERIALS = 100  # serials; more wrong ones than that are no exception, but the index's own way
# PEP 503 and 508 for all names of a block at once, a line each: a tenth of the time of one at a time.
_NORMAL = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\n)*")


class ListedProjects:
    """
    The projects of a list, with their serials; 0 for those that have none.

    Args:
        directory: where the parts lie, in a file without a name.
    """

    def __init__(self, directory: Path) -> None:
        self._file = TemporaryFile(dir=directory)  # noqa: SIM115 - closed by close
        self._places = {part: array("q") for part in PARTS}
        self.count = 0
        self.unnumbered = 0
        """How many have no serial."""
        self.highest: list[int] = []
        """The highest serials of projects, in descending order; the first hundred."""
        self.serials: ListSerials | None = None
        """What is believed of them, once that is judged."""
        self.faults: list[str] = []
        """Names that are none, or that two projects share; the first hundred."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def take(self, blocks: Iterable[Block]) -> None:
        """
        Take a whole list.

        Raises:
            InvalidPageError: it is none, as told by what iterates; or it names no project, or more than there can be.
        """
        for names, serials in blocks:
            good, theirs = self._normalize_names(names, serials)
            self.count += len(good)
            if self.count > _MAX_PROJECTS:
                raise InvalidPageError(f"the list names more than {_MAX_PROJECTS:,} projects")
            self._write(good, theirs)
        if not self.count:
            raise InvalidPageError("the list names no project at all")

    def judge(self, own: int | None) -> ListSerials:
        """Judge the serials of the whole list, whose own one this is; those that are not believed count as 0."""
        self.serials = judge_list(own, self.highest)
        if self.highest and self.highest[0] > self.serials.ceiling:
            self.unnumbered += sum(serial > self.serials.ceiling for serial in self.highest)
        return self.serials

    def parts(self) -> Iterator[tuple[str, dict[NormalizedName, int]]]:
        """Yield what names begin with, and the projects whose names do."""
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
        Return pairs of which some have a name that there was before: the highest serial is the project's.

        Said twice is no fault; two serials are.
        """
        more: dict[NormalizedName, int] = {}
        for said, serial in pairs:
            name = NormalizedName(said)
            before = more.get(name, part.get(name))
            if before and serial and before != serial:
                self._add_fault(
                    f"{name!r} is listed twice, with serials {before} and {serial}; the higher one is taken"
                )
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
