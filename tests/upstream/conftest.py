"""An empty fake PyPI, its first content, and a client that changes no byte."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

import fakepypi

JSON = "application/vnd.pypi.simple.v1+json"


@pytest.fixture
async def pypi() -> AsyncIterator[fakepypi.FakePyPI]:
    """A served, empty index."""
    async with fakepypi.serve() as pypi:
        yield pypi


@pytest.fixture
def wheel(pypi: fakepypi.FakePyPI) -> fakepypi.File:
    """A wheel of ``foo`` 1.0, beside its source distribution: the only files."""
    return pypi.index.project("foo").upload("1.0", padding=10_000).wheel


@pytest.fixture
async def client(pypi: fakepypi.FakePyPI) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that shows bytes as they were sent."""
    bare = {"Accept-Encoding": "identity"}
    async with aiohttp.ClientSession(pypi.url, auto_decompress=False, headers=bare) as session:
        yield session


async def json_page(client: aiohttp.ClientSession, path: str) -> dict[str, Any]:
    """Fetch a page as JSON."""
    async with client.get(path, headers={"Accept": JSON}) as response:
        document: dict[str, Any] = json.loads(await response.read())
        return document
