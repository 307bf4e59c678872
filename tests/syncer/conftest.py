"""A mirror host in a temporary directory, before a PyPI that misbehaves on demand."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import fakepypi
from syncer.site import Site


@pytest.fixture
async def pypi() -> AsyncIterator[fakepypi.FakePyPI]:
    """An empty index, served over real HTTP."""
    async with fakepypi.serve() as server:
        yield server


@pytest.fixture
def site(tmp_path: Path, pypi: fakepypi.FakePyPI) -> Site:
    """A mirror host whose upstream is that index."""
    return Site(tmp_path, upstream=pypi.url)
