"""Errors of the disk that holds the catalog, and what is kept beside it, as what a person can do about them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mirror_syncer.errors import MirrorError, StateError


@contextmanager
def explain_state_disk_errors(path: Path | str) -> Iterator[None]:
    """Raise ``StateError`` for an error of the system in a block, or in a function that this decorates."""
    try:
        yield
    except MirrorError:
        raise
    except OSError as error:
        remedy = "make room on, or mend, the disk of MIRROR_STATE"
        raise StateError(f"{path} cannot be written: {error.strerror}; {remedy}") from error
