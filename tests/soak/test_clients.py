"""The soak's clients detect a wrong tree; otherwise every soak would pass."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

import fakepypi
from soak import comparison
from soak.clients import Clients
from syncer.site import Site

SIX = NormalizedName("six")


@pytest.fixture
async def pypi() -> AsyncIterator[fakepypi.FakePyPI]:
    """An index with one project."""
    async with fakepypi.serve() as server:
        server.index.project("six").upload("1.0")
        yield server


@pytest.fixture
async def mirrored(tmp_path: Path, pypi: fakepypi.FakePyPI) -> Site:
    """A mirror of the index."""
    site = Site(tmp_path, upstream=pypi.url)
    site.everything()
    await site.sync()
    return site


async def test_clients_of_a_correct_tree_report_nothing(mirrored: Site, pypi: fakepypi.FakePyPI) -> None:
    """Clients report nothing for a correct tree, and read every file with its metadata."""
    clients = Clients(mirrored.web, any_name=lambda: SIX)
    clients.read_page(SIX)

    assert (clients.looks, clients.wrong, clients.changed, clients.lost) == (3, [], [], [])
    assert [*comparison.differences(pypi.index, mirrored), *comparison.damages(mirrored)] == []
    assert comparison.unnamed(mirrored) == set()


async def test_clients_of_a_changed_file_report_it(mirrored: Site) -> None:
    """A file with other bytes is wrong and its URL changed; a missing file that a page names is lost."""
    clients = Clients(mirrored.web, any_name=lambda: SIX)
    clients.read_page(SIX)
    places = mirrored.published("six").places
    (mirrored.web / places["six-1.0.tar.gz"]).write_bytes(b"other")
    (mirrored.web / places["six-1.0-py3-none-any.whl"]).unlink()
    clients.read_page(SIX)

    assert clients.wrong == clients.changed == [places["six-1.0.tar.gz"]]
    assert clients.lost == [places["six-1.0-py3-none-any.whl"]]
    assert any("not whole" in damage for damage in comparison.damages(mirrored))


async def test_comparison_of_an_outdated_tree_finds_differences(mirrored: Site, pypi: fakepypi.FakePyPI) -> None:
    """A missing yank, a missing project and a file that no page names are each a difference."""
    pypi.index.project("six").yank("1.0")
    pypi.index.project("news").upload("1.0")
    (mirrored.web / "packages" / "stray.whl").write_bytes(b"")

    text = " ".join(comparison.differences(pypi.index, mirrored))

    assert all(word in text for word in ("news is not published", "the project list differs", "six: differs in"))
    assert comparison.unnamed(mirrored) == {"packages/stray.whl"}
