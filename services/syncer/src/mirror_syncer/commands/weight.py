"""What a project weighs in a plan: the fates of its files, and their sums."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from enum import StrEnum
from typing import Self

from packaging.utils import NormalizedName

from mirror_syncer.config import Selection
from mirror_syncer.model.page import Page, ProjectStatus
from mirror_syncer.publish import PublishedPage


class Fate(StrEnum):
    """What a sync does with a file."""

    FETCH = "fetch"
    HAVE = "have"
    WITHHELD = "withheld"  # by the policy
    REFUSED = "refused"  # its entry breaks the specification
    LEAVES = "leaves"  # published, and not wanted any more


@dataclass(frozen=True, slots=True)
class WeighedFile:
    """One file, and why."""

    filename: str
    fate: Fate
    size: int | None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """A project's files, or many projects', in a few numbers."""

    fetch_files: int = 0
    fetch_bytes: int = 0
    """As far as sizes are known."""
    unknown_sizes: int = 0
    """Files to fetch whose size upstream's page does not tell; none counts as 0 bytes. # PEP 700: from 1.1 on"""
    have_files: int = 0
    withheld_files: int = 0
    refused_files: int = 0
    leaving_files: int = 0
    leaving_bytes: int = 0

    @classmethod
    def of(cls, files: Sequence[WeighedFile]) -> Self:
        """Return the sums of files."""
        fates = Counter(file.fate for file in files)
        fetched = [file.size for file in files if file.fate is Fate.FETCH]
        return cls(
            fetch_files=len(fetched),
            fetch_bytes=sum(size or 0 for size in fetched),
            unknown_sizes=fetched.count(None),
            have_files=fates[Fate.HAVE],
            withheld_files=fates[Fate.WITHHELD],
            refused_files=fates[Fate.REFUSED],
            leaving_files=fates[Fate.LEAVES],
            leaving_bytes=sum(file.size or 0 for file in files if file.fate is Fate.LEAVES),
        )

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*(ours + theirs for ours, theirs in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class Weight:
    """A project's part of a plan."""

    name: NormalizedName
    action: str
    reason: str
    sums: Sums | None = None
    """None: it was not weighed."""
    files: tuple[WeighedFile, ...] | None = None
    """Where they were asked for."""
    failed: bool = False
    """Upstream's page could not be had."""


def weigh_files(
    name: NormalizedName, selection: Selection, page: Page, published: PublishedPage | None
) -> tuple[WeighedFile, ...]:
    """Return every file of a page, and of the published one, with its fate."""
    # PEP 792: of a quarantined project nothing is offered
    quarantined = page.status is ProjectStatus.QUARANTINED
    wanted = {file.filename for file in selection.judge(name, () if quarantined else page.files).wanted}
    before = published.files if published else {}
    line = "its project is quarantined" if quarantined else f"mirror.toml: {_words(selection)}"
    files: list[WeighedFile] = []
    for file in page.files:
        there = before.get(file.filename)
        if file.filename not in wanted:
            files.append(WeighedFile(file.filename, Fate.LEAVES if there else Fate.WITHHELD, file.size, line))
        elif there is not None and there.sha256 == file.sha256:
            files.append(WeighedFile(file.filename, Fate.HAVE, there.size))
        else:
            files.append(WeighedFile(file.filename, Fate.FETCH, file.size))
    files += [WeighedFile(refused.filename, Fate.REFUSED, None, refused.reason) for refused in page.refused]
    if published is not None:
        files += gone_files(published, named=frozenset(file.filename for file in page.files))
    return tuple(files)


def gone_files(published: PublishedPage, *, named: frozenset[str] = frozenset()) -> Iterator[WeighedFile]:
    """Yield what is published, and not among the names that upstream's page still has."""
    for file in published.page.files:
        if file.filename not in named:
            yield WeighedFile(file.filename, Fate.LEAVES, file.size, "upstream has it no more")


def _words(selection: Selection) -> str:
    """Return the line that chooses a project's files."""
    newest = {rule.latest for rule in selection.rules if rule.latest is not None}
    return f"{selection.line!r}" + (f", latest = {max(newest)}" if newest else "")
