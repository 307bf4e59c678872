"""A fixture for settings."""

import os
from collections.abc import Callable

import pytest

from mirror_syncer.config.settings import Settings, read_settings


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Return a function that reads settings from its arguments alone."""
    for key in list(os.environ):
        if key.startswith(("MIRROR_", "CONTROL_")):
            monkeypatch.delenv(key)

    def read(**environment: str) -> Settings:
        for key, value in environment.items():
            monkeypatch.setenv(key, value)
        return read_settings()

    return read
