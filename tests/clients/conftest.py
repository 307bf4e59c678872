"""A mirror filled by the syncer and served by the real nginx, and other people's clients and servers beside it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import fakepypi
from clients.lab import Client, Lab, lab, readable
from fakepypi.corpus import ECOSYSTEM, upload_ecosystem
from mirror_contract import RunState
from nginx.conftest import image
from nginx.containers import docker
from syncer.site import Site

__all__ = ["image"]


@pytest.fixture(scope="session")
def clients_image() -> str:
    """Return the image with all clients. It keeps its name, so later builds come from the cache."""
    return docker("build", "--quiet", "--tag=pypi-mirror-test-clients", str(Path(__file__).parent)).splitlines()[-1]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Return a mirror host whose syncer has mirrored a small ecosystem, including legacy JSON."""
    return asyncio.run(filled(tmp_path_factory.mktemp("clients")))


async def filled(directory: Path) -> Site:
    """Return a mirror host after its first sync."""
    readable(directory)
    async with fakepypi.serve() as pypi:
        upload_ecosystem(pypi.index)
        host = Site(directory, upstream=pypi.url)
        host.select(*ECOSYSTEM, legacy_json=True)
        assert (await host.sync()).state is RunState.SUCCEEDED
    return host


@pytest.fixture(scope="session")
def open_lab(image: str, clients_image: str, site: Site) -> Iterator[Lab]:
    """Return the mirror over plain HTTP, and a user's machine."""
    with lab(image, clients_image, site.data) as opened:
        yield opened


@pytest.fixture
def client(open_lab: Lab) -> Client:
    """Return the user's machine, with a fresh home."""
    return open_lab.renewed().client
