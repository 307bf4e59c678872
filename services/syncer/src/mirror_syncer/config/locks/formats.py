"""The formats of locks, recognized by their content: ``locks/web.lock`` may be uv's or Poetry's."""

import codecs
import re

from mirror_syncer.config.locks.collector import Reading
from mirror_syncer.config.locks.pipfile_lock import read_pipfile_lock
from mirror_syncer.config.locks.poetry_lock import is_pdm_lock, is_poetry_lock, read_pdm_lock, read_poetry_lock
from mirror_syncer.config.locks.problem import WRONG_FILE, LockError
from mirror_syncer.config.locks.pylock import is_pylock, read_pylock
from mirror_syncer.config.locks.requirements import Include, read_requirements
from mirror_syncer.config.locks.toml_lock import TomlLock
from mirror_syncer.config.locks.uv_lock import is_uv_lock, read_uv_lock

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # Windows PowerShell writes it for pip freeze > requirements.txt
_MAX_LINES = 1_000_000  # uv.lock has 30 for a usual package
_COMMENTS = re.compile(r"(?:[ \t\r]*(?:#[^\n]*)?\n)*+")
# A table or KEY = VALUE, and not NAME==VERSION.
_TOML = re.compile(r"[ \t]*(?:\[|[A-Za-z0-9_\"'][\w.\"'-]*[ \t]*=(?!=))")
_READERS = (
    (is_pylock, read_pylock),
    (is_poetry_lock, read_poetry_lock),
    (is_pdm_lock, read_pdm_lock),
    (is_uv_lock, read_uv_lock),
)


def decode(file: str, content: bytes) -> str:
    """
    Return a lock's text.

    Raises:
        LockError: it is not a text, or an empty one.
    """
    encoding = "utf-16" if content.startswith(_UTF16) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise LockError(file, "is not UTF-8; save the file as UTF-8", line=line) from error
    if "\0" in text:
        raise LockError(file, f"is a binary file; {WRONG_FILE}")
    if text.count("\n") > _MAX_LINES:
        raise LockError(file, f"has more than {_MAX_LINES:,} lines; {WRONG_FILE}")
    if not text.strip():
        raise LockError(file, "is empty; copy it again, or remove it if it should pin nothing")
    return text


def read_lock(file: str, text: str, *, include: Include) -> Reading:
    """
    Return what a lock says.

    Args:
        file: its name, as messages show it.
        include: returns the text of a file that a requirements file includes.

    Raises:
        LockError: it cannot be used.
    """
    if text.lstrip().startswith("{"):
        return read_pipfile_lock(file, text)
    if not is_toml(text):
        return read_requirements(file, text, include=include)
    lock = TomlLock(file, text)
    for recognizes, read in _READERS:
        if recognizes(lock):
            return read(lock)
    message = "is TOML, but not a lock that this mirror reads: uv.lock, poetry.lock, pdm.lock or pylock.toml"
    raise LockError(file, f"{message}; {WRONG_FILE}")


def is_toml(text: str) -> bool:
    """Return whether a text begins like TOML: with a table or a key, after comments."""
    start = _COMMENTS.match(text)
    return _TOML.match(text, start.end() if start else 0) is not None
