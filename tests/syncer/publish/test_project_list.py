"""The project list: both formats together, streamed, and written only when it changed."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.utils import NormalizedName
from pypi_simple import IndexPage

from mirror_contract import ProjectState
from mirror_syncer.catalog import Catalog
from mirror_syncer.model.project import CatalogUpdate, ProjectRow
from mirror_syncer.publish.project_list import ProjectList
from mirror_syncer.volume import Volume

FORMS = ("index.html", "index.v1_json")


class Shelf:
    """A catalog, a tree, and the list between them."""

    def __init__(self, directory: Path, *, catalog: Catalog) -> None:
        (directory / "data").mkdir()
        self.catalog = catalog
        self.volume = Volume(directory / "data", mirror_id=self.catalog.mirror_id, known=False)
        self.list = ProjectList(catalog=self.catalog, volume=self.volume)

    def settle(self, serials: dict[str, int | None], *, published: bool = True) -> None:
        """Have projects in the catalog."""
        rows = (
            ProjectRow(NormalizedName(name), state=ProjectState.CURRENT, serial=serial, published=published)
            for name, serial in serials.items()
        )
        self.catalog.commit([CatalogUpdate(row) for row in rows])
        self.list.mark_changed()

    def body(self, form: str) -> bytes:
        """Return what clients get."""
        return (self.volume.web / "simple" / form).read_bytes()


@pytest.fixture
def shelf(tmp_path: Path, catalog: Catalog) -> Iterator[Shelf]:
    """An empty mirror."""
    shelf = Shelf(tmp_path, catalog=catalog)
    yield shelf
    shelf.volume.close()


@pytest.mark.parametrize("serials", [(3, 7, None), (None, None, None)])
async def test_list_is_read_back(shelf: Shelf, serials: tuple[int | None, ...]) -> None:
    """An independent parser finds the published projects in both formats; JSON has their serials and the newest."""
    names = ("foo", "foo-bar", "zope-interface")
    shelf.settle(dict(zip(names, serials, strict=True)))
    shelf.settle({"withdrawn": 9}, published=False)
    await shelf.list.publish()

    document = json.loads(shelf.body("index.v1_json"))
    for page in (IndexPage.from_json_data(document), IndexPage.from_html(shelf.body("index.html").decode())):
        assert page.projects == list(names)
    known = [serial for serial in serials if serial is not None]
    assert document["meta"].get("_last-serial") == max(known, default=None)
    assert [entry.get("_last-serial") for entry in document["projects"]] == list(serials)


async def test_empty_mirror_has_an_empty_list(shelf: Shelf) -> None:
    """A mirror without projects has an empty list, not a missing one."""
    await shelf.list.publish()

    assert json.loads(shelf.body("index.v1_json"))["projects"] == []
    assert IndexPage.from_html(shelf.body("index.html").decode()).projects == []


async def test_long_list_has_identical_twins(shelf: Shelf) -> None:
    """A list of many blocks has a twin in each format, with the same content and mtime; the formats' mtimes differ."""
    shelf.settle({f"project-{number:05d}": number for number in range(12_345)})
    await shelf.list.publish()

    times = set()
    for form in FORMS:
        plain, twin = (shelf.volume.web / "simple" / name for name in (form, f"{form}.gz"))
        assert gzip.decompress(twin.read_bytes()) == plain.read_bytes()
        assert twin.stat().st_mtime == plain.stat().st_mtime
        times.add(plain.stat().st_mtime)
    assert len(times) == 2
    assert len(json.loads(shelf.body("index.v1_json"))["projects"]) == 12_345
    assert not list((shelf.volume.web / "simple").glob(".*"))


async def test_unchanged_list_is_not_written(shelf: Shelf) -> None:
    """An unchanged list keeps its mtime, and thus clients' caches; a change is published."""
    shelf.settle({"foo": 1})
    await shelf.list.publish()
    before = {form: (shelf.volume.web / "simple" / form).stat().st_mtime_ns for form in FORMS}

    await shelf.list.publish()
    shelf.settle({"foo": 1})
    await shelf.list.publish()
    assert {form: (shelf.volume.web / "simple" / form).stat().st_mtime_ns for form in FORMS} == before

    shelf.settle({"foo": 2})
    await shelf.list.publish()
    assert all((shelf.volume.web / "simple" / form).stat().st_mtime_ns > before[form] for form in FORMS)


async def test_shorter_list_loses_its_twin(shelf: Shelf) -> None:
    """A list that fits into a packet has no twin, even if the old one had one: nginx would serve the old one."""
    shelf.settle({f"project-{number}": number for number in range(200)})
    await shelf.list.publish()
    shelf.settle({f"project-{number}": number for number in range(1, 200)}, published=False)
    await shelf.list.publish()

    assert not list((shelf.volume.web / "simple").glob("*.gz"))
    assert json.loads(shelf.body("index.v1_json"))["projects"] == [{"_last-serial": 0, "name": "project-0"}]


async def test_project_being_withdrawn_is_not_listed(shelf: Shelf) -> None:
    """A withdrawal starts with the list; until the row is updated, the next publication would restore the project."""
    shelf.settle({"bar": 1, "foo": 2})
    await shelf.list.publish(without=frozenset({NormalizedName("foo")}))
    assert [entry["name"] for entry in json.loads(shelf.body("index.v1_json"))["projects"]] == ["bar"]

    await shelf.list.publish()
    assert [entry["name"] for entry in json.loads(shelf.body("index.v1_json"))["projects"]] == ["bar", "foo"]


async def test_missing_list_is_written_again(shelf: Shelf) -> None:
    """A list that was removed is written again, even without changes."""
    shelf.settle({"foo": 1})
    await shelf.list.publish()
    (shelf.volume.web / "simple" / "index.html").unlink()

    await shelf.list.publish()

    assert IndexPage.from_html(shelf.body("index.html").decode()).projects == ["foo"]


async def test_serial_never_decreases(shelf: Shelf) -> None:
    """A list without its newest project is newer than the one with it, although all its projects are older."""
    shelf.settle({"bar": 1, "foo": 2})
    await shelf.list.publish()
    shelf.settle({"foo": 2}, published=False)
    await shelf.list.publish()

    assert json.loads(shelf.body("index.v1_json")) == {
        "meta": {"_last-serial": 3, "api-version": "1.4"},
        "projects": [{"_last-serial": 1, "name": "bar"}],
    }
    assert await shelf.list.find_damage() == []
