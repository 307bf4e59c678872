"""The writing of a file that people keep: all of it or nothing."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from mirror_syncer.errors import ConfigurationError

_MODE = 0o644


def save_file(content: bytes, path: Path, *, replace: bool, mode: int = _MODE, remedy: str = "") -> None:
    """
    Write a file.

    Args:
        replace: replace a file that exists.
        remedy: what to do if the directory cannot be written.

    Raises:
        ConfigurationError: the file exists and ``replace`` is False, or it cannot be written.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(descriptor)
            temporary.chmod(mode)
            if replace:
                temporary.replace(path)
            else:
                path.hardlink_to(temporary)  # unlike a rename it fails if the file exists
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
    except FileExistsError as error:
        raise ConfigurationError(str(path), ["exists; use --force to replace it"]) from error
    except OSError as error:
        message = f"cannot be written ({error.strerror})"
        raise ConfigurationError(str(path), [f"{message}; {remedy}" if remedy else message]) from error
