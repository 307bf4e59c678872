"""Disk errors of SQLite, translated into messages with a remedy."""

import os
import sqlite3

import sqlalchemy as sa

from mirror_syncer.errors import StateError

_REMEDIES = {
    sqlite3.SQLITE_FULL: "free space on the disk of MIRROR_STATE",
    sqlite3.SQLITE_IOERR: "check the kernel log, and whether the disk of MIRROR_STATE is full or failing",
    sqlite3.SQLITE_READONLY: "mount the disk of MIRROR_STATE read-write, and give {user} write permission",
}


def explain_sqlite_error(context: sa.ExceptionContext) -> None:
    """
    Translate a disk error of SQLite; a listener for SQLAlchemy's ``handle_error``.

    Raises:
        StateError: it is a disk error. Errors of one row or of the schema pass unchanged.
    """
    error = context.original_exception
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # extended codes add the failed call in the higher bits
    if remedy := _REMEDIES.get(code):
        user = f"{os.getuid()}:{os.getgid()}"
        raise StateError(f"the catalog cannot be written: {error}; {remedy.format(user=user)}") from error
