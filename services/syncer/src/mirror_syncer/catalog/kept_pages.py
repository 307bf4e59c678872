"""Upstream's pages as they came, of projects whose published page does not say all that upstream's does."""

import gzip
import hashlib
import zlib
from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from packaging.utils import NormalizedName

from mirror_syncer.catalog.backend import backend_of
from mirror_syncer.catalog.batches import batched
from mirror_syncer.catalog.schema import kept_page
from mirror_syncer.errors import InvalidPageError
from mirror_syncer.model.project import KeptPage

_FORGOTTEN = kept_page.delete().where(kept_page.c.name == sa.bindparam("of"))


class KeptPages:
    """The table of kept pages."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def get(self, name: NormalizedName) -> KeptPage | None:
        """
        Return the kept page of a project.

        Raises:
            InvalidPageError: it is damaged.
        """
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(kept_page).where(kept_page.c.name == name)).one_or_none()
        if found is None:
            return None
        try:
            body = gzip.decompress(found.body)
        except (OSError, EOFError, zlib.error) as error:
            raise InvalidPageError(
                f"upstream's page of {name}, as the catalog keeps it, is damaged: {error}; `sync --force` fetches it"
            ) from error
        return KeptPage(name=name, url=found.url, content_type=found.content_type, serial=found.serial, body=body)

    def digests(self, names: Iterable[NormalizedName]) -> dict[NormalizedName, str]:
        """Return the sha256 of each kept page of these projects; empty if an older version of the syncer kept it."""
        digests = dict[NormalizedName, str]()
        with self._engine.connect() as connection:
            index = backend_of(connection).KEPT_PAGE_INDEX
            query = sa.text(f"SELECT name, sha256 FROM kept_page {index} WHERE name IN :names")  # noqa: S608 - constants
            query = query.bindparams(sa.bindparam("names", expanding=True))
            for some in batched(names):
                found = connection.execute(query, {"names": some})
                digests |= {NormalizedName(name): digest or "" for name, digest in found}
        return digests

    def replace(self, connection: sa.Connection, names: Sequence[NormalizedName], pages: Iterable[KeptPage]) -> None:
        """Replace the kept pages of these projects; without a new page, a project has none."""
        if names:
            connection.execute(_FORGOTTEN, [{"of": name} for name in names])
        values = [
            {
                "name": page.name,
                "url": page.url,
                "content_type": page.content_type,
                "serial": page.serial,
                "body": gzip.compress(page.body, compresslevel=6, mtime=0),
                "sha256": hashlib.sha256(page.body).hexdigest(),
            }
            for page in pages
        ]
        if values:
            connection.execute(kept_page.insert(), values)

    def forget_all(self, connection: sa.Connection) -> None:
        """Delete all kept pages."""
        connection.execute(kept_page.delete())
