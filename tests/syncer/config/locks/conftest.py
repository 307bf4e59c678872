"""A directory of mirror.toml with locks in it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mirror_syncer.config.locks.lock_source import Locks, LockSource

FILES = Path(__file__).parent / "files"  # written by uv 0.13.9, Poetry 2.5.1, PDM 2.29.4, pipenv 2026.10.3 and pip 26.3


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return the directory of mirror.toml, with an empty directory for locks; the state directory is beside it."""
    (tmp_path / "state").mkdir()
    (tmp_path / "config" / "locks").mkdir(parents=True)
    return tmp_path / "config"


@pytest.fixture
def written() -> Callable[[str], str]:
    """Return a function that returns a lock as the real tool wrote it."""
    return lambda name: (FILES / name).read_text()


@pytest.fixture
def opened(directory: Path) -> Callable[[], LockSource]:
    """Return a function that opens the locks as a start of the syncer does."""
    return lambda: LockSource(directory, state=directory.parent / "state")


@pytest.fixture
def read_text(directory: Path) -> Callable[[str | bytes], Locks]:
    """Return a function that reads one lock of this content."""

    def read(content: str | bytes) -> Locks:
        path = directory / "locks" / "a.lock"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return LockSource(directory, state=None).read(["locks/*.lock"])

    return read
