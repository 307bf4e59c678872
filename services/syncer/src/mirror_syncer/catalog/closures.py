"""The dependency closure in force: the table ``closure``, which has one row at most."""

import gzip
import zlib
from dataclasses import dataclass

import sqlalchemy as sa
import structlog

from mirror_syncer.catalog.closure_document import FORMAT, decode_closure, encode_closure
from mirror_syncer.catalog.schema import closure
from mirror_syncer.config.policy.closure import NO_CLOSURE, Closure

log = structlog.get_logger()

_COMPRESSION = 6


@dataclass(frozen=True, slots=True)
class StoredClosure:
    """A closure, and what it was computed from."""

    closure: Closure
    policy_digest: str
    """``PolicySource.digest`` of the policy."""
    pages_digest: str
    """A digest of the pages that were read: with another one, the closure may be another, too."""
    computed_at: int
    """Seconds since the epoch."""


class Closures:
    """The stored closure."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def get(self) -> StoredClosure | None:
        """Return the closure in force; None if there is none, or only one that this version cannot read."""
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(closure)).mappings().first()
        if found is None:
            return None
        if found["format"] != FORMAT:
            log.info("the dependency closure of another version is computed again", format=found["format"])
            return None
        try:
            read = decode_closure(gzip.decompress(found["document"]))
        except (ValueError, TypeError, OSError, EOFError, zlib.error) as error:
            log.warning("the stored dependency closure is damaged; it is computed again", reason=_shown(error))
            return None
        return StoredClosure(read, found["policy_digest"], found["pages_digest"], found["computed_at"])

    def in_force(self) -> Closure:
        """Return the closure in force; ``NO_CLOSURE`` if nothing is known yet."""
        stored = self.get()
        return NO_CLOSURE if stored is None else stored.closure

    def resolved_at(self) -> int | None:
        """Return when the closure in force was computed, in seconds since the epoch; None: there is none."""
        query = sa.select(closure.c.computed_at)  # without the document, which may have megabytes
        with self._engine.connect() as connection:
            found: int | None = connection.scalar(query)
        return found

    def store(self, stored: StoredClosure) -> None:
        """Put a closure in place of the last one."""
        document = gzip.compress(encode_closure(stored.closure), compresslevel=_COMPRESSION, mtime=0)
        values = {
            "format": FORMAT,
            "policy_digest": stored.policy_digest,
            "pages_digest": stored.pages_digest,
            "computed_at": stored.computed_at,
            "document": document,
        }
        with self._engine.begin() as connection:
            connection.execute(closure.delete())
            connection.execute(closure.insert().values(values))


def _shown(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
