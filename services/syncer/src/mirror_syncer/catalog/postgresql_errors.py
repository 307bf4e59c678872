"""Errors of PostgreSQL and of the way there, translated into messages with a remedy."""

import psycopg
import sqlalchemy as sa
from psycopg.errors import ReadOnlySqlTransaction

from mirror_syncer.errors import CatalogRefusedError, StateError

_AWAY = ("08", "57P", "25P03")
"""SQLSTATEs of a connection that ended: failed, shut down, idle for too long."""
_REFUSALS = {
    "password authentication failed": "correct the password in MIRROR_CATALOG_PASSWORD_FILE, or set it anew in the "
    "database: ALTER ROLE … PASSWORD",
    "no password supplied": "write the role's password into a file, and name it in MIRROR_CATALOG_PASSWORD_FILE",
    "no pg_hba.conf entry": "allow this host, role and database in the server's pg_hba.conf",
    "role ": "create the role (CREATE ROLE … LOGIN), or correct the user in MIRROR_CATALOG",
    "database ": "create the database (CREATE DATABASE … OWNER …), or correct its name in MIRROR_CATALOG",
}
_REMEDIES = {
    "53100": "free space on the disk of the database server",
    "25006": "the server is a standby or read-only: point MIRROR_CATALOG to the primary",
    "42501": "make the role the owner of the database: ALTER DATABASE … OWNER TO …",
    "53200": "give the database server more memory",
    "53300": "raise max_connections of the database server, or end other sessions",
    "58030": "check the log and the disk of the database server",
    "XX001": "check the log and the disk of the database server, and restore a backup",
    "XX002": "check the disk of the database server, and rebuild its indexes: REINDEX DATABASE",
}


def explain_error(context: sa.ExceptionContext) -> None:
    """Translate an error of a statement or connection; a listener for SQLAlchemy's ``handle_error``."""
    error = context.original_exception
    if isinstance(error, ReadOnlySqlTransaction):
        context.is_disconnect = True  # after a failover, the next connection may reach the new primary
    if isinstance(error, psycopg.Error):
        explain(error)


def explain(error: psycopg.Error) -> None:
    """
    Translate an error of the server or of the way there.

    Raises:
        CatalogRefusedError: the server refuses this user or database.
        StateError: the server is away, full or read-only. Errors of one row or of the schema pass unchanged.
    """
    reason = " ".join(str(error).split()).removeprefix("connection failed: ")[:300]
    if remedy := refusal(error):
        raise CatalogRefusedError(f"the catalog's database refuses the connection: {reason}; {remedy}") from error
    if remedy := _REMEDIES.get(error.sqlstate or ""):
        raise StateError(f"the catalog cannot be written: {reason}; {remedy}") from error
    if _is_away(error):
        remedy = "check that PostgreSQL runs, and that this host reaches it (MIRROR_CATALOG)"
        raise StateError(f"the catalog's database does not answer: {reason}; {remedy}") from error


def refusal(error: psycopg.Error) -> str | None:
    """Return the remedy for a refused connection; libpq gives no SQLSTATE for it."""
    if error.sqlstate is not None or not isinstance(error, psycopg.OperationalError):
        return None
    text = str(error)
    for words, remedy in _REFUSALS.items():
        unknown = f"FATAL:  {words}" in text and "does not exist" in text
        if unknown or (not words.endswith(" ") and words in text):
            return remedy
    return None


def _is_away(error: psycopg.Error) -> bool:
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate.startswith(_AWAY)
