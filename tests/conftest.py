"""Settings of all tests: property tests draw the same examples each time; where and in which order tests run."""

import os
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("laws", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("laws")

_MEMORY = Path("/dev/shm")
_TREES_BYTES = 4 * 2**30  # at most at once

_BUILD_SECONDS = 1_200  # the first test of a folder builds an image, while others do, on busy cores


def _keep_trees_in_memory() -> None:
    """
    Let tests make their trees in memory, if there is enough of it and TMPDIR names no other directory.

    A tree has 300 directories: on a disk a third of all work is to make, sync and remove them, and each sync waits for
    all other writes to that disk. Processes see the same files on both; tests/disks shows what a power cut leaves.
    """
    if "TMPDIR" in os.environ or not _MEMORY.is_dir():
        return
    there = os.statvfs(_MEMORY)
    [available] = re.findall(r"^MemAvailable: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    room = min(there.f_bavail * there.f_frsize, int(available) * 1024 // 2)
    if room > _TREES_BYTES and not there.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)


_keep_trees_in_memory()


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Keep a folder's tests that need Docker in one process: they share its containers. Folders run side by side.

    Slow ones start containers of their own, so they are another group. pytest-xdist begins with the groups, which wait
    more than they compute. The other slow tests follow, so that none is left for one process at the end.
    """
    for item in items:
        if _has(item, "docker"):
            item.add_marker(pytest.mark.xdist_group(f"{'slow ' * _has(item, 'slow')}docker {item.path.parent.name}"))
            if not _has(item, "timeout"):
                item.add_marker(pytest.mark.timeout(_BUILD_SECONDS))
    items.sort(key=lambda item: not _has(item, "slow") or _has(item, "docker"))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a case of bytes by its place: an archive contains the time, so each process would name it otherwise."""
    return argname if isinstance(val, bytes) else None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Stop where pytest-xdist ignores groups: each process would start all containers, and nothing else would tell."""
    names = [item.nodeid for item in session.items if _has(item, "docker")]
    if getattr(session.config.option, "loadgroup", False) and not all("@" in name for name in names):
        raise pytest.UsageError("this version of pytest-xdist ignores the groups of this pytest: see pyproject.toml")


def _has(item: pytest.Item, mark: str) -> bool:
    return item.get_closest_marker(mark) is not None
