"""Batches of names for a query: SQLite limits its parameters."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
_BATCH_NAMES = 1_000


def batched(names: Iterable[T]) -> Iterator[list[T]]:
    """Yield all names in lists of some."""
    left = iter(names)
    while some := list(islice(left, _BATCH_NAMES)):
        yield some
