"""What tests of commands share."""

from pathlib import Path

import pytest

from syncer.importing import Import


@pytest.fixture
def importer(tmp_path: Path) -> Import:
    """Return `mirror-syncer import`, beside a directory with a mirror.toml."""
    return Import(tmp_path)
