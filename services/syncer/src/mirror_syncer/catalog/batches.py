"""Batches of rows and names for a statement: SQLite limits its parameters."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from packaging.utils import NormalizedName

T = TypeVar("T")
_BATCH_NAMES = 1_000

LISTED_BATCH_ROWS = 50_000
"""Rows of new projects in a transaction: 0.3 s on SQLite, so that publications need not wait longer."""

ListedRows = Sequence[tuple[NormalizedName, int]]
"""Names of projects, and their serials in upstream's list."""


def batched(names: Iterable[T]) -> Iterator[list[T]]:
    """Yield all names in lists of some."""
    left = iter(names)
    while some := list(islice(left, _BATCH_NAMES)):
        yield some
