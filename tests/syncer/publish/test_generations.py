"""Tree and catalog number their changes alike on each database, and are reconciled if they differ."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from mirror_contract import ProjectState
from mirror_syncer.catalog import Catalog
from mirror_syncer.model.generation import Generation
from mirror_syncer.model.names import PackagePath, Sha256
from mirror_syncer.model.page import Page
from mirror_syncer.model.project import CatalogUpdate, ProjectRow, Retirement
from mirror_syncer.model.validators import Validators
from mirror_syncer.publish import render_page
from mirror_syncer.publish.generations import Generations, Mismatch
from mirror_syncer.publish.project_list import ProjectList
from mirror_syncer.publish.reconciliation import Reconciliation
from mirror_syncer.volume import Volume

SIX, IDNA, TOML = (NormalizedName(name) for name in ("six", "idna", "toml"))
LEFT = PackagePath("packages/ab/six-0.1.tar.gz")
GONE = PackagePath("packages/ab/six-0.2.tar.gz")


@pytest.fixture
def volume(tmp_path: Path, catalog: Catalog) -> Iterator[Volume]:
    """The tree of a catalog."""
    (tmp_path / "data").mkdir()
    with Volume(tmp_path / "data", mirror_id=catalog.mirror_id, known=False) as taken:
        yield taken


def publish(catalog: Catalog, volume: Volume, *, generations: Generations, serial: int) -> None:
    """Publish two projects, and withdraw a third, as a group does."""
    catalog_updates = []
    generations.begin()
    for name in (SIX, IDNA):
        rendered = render_page(Page(name, files=(), serial=serial if name == SIX else 1), [])
        if (staged := volume.stage(name, rendered)) is not None:
            staged.publish(volume.durability)
        row = ProjectRow(
            name,
            state=ProjectState.CURRENT,
            published=True,
            validators=Validators(f"{serial}"),
            page_sha256=rendered.digest,
        )
        catalog_updates.append(CatalogUpdate(row))
    catalog_updates.append(CatalogUpdate(ProjectRow(TOML, state=ProjectState.WITHDRAWN)))
    catalog.commit(catalog_updates, generation=generations.advance())


def opened(catalog: Catalog, volume: Volume) -> tuple[Reconciliation, Generations]:
    """Return what a process that starts has."""
    generations = Generations(catalog=catalog, volume=volume)
    project_list = ProjectList(catalog=catalog, volume=volume)
    reconciliation = Reconciliation(catalog=catalog, volume=volume, generations=generations, project_list=project_list)
    return reconciliation, generations


@pytest.mark.proves("reliability/disk")
def test_older_tree_is_reconciled(catalog: Catalog, volume: Volume) -> None:
    """With an older tree, only differing pages are requested; what was withdrawn or removed is removed again."""
    reconciliation, generations = opened(catalog, volume)
    assert reconciliation.run() is None
    publish(catalog, volume, generations=generations, serial=1)
    before, page = volume.generation(), (volume.page_directory(SIX) / "index.v1_json").read_bytes()
    publish(catalog, volume, generations=generations, serial=2)
    retirements = [Retirement(SIX, place, Sha256("0" * 64), due_at=1) for place in (LEFT, GONE)]
    catalog.recover(SIX, None, retirements=retirements, returned=())
    catalog.files.record_removal(SIX, [LEFT, GONE])
    # the older tree: its page of six, a page of what was withdrawn since, a file that had left since
    (volume.page_directory(SIX) / "index.v1_json").write_bytes(page)
    staged = volume.stage(TOML, render_page(Page(TOML, files=()), []))
    assert staged is not None
    staged.publish(volume.durability)
    volume.path(LEFT).write_bytes(b"left")
    volume.write_generation(before)

    reconciliation, _ = opened(catalog, volume)
    assert reconciliation.mismatch() is Mismatch.OLDER_TREE
    reconciliation.run()

    six, idna = catalog.projects.get(SIX), catalog.projects.get(IDNA)
    assert six is not None
    assert idna is not None
    assert (six.state, six.validators, six.page_sha256) == (ProjectState.BEHIND, Validators(), None)
    assert (idna.state, idna.validators) == (ProjectState.CURRENT, Validators("2"))
    assert sorted(volume.projects()) == [IDNA, SIX]
    assert [file.place for file in catalog.files.due(SIX, now=10)] == [LEFT]
    assert opened(catalog, volume)[0].mismatch() is None


@pytest.mark.proves("reliability/disk")
def test_older_catalog_is_reconciled(catalog: Catalog, volume: Volume) -> None:
    """A catalog older than its tree marks differing projects as behind, and adds unknown ones."""
    reconciliation, generations = opened(catalog, volume)
    reconciliation.run()
    publish(catalog, volume, generations=generations, serial=1)
    before = catalog.generations.read()[0]
    rows = [row for name in (SIX, IDNA, TOML) if (row := catalog.projects.get(name)) is not None]
    publish(catalog, volume, generations=generations, serial=2)
    staged = volume.stage(TOML, render_page(Page(TOML, files=(), serial=7), []))
    assert staged is not None
    staged.publish(volume.durability)
    catalog.projects.replace(rows)
    catalog.generations.accept(before)

    reconciliation, _ = opened(catalog, volume)
    assert reconciliation.run() is Mismatch.OLDER_CATALOG

    six, toml = catalog.projects.get(SIX), catalog.projects.get(TOML)
    assert six is not None
    assert toml is not None
    assert (six.state, six.serial, six.page_sha256) == (ProjectState.BEHIND, 2, None)
    assert (toml.published, toml.serial) == (True, 7)
    assert opened(catalog, volume)[0].mismatch() is None


@pytest.mark.proves("reliability/disk")
def test_kill_between_any_steps_is_no_mismatch(catalog: Catalog, volume: Volume) -> None:
    """Killed before or after any step of a change, tree and catalog still match at the next start."""
    for steps in range(4):
        reconciliation, generations = opened(catalog, volume)
        assert reconciliation.run() is None, steps
        if steps > 0:
            generations.begin()
        generation = generations.advance() if steps > 1 else None
        if steps > 2:
            catalog.commit([CatalogUpdate(ProjectRow(SIX))], generation=generation)
        assert opened(catalog, volume)[0].mismatch() is None, steps


@pytest.mark.proves("reliability/disk")
def test_other_history_is_a_mismatch(catalog: Catalog, volume: Volume) -> None:
    """The same generation number from another process is a mismatch; so is an unreadable generation."""
    _, generations = opened(catalog, volume)
    generations.accept(reconciled=True)
    volume.write_generation(Generation(1, "0" * 16))
    assert opened(catalog, volume)[0].mismatch() is Mismatch.OTHER_HISTORY
    (volume.base / ".generation").write_bytes(b"\xff")
    assert opened(catalog, volume)[0].mismatch() is Mismatch.OLDER_TREE


def test_slower_change_does_not_lower_the_generation(catalog: Catalog, volume: Volume) -> None:
    """Of two parallel changes, the last to end does not confirm an older generation."""
    _, generations = opened(catalog, volume)
    generations.accept(reconciled=False)
    first, second = generations.advance(), generations.advance()
    catalog.commit([CatalogUpdate(ProjectRow(SIX))], generation=second)
    catalog.commit([CatalogUpdate(ProjectRow(IDNA))], generation=first)
    assert catalog.generations.read()[0] == second


@pytest.mark.proves("reliability/disk")
def test_generation_costs_no_fsync(catalog: Catalog, volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    """If one ``syncfs`` covers a group, numbering its change needs no further sync."""
    _, generations = opened(catalog, volume)
    generations.accept(reconciled=False)
    volume.durability.syncs_file_system = True
    synced = list[object]()
    monkeypatch.setattr("os.fsync", synced.append)
    monkeypatch.setattr(volume.durability, "sync", lambda: synced.append("tree"))
    monkeypatch.setattr(catalog, "sync", lambda: synced.append("catalog"))
    generations.begin()
    catalog.commit([CatalogUpdate(ProjectRow(SIX))], generation=generations.advance())
    assert synced == []
