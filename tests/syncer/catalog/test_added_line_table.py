"""The table of added lines."""

from packaging.utils import NormalizedName

from mirror_syncer.catalog import Catalog, StoredAddedLine
from mirror_syncer.config.policy.added_line import AddedLine

SIX, IDNA = NormalizedName("six"), NormalizedName("idna")


def test_added_lines_are_kept_on_each_database(catalog: Catalog) -> None:
    """SQLite and PostgreSQL store, list, replace and remove added lines in the same way: one a project."""
    table = catalog.added_lines
    first = StoredAddedLine(SIX, "six>=1", "why", "alice", 10)
    idna = StoredAddedLine(IDNA, "idna", "die Größe", "bob", 20)
    second = StoredAddedLine(SIX, "six>=2", "again", "bob", 30)
    for row in (first, idna, second):
        table.put(row)

    assert table.all() == [idna, second]
    assert (table.count(), table.get(SIX), table.get(NormalizedName("none"))) == (2, second, None)
    assert table.in_force() == (AddedLine(IDNA, "idna", "die Größe"), AddedLine(SIX, "six>=2", "again"))
    table.remove(IDNA)
    table.remove(IDNA)
    assert table.all() == [second]
