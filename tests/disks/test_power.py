"""Power cuts, on real file systems that drop what was not synced: nothing that was published is lost, or half there."""

import pytest

from disks.container import run

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


def cut_power(image: str, *options: str, cuts: int) -> tuple[dict[str, int], list[str]]:
    """Cut the power so many times; return when, and what promises were broken."""
    told = run(image, "disks.power", f"--cuts={cuts}", *options)
    return told["moments"], told["broken"]


@pytest.mark.proves("reliability/power-loss")
@pytest.mark.slow
@pytest.mark.parametrize("state", ["same", "another", "safe"])
@pytest.mark.parametrize("file_system", ["ext4", "xfs"])
def test_cut_loses_nothing_published(image: str, file_system: str, state: str) -> None:
    """After a cut no page names what is not there, no row is ahead of its page, and the next sync has all."""
    moments, broken = cut_power(image, f"--file-system={file_system}", f"--state={state}", "--seed=1", cuts=15)
    assert broken == []
    assert sum(moments.values()) == 15


@pytest.mark.proves("reliability/power-loss")
@pytest.mark.slow
@pytest.mark.parametrize("file_system", ["ext4", "xfs"])
def test_cut_where_each_file_is_synced_by_itself(image: str, file_system: str) -> None:
    """The same holds where syncfs is not trusted, and files and directories are synced one by one."""
    _, broken = cut_power(image, f"--file-system={file_system}", "--state=safe", "--by-file", "--seed=2", cuts=10)
    assert broken == []


@pytest.mark.proves("reliability/power-loss")
def test_few_cuts(image: str) -> None:
    """Two cuts of ext4, with the catalog on the same disk: as above."""
    _, broken = cut_power(image, "--seed=3", cuts=2)
    assert broken == []


@pytest.mark.proves("reliability/power-loss")
def test_disk_that_only_says_it_synced(image: str) -> None:
    """Were nothing ever synced, these very cuts would show it: the test can fail."""
    _, broken = cut_power(image, "--lying", "--seed=2", cuts=20)  # the first broken promise ends it
    assert broken
