"""The real metrics, once for all who hold something against them."""

from collections.abc import Iterator

import pytest

from monitoring.reference import scraped


@pytest.fixture(scope="session")
def exposed() -> Iterator[str]:
    """What Prometheus finds at control."""
    with scraped() as text:
        yield text
