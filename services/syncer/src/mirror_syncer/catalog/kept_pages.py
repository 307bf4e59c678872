"""Upstream's pages as they came, of projects whose published page does not say all that upstream's does."""

import gzip
from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from packaging.utils import NormalizedName

from mirror_syncer.catalog.schema import kept_page
from mirror_syncer.model.project import KeptPage


class KeptPages:
    """The table of kept pages."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def get(self, name: NormalizedName) -> KeptPage | None:
        """Return the kept page of a project."""
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(kept_page).where(kept_page.c.name == name)).one_or_none()
        if found is None:
            return None
        body = gzip.decompress(found.body)
        return KeptPage(name=name, url=found.url, content_type=found.content_type, serial=found.serial, body=body)

    def replace(self, connection: sa.Connection, names: Sequence[NormalizedName], pages: Iterable[KeptPage]) -> None:
        """Replace the kept pages of these projects; without a new page, a project has none."""
        if names:
            replaced = kept_page.delete().where(kept_page.c.name == sa.bindparam("of"))
            connection.execute(replaced, [{"of": name} for name in names])
        values = [
            {
                "name": page.name,
                "url": page.url,
                "content_type": page.content_type,
                "serial": page.serial,
                "body": gzip.compress(page.body, compresslevel=6, mtime=0),
            }
            for page in pages
        ]
        if values:
            connection.execute(kept_page.insert(), values)

    def forget_all(self, connection: sa.Connection) -> None:
        """Delete all kept pages."""
        connection.execute(kept_page.delete())
