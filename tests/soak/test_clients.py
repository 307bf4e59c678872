"""Clients that found nothing wrong in a wrong tree would let every soak pass."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

import fakepypi
from soak import truth
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
    """A mirror of it."""
    site = Site(tmp_path, upstream=pypi.url)
    site.everything()
    await site.sync()
    return site


async def test_whole_tree_is_right(mirrored: Site, pypi: fakepypi.FakePyPI) -> None:
    """Of a tree that is right nothing is told, and every file and its metadata is read."""
    clients = Clients(mirrored.web, any_name=lambda: SIX)
    clients.look(SIX)

    assert (clients.looks, clients.wrong, clients.changed, clients.lost) == (3, [], [], [])
    assert [*truth.differences(pypi.index, mirrored), *truth.damages(mirrored)] == []
    assert truth.unnamed(mirrored) == set()


async def test_other_bytes_are_told(mirrored: Site) -> None:
    """A file with other bytes is wrong, and its URL has changed; one that is gone while its page names it is lost."""
    clients = Clients(mirrored.web, any_name=lambda: SIX)
    clients.look(SIX)
    places = mirrored.published("six").places
    (mirrored.web / places["six-1.0.tar.gz"]).write_bytes(b"other")
    (mirrored.web / places["six-1.0-py3-none-any.whl"]).unlink()
    clients.look(SIX)

    assert clients.wrong == clients.changed == [places["six-1.0.tar.gz"]]
    assert clients.lost == [places["six-1.0-py3-none-any.whl"]]
    assert any("not whole" in damage for damage in truth.damages(mirrored))


async def test_tree_that_lags_differs(mirrored: Site, pypi: fakepypi.FakePyPI) -> None:
    """A yank that did not come is a difference, and so are a project that did not and a file that no page names."""
    pypi.index.project("six").yank("1.0")
    pypi.index.project("news").upload("1.0")
    (mirrored.web / "packages" / "stray.whl").write_bytes(b"")

    told = " ".join(truth.differences(pypi.index, mirrored))

    assert all(word in told for word in ("news is not published", "the project list differs", "six: differs in"))
    assert truth.unnamed(mirrored) == {"packages/stray.whl"}
