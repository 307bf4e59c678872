"""Control's state directory, which outlives a restart."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

Value = TypeVar("Value")

log = structlog.get_logger(__name__)


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file atomically; only its owner can read it (``mkstemp`` creates it with mode 0600)."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


class LastGoodAnswer(Generic[Value]):
    """
    The last good answer of the syncer, in memory and on disk for control's next start.

    Args:
        path: the file on disk.
        parse: converts an answer's bytes to the value, or raises ValueError.
    """

    def __init__(self, path: Path, *, parse: Callable[[bytes], Value]) -> None:
        self._path = path
        self._parse = parse
        self._content = b""
        self._saved = b""
        self.value: Value | None = None
        try:
            self.update(path.read_bytes())
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            log.warning("reading the last known state failed", path=str(path), error=str(error))
        self._saved = self._content

    def update(self, content: bytes) -> Value:
        """
        Store an answer in memory and return its value.

        Raises:
            ValueError: the answer is invalid; the previous one stays.
        """
        self.value = self._parse(content)
        self._content = content
        return self.value

    def save(self) -> None:
        """
        Write the answer to disk if it changed.

        Raises:
            OSError: the file can't be written.
        """
        if self._content != self._saved:
            content = self._content
            replace_file(self._path, content)
            self._saved = content
