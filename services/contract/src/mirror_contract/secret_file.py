"""Files that hold one secret, as compose mounts them. No message or log line repeats their content."""

import os
import stat
from codecs import BOM_UTF8
from pathlib import Path

MIN_SECRET_BYTES = 16
MAX_SECRET_BYTES = 4096


class SecretFileError(Exception):
    """A secret file is unusable; the message names the file and the remedy."""


def read_secret_file(path: Path, *, min_bytes: int = MIN_SECRET_BYTES) -> bytes:
    """
    Return the secret in a file, without surrounding white space and byte order mark (Notepad and PowerShell write one).

    Args:
        min_bytes: less than the default for a password that another program's administrator chose.

    Raises:
        SecretFileError: the file cannot be read, is empty, or holds fewer or more than 4,096 bytes.
    """
    try:
        with path.open("rb") as file:
            secret = file.read(MAX_SECRET_BYTES + 1 + len(BOM_UTF8)).removeprefix(BOM_UTF8).strip()
    except OSError as error:
        raise SecretFileError(f"{path}: {error.strerror}; it must be readable by uid {os.geteuid()}") from error
    if not secret:
        raise SecretFileError(f"{path} is empty: write a secret into it (openssl rand -hex 32)")
    if not min_bytes <= len(secret) <= MAX_SECRET_BYTES:
        raise SecretFileError(f"{path}: a secret has {min_bytes} to {MAX_SECRET_BYTES} characters")
    return secret


def is_dev_null(path: Path) -> bool:
    """Return whether a path is ``/dev/null`` under any name; compose mounts it for an unset secret."""
    try:
        found, null = path.stat(), Path(os.devnull).stat()
    except OSError:
        return False
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == null.st_rdev
