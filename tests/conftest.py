"""Settings of all tests: property tests draw the same examples each time, and each stack runs in one process."""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("laws", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("laws")


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a folder's tests that need Docker in one process: they share its containers. Folders run side by side."""
    for item in items:
        if item.get_closest_marker("docker"):
            item.add_marker(pytest.mark.xdist_group(f"docker {item.path.parent.name}"))
