"""The numbering of all changes, in both tree and catalog, which reveals an older copy of either."""

import secrets
from enum import StrEnum
from threading import Lock

from mirror_syncer.catalog import Catalog
from mirror_syncer.model.generation import Generation
from mirror_syncer.volume import AnyVolume


class Mismatch(StrEnum):
    """How tree and catalog differ."""

    OLDER_TREE = "the tree is older than the catalog"
    OLDER_CATALOG = "the catalog is older than the tree"
    OTHER_HISTORY = "tree and catalog have different histories"


class Generations:
    """
    The source of generations; one object per process. Its methods block, and may be called in any thread.

    A new generation costs a small file and a row, but no fsync of its own: a group's ``sync`` covers both. If a power
    cut loses the newer of the two, pages are compared once without need.
    """

    def __init__(self, *, catalog: Catalog, volume: AnyVolume) -> None:
        self._catalog = catalog
        self._volume = volume
        self._epoch = secrets.token_hex(8)
        self._lock = Lock()
        self._shown: Generation | None = None
        """The generation that this process last wrote to the tree, or accepted."""
        self._last = self._begun = 0

    def mismatch(self) -> Mismatch | None:
        """Compare tree and catalog; return None if they match."""
        with self._lock:
            tree, (confirmed, begun) = self._volume.generation(), self._catalog.generations.read()
            if self._shown is not None and tree == self._shown:
                return None
            pending = confirmed.number < tree.number <= begun.number and tree.epoch == begun.epoch
            if self._shown is None and (tree == confirmed or pending):
                return None
            if tree.number < confirmed.number:
                return Mismatch.OLDER_TREE
            return Mismatch.OLDER_CATALOG if tree.number > begun.number else Mismatch.OTHER_HISTORY

    def accept(self, *, reconciled: bool) -> None:
        """
        Record that tree and catalog match, after recovery. It acts once per process, unless they were reconciled.

        Args:
            reconciled: they did not match before. A new generation starts, which no copy of either has.
        """
        with self._lock:
            if self._shown is not None and not reconciled:
                return
            tree, (_, begun) = self._volume.generation(), self._catalog.generations.read()
            if reconciled:
                self._last = max(tree.number, begun.number) + 1
                tree = Generation(self._last, self._epoch)
                self._volume.write_generation(tree)
                self._volume.sync()
            if reconciled or tree != begun:
                self._catalog.generations.accept(tree)
            self._last = self._begun = tree.number
            self._shown = tree

    def begin(self) -> None:
        """Announce a change in the catalog; the caller makes that durable before clients can see the change."""
        with self._lock:
            self._note(self._last + 1)

    def advance(self) -> Generation:
        """Number a change, write the number to the tree, and return it; the rows' transaction confirms it."""
        with self._lock:
            self._note(self._last + 1)
            generation = Generation(self._last + 1, self._epoch)
            self._volume.write_generation(generation)
            self._last, self._shown = generation.number, generation
            return generation

    def _note(self, number: int) -> None:
        if self._begun < number:
            self._catalog.generations.begin(Generation(number, self._epoch))
            self._begun = number
