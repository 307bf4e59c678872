"""What every test of disks stands on."""

import pytest

from disks.container import build


@pytest.fixture(scope="session")
def image() -> str:
    """Return the image that may break disks."""
    return build()
