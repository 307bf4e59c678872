"""Fixtures for all tests of disks."""

import pytest

from disks.container import build


@pytest.fixture(scope="session")
def image() -> str:
    """Return the image of the container that breaks disks."""
    return build()
