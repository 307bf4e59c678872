"""Errors of the disk of MIRROR_STATE, translated into messages with a remedy."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mirror_syncer.errors import MirrorError, StateError


@contextmanager
def explain_state_disk_errors(path: Path | str) -> Iterator[None]:
    """Translate OS errors into ``StateError``, as a context manager or a decorator."""
    try:
        yield
    except MirrorError:
        raise
    except OSError as error:
        remedy = "free space on the disk of MIRROR_STATE, or repair it"
        raise StateError(f"{path} cannot be written: {error.strerror}; {remedy}") from error
