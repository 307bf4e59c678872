"""Control's own directory: what it remembers from one start to the next."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

Value = TypeVar("Value")

log = structlog.get_logger(__name__)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file that is seen whole or not at all, readable by its owner alone (``mkstemp`` makes it 0600)."""
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


class LastKnown(Generic[Value]):
    """
    The last good answer of the syncer: in memory, and on disk for control's next start.

    Args:
        path: where it is kept.
        parse: makes the value of an answer's bytes, or raises ValueError.
    """

    def __init__(self, path: Path, *, parse: Callable[[bytes], Value]) -> None:
        self._path = path
        self._parse = parse
        self._content = b""
        self._saved = b""
        self.value: Value | None = None
        try:
            self.learn(path.read_bytes())
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            log.warning("last known state not read", path=str(path), error=str(error))
        self._saved = self._content

    def learn(self, content: bytes) -> Value:
        """
        Keep an answer in memory and return what it says.

        Raises:
            ValueError: it says nothing that can be understood; what was known stays.
        """
        self.value = self._parse(content)
        self._content = content
        return self.value

    def save(self) -> None:
        """
        Write what is known to disk, if it is news.

        Raises:
            OSError: it can't be written.
        """
        if self._content != self._saved:
            content = self._content
            replace_file(self._path, content)
            self._saved = content
