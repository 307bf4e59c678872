"""What SQLite says of the disk that the catalog is on, as what a person can do about it."""

import os
import sqlite3

import sqlalchemy as sa

from mirror_syncer.errors import StateError

_REMEDIES = {
    sqlite3.SQLITE_FULL: "make room on the disk of MIRROR_STATE",
    sqlite3.SQLITE_IOERR: "look at the kernel's log, and at the disk of MIRROR_STATE: is it full, or ill?",
    sqlite3.SQLITE_READONLY: "mount the disk of MIRROR_STATE for writing, and let {user} write what is on it",
}


def explain_sqlite_error(context: sa.ExceptionContext) -> None:
    """
    Be told of an error by SQLAlchemy (its ``handle_error``), before who asked is.

    Raises:
        StateError: it is the disk's. What is wrong with one row, or a schema, goes on as it is.
    """
    error = context.original_exception
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the extended codes say which call it was
    if remedy := _REMEDIES.get(code):
        user = f"{os.getuid()}:{os.getgid()}"
        raise StateError(f"the catalog cannot be written: {error}; {remedy.format(user=user)}") from error
