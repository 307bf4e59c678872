"""Power cuts on real file systems, which drop data that was not synced: nothing published is lost or partial."""

import pytest

from disks.container import run

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


def cut_power(image: str, *options: str, cuts: int) -> tuple[dict[str, int], list[str]]:
    """Cut the power this many times; return the moments, and the broken promises."""
    result = run(image, "disks.power", f"--cuts={cuts}", *options)
    return result["moments"], result["broken"]


@pytest.mark.proves("reliability/power-loss")
@pytest.mark.slow
@pytest.mark.parametrize("state", ["same", "another", "safe"])
@pytest.mark.parametrize("file_system", ["ext4", "xfs"])
def test_power_cut_loses_nothing_published(image: str, file_system: str, state: str) -> None:
    """After a power cut no page names a missing file, no row is ahead of its page, and the next sync completes."""
    moments, broken = cut_power(image, f"--file-system={file_system}", f"--state={state}", "--seed=1", cuts=15)
    assert broken == []
    assert sum(moments.values()) == 15


@pytest.mark.proves("reliability/power-loss")
@pytest.mark.slow
@pytest.mark.parametrize("file_system", ["ext4", "xfs"])
def test_power_cut_without_syncfs_loses_nothing_published(image: str, file_system: str) -> None:
    """The same holds where the syncer cannot use syncfs and syncs each file and directory."""
    _, broken = cut_power(image, f"--file-system={file_system}", "--state=safe", "--by-file", "--seed=2", cuts=10)
    assert broken == []


@pytest.mark.proves("reliability/power-loss")
def test_two_power_cuts_lose_nothing_published(image: str) -> None:
    """Two power cuts of ext4, with the catalog on the same disk, lose nothing that was published."""
    _, broken = cut_power(image, "--seed=3", cuts=2)
    assert broken == []


@pytest.mark.proves("reliability/power-loss")
def test_power_cut_without_any_sync_loses_something(image: str) -> None:
    """Without any sync the same cuts lose published content, so the tests above can fail."""
    _, broken = cut_power(image, "--lying", "--seed=2", cuts=20)  # the first broken promise ends it
    assert broken
