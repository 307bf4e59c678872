"""The real metrics, shared by all tests."""

from collections.abc import Iterator

import pytest

from monitoring.reference import scraped


@pytest.fixture(scope="session")
def exposed() -> Iterator[str]:
    """What Prometheus finds at control."""
    with scraped() as text:
        yield text
