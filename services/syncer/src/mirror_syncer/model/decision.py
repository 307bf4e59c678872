"""What the mirror does with each file of a project, and why."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from mirror_contract import Choice
from mirror_syncer.model.names import Filename
from mirror_syncer.model.page import File, Page, Refusal

Reasoned = tuple[File, str]
"""A file, and why it was decided about in this way."""


class Hold(NamedTuple):
    """A file that is not published before a given time."""

    file: File
    until: int | None
    """Seconds since the epoch; None: until mirror.toml changes."""
    reason: str


class FileDecision(NamedTuple):
    """What the mirror does with one file."""

    filename: str
    choice: Choice
    reason: str
    file: File | None = None
    """None of an entry that is invalid."""
    until: int | None = None

    @property
    def size(self) -> int | None:
        """The file's bytes, as far as they are known."""
        return None if self.file is None else self.file.size


class Decision(msgspec.Struct, frozen=True):
    """
    What the mirror does with a project's files.

    It holds files as upstream's page or ours names them, and makes no object for a file that is kept: PyPI has 20.8 M.
    """

    page: Page
    """The page to publish, apart from its files."""
    keep: tuple[File, ...] = ()
    """Files that upstream names and the policy wants, in the page's order."""
    kept_because: str = ""
    reasons: Mapping[Filename, str] = msgspec.field(default_factory=dict)
    """Why single files are kept, if it is for another reason."""
    missing: tuple[File, ...] = ()
    """Of these, the ones that are not published with this content, or are damaged: they are downloaded."""
    hold: tuple[Hold, ...] = ()
    """Files that wait. Nobody may download them, even if they were published before."""
    blocked: tuple[Reasoned, ...] = ()
    """Files that mirror.toml or an advisory blocks. Nobody may download them, even if they were published before."""
    drop: tuple[Reasoned, ...] = ()
    """Files that upstream names, and that are neither published nor wanted."""
    lost: tuple[Reasoned, ...] = ()
    """
    Published files that upstream no longer has, or all files of a page that ``mirror.toml`` would empty.

    They stay published until the deletion guard allows their removal.
    """
    emptied: bool = False
    """They are all that the page has, and ``mirror.toml`` selects none of them."""
    leaving: tuple[Reasoned, ...] = ()
    """Published files that are removed from the page."""
    refused: tuple[Refusal, ...] = ()
    """Invalid entries of upstream's page; each counts as a file that failed."""
    waits: bool = False
    """Some of the files that are left out are wanted once the closure has followed what they require."""
    is_provisional: bool = False
    """It is to be made again: some files come, or leave, once the sync has published what they, or others, require."""
    left_out: int = 0
    """How many of upstream's files the policy holds, blocks or leaves out, published before or not."""
    expires_at: int | None = None
    """When time alone changes the decision; seconds since the epoch."""
    warnings: tuple[str, ...] = ()
    """Lines of mirror.toml that match nothing while another line does."""
    problem: str | None = None
    """Why nothing of this is applied: what is published stays as it is."""
    outdated: str | None = None
    """Why upstream's page is not taken as it is: it is older than the last one. What it restricts is applied."""

    @property
    def served(self) -> tuple[File, ...]:
        """The files that the page names from now on."""
        return (*self.keep, *(file for file, _ in self.lost)) if self.lost else self.keep

    @property
    def withheld(self) -> Iterator[File]:
        """Yield the held and blocked files: nobody may download them."""
        yield from (hold.file for hold in self.hold)
        yield from (file for file, _ in self.blocked)

    @property
    def files(self) -> Iterator[FileDecision]:
        """Yield the decision of every file, one for each name and content; what was refused comes last."""
        for file in self.keep:
            yield FileDecision(file.filename, Choice.KEEP, self.reasons.get(file.filename, self.kept_because), file)
        for choice, reasoned in (
            (Choice.LOST, self.lost),
            (Choice.LEAVING, self.leaving),
            (Choice.BLOCK, self.blocked),
            (Choice.DROP, self.drop),
        ):
            for file, reason in reasoned:
                yield FileDecision(file.filename, choice, reason, file)
        for held in self.hold:
            yield FileDecision(held.file.filename, Choice.HOLD, held.reason, held.file, held.until)
        for refusal in self.refused:
            yield FileDecision(refusal.filename, Choice.DROP, f"upstream's entry is invalid: {refusal.reason}")
