"""The databases that a mirror's catalog may be on."""

import pytest

ON_BOTH = pytest.mark.parametrize(
    "site_catalog", ["sqlite", pytest.param("postgresql", marks=pytest.mark.docker)], indirect=True
)
"""Run a test that has a ``site`` with its catalog on SQLite and on PostgreSQL."""
