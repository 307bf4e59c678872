"""The imported file, and the files that it includes: read with a bound."""

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from mirror_syncer.config.locks.formats import decode
from mirror_syncer.config.locks.lock_file import MAX_BYTES
from mirror_syncer.config.locks.problem import WRONG_FILE, LockError
from mirror_syncer.errors import ConfigurationError

STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file and its text."""

    name: str
    """As messages show it."""
    content: bytes
    text: str
    path: Path | None
    """None: standard input."""


def read_input(path: Path) -> InputFile:
    """
    Read a file, or standard input for ``-``.

    Raises:
        ConfigurationError: it cannot be read, is no text, or is too large.
    """
    if str(path) == STANDARD_INPUT:
        return _file("standard input", sys.stdin.buffer.read(MAX_BYTES + 1), None)
    try:
        with path.open("rb") as opened:
            return _file(path.name, opened.read(MAX_BYTES + 1), path)
    except OSError as error:
        remedy = "; in a container, mount it or use standard input (-)" if isinstance(error, FileNotFoundError) else ""
        raise ConfigurationError(str(path), [f"cannot be read ({error.strerror}){remedy}"]) from error


def read_included(path: Path, *, name: str) -> InputFile:
    """
    Read a file that another one includes; only a regular one, since a FIFO could block for ever.

    Raises:
        ConfigurationError: it cannot be read, is no text, or is too large.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as opened:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ConfigurationError(name, ["is not a regular file"])
            return _file(name, opened.read(MAX_BYTES + 1), path)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(name, [f"cannot be read ({getattr(error, 'strerror', error)})"]) from error


def _file(name: str, content: bytes, path: Path | None) -> InputFile:
    if len(content) > MAX_BYTES:
        raise ConfigurationError(name, [f"has more than {MAX_BYTES // 2**20} MiB; is it the right file?"])
    try:
        return InputFile(name, content, decode(name, content), path)
    except LockError as error:
        raise unusable(error) from error


def unusable(error: LockError) -> ConfigurationError:
    """Return the error about a file from that of the readers of locks, whose remedies are for files in place."""
    problem = error.problem
    message = problem.message.removesuffix(f"; {WRONG_FILE}")
    return ConfigurationError(problem.file, [message if problem.line is None else f"line {problem.line}: {message}"])
