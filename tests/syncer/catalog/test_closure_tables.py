"""The catalog stores what a dependency closure read, on SQLite and on PostgreSQL."""

import hashlib

import sqlalchemy as sa
from packaging.utils import NormalizedName

from mirror_contract import ProjectState
from mirror_syncer.catalog import Catalog
from mirror_syncer.catalog.requirement_lines import LinesKey, metadata_key, unverified_key
from mirror_syncer.model.names import Filename, Sha256
from mirror_syncer.model.page import File
from mirror_syncer.model.project import CatalogUpdate, KeptPage, ProjectRow
from mirror_syncer.model.requirement_lines import RequirementLines

NOW = 1_800_000_000
DAY = 86_400
SIX, IDNA, FLASK = NormalizedName("six"), NormalizedName("idna"), NormalizedName("flask")
FULL = RequirementLines(('a>=1; extra == "é"', "b"), ("é",), ">=3.9", is_dynamic=True, build_requires=())


def key(number: int) -> LinesKey:
    """Return the key of a digest."""
    return metadata_key(Sha256(f"{number:064x}"))


def kept(name: NormalizedName, body: bytes) -> CatalogUpdate:
    """Return the update that keeps a page of a project that is not published."""
    return CatalogUpdate(ProjectRow(name), read=True, kept=KeptPage(name, "http://host/", "text/html", None, body))


def test_requirement_lines_come_back_by_their_keys(catalog: Catalog) -> None:
    """Lines are stored and returned unchanged, thousands at a time; an unknown key has none."""
    stored = {key(number): RequirementLines((f"a=={number}",)) for number in range(2_500)}
    stored |= {key(2_500): FULL, key(2_501): RequirementLines()}

    catalog.requirement_lines.put(stored, now=NOW)

    assert catalog.requirement_lines.get([*stored, key(9_999)], now=NOW) == stored


def test_requirement_lines_that_cannot_be_read_count_as_missing(catalog: Catalog) -> None:
    """A row that another version wrote in another way is read out of the file again."""
    catalog.requirement_lines.put({key(1): FULL, key(2): FULL}, now=NOW)
    with catalog._engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE requirement_lines SET lines = '{\"extras\": 7}' WHERE key = :key"), {"key": key(1)}
        )

    assert catalog.requirement_lines.get([key(1), key(2)], now=NOW) == {key(2): FULL}


def test_requirement_lines_are_forgotten_after_180_days_without_use(catalog: Catalog) -> None:
    """Lines that nobody asks for are deleted; each use extends their life."""
    catalog.requirement_lines.put({key(1): FULL, key(2): FULL}, now=NOW)
    catalog.requirement_lines.get([key(1)], now=NOW + 100 * DAY)

    assert catalog.requirement_lines.forget_unused(now=NOW + 180 * DAY) == 0
    assert catalog.requirement_lines.forget_unused(now=NOW + 181 * DAY) == 1
    assert catalog.requirement_lines.get([key(1), key(2)], now=NOW) == {key(1): FULL}


def test_absent_project_is_remembered_until_its_time(catalog: Catalog) -> None:
    """A project that upstream lacks is known as absent until then, or until it is forgotten."""
    absent = catalog.absent_projects
    absent.add(SIX, until=NOW + DAY, now=NOW)
    absent.add(SIX, until=NOW + DAY + 1, now=NOW)
    absent.add(IDNA, until=NOW + DAY, now=NOW)

    assert absent.contains(SIX, now=NOW + DAY)
    assert not absent.contains(SIX, now=NOW + DAY + 1)
    assert not absent.contains(FLASK, now=NOW)
    absent.forget([IDNA, FLASK])
    assert not absent.contains(IDNA, now=NOW)


def test_other_upstream_is_asked_for_absent_projects(catalog: Catalog) -> None:
    """After a change of upstream, neither its predecessor's gaps nor its unverified words count."""
    unverified = unverified_key(File(Filename("foo-1.0-py3-none-any.whl"), "", Sha256("a" * 64)))
    catalog.absent_projects.add(SIX, until=NOW + DAY, now=NOW)
    catalog.requirement_lines.put({unverified: FULL, key(1): FULL}, now=NOW)

    catalog.change_upstream(old="http://one", new="http://two")

    assert not catalog.absent_projects.contains(SIX, now=NOW)
    assert catalog.requirement_lines.get([unverified, key(1)], now=NOW) == {key(1): FULL}


def test_page_mark_changes_with_the_stored_page(catalog: Catalog) -> None:
    """The mark of a project is its kept page's digest, else its published page's; it changes when the page does."""
    published = ProjectRow(IDNA, ProjectState.CURRENT, published=True, page_sha256="b" * 64)
    catalog.commit([kept(SIX, b"one"), CatalogUpdate(published), CatalogUpdate(ProjectRow(FLASK))])
    names = [SIX, IDNA, FLASK, NormalizedName("unknown")]
    digests = [hashlib.sha256(body).hexdigest() for body in (b"one", b"two")]

    assert catalog.page_marks(names) == {SIX: digests[0], IDNA: "b" * 64}
    catalog.commit([kept(SIX, b"two"), CatalogUpdate(published, read=True, kept=kept(IDNA, b"one").kept)])
    assert catalog.page_marks(names) == {SIX: digests[1], IDNA: digests[0]}
    catalog.commit([CatalogUpdate(published, read=True)])
    assert catalog.page_marks(names) == {SIX: digests[1], IDNA: "b" * 64}


def test_page_mark_of_an_older_catalog_changes_with_the_next_page(catalog: Catalog) -> None:
    """A page that an older version kept without a digest has an empty mark, which the next page replaces."""
    catalog.commit([kept(SIX, b"one")])
    with catalog._engine.begin() as connection:
        connection.execute(sa.text("UPDATE kept_page SET sha256 = NULL"))

    assert catalog.page_marks([SIX]) == {SIX: ""}
    catalog.commit([kept(SIX, b"two")])
    assert catalog.page_marks([SIX]) != {SIX: ""}


def test_page_marks_read_no_page(catalog: Catalog) -> None:
    """Marks of 1,000 kept pages of 100 kB each come from an index: reading the pages would take seconds."""
    body = bytes(range(256)) * 400
    names = [NormalizedName(f"project-{number}") for number in range(1_000)]
    catalog.commit([kept(name, hashlib.sha256(name.encode()).digest() + body) for name in names])
    statements: list[str] = []
    sa.event.listen(catalog._engine, "before_cursor_execute", lambda *args: statements.append(args[2]))

    assert len(catalog.page_marks(names)) == 1_000
    assert len(statements) == 2
    if catalog._engine.dialect.name == "sqlite":
        assert any("INDEXED BY kept_page_digest" in statement for statement in statements)
