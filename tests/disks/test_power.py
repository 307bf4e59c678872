"""Power cuts, on real file systems that drop what was not synced: nothing that was published is lost, or half there."""

import json

import pytest

from nginx.containers import REPOSITORY, docker

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


@pytest.fixture(scope="session")
def image() -> str:
    """Return the image that may break disks, built from this checkout."""
    syncer, image = "pypi-mirror-test-disks-syncer", "pypi-mirror-test-disks"
    dockerfile = REPOSITORY / "services/syncer/Dockerfile"
    docker("build", "--quiet", f"--file={dockerfile}", f"--tag={syncer}", str(REPOSITORY))
    tests = REPOSITORY / "tests"
    base = f"--build-arg=SYNCER={syncer}"
    docker("build", "--quiet", f"--file={tests}/disks/Dockerfile", base, f"--tag={image}", str(tests))
    return image


def cut_power(image: str, *options: str, cuts: int) -> tuple[dict[str, int], list[str]]:
    """Cut the power so many times; return when, and what promises were broken."""
    rights = ("--rm", "--init", "--privileged", "--user=0", "--network=none", "--volume=/dev:/dev")
    room = "--tmpfs=/disks:size=1g"
    said = docker("run", *rights, room, image, "-m", "disks.power", f"--cuts={cuts}", *options)
    told = json.loads(said.splitlines()[-1])
    return told["moments"], told["broken"]


@pytest.mark.slow
@pytest.mark.parametrize("state", ["same", "another", "safe"])
@pytest.mark.parametrize("file_system", ["ext4", "xfs"])
def test_cut_loses_nothing_published(image: str, file_system: str, state: str) -> None:
    """After a cut no page names what is not there, no row is ahead of its page, and the next sync has all."""
    moments, broken = cut_power(image, f"--file-system={file_system}", f"--state={state}", "--seed=1", cuts=15)
    assert broken == []
    assert sum(moments.values()) == 15


@pytest.mark.slow
@pytest.mark.parametrize("file_system", ["ext4", "xfs"])
def test_cut_where_each_file_is_synced_by_itself(image: str, file_system: str) -> None:
    """The same holds where syncfs is not trusted, and files and directories are synced one by one."""
    _, broken = cut_power(image, f"--file-system={file_system}", "--state=safe", "--by-file", "--seed=2", cuts=10)
    assert broken == []


def test_few_cuts(image: str) -> None:
    """Two cuts of ext4, with the catalog on the same disk: as above."""
    _, broken = cut_power(image, "--seed=3", cuts=2)
    assert broken == []


def test_disk_that_only_says_it_synced(image: str) -> None:
    """Were nothing ever synced, these very cuts would show it: the test can fail."""
    _, broken = cut_power(image, "--lying", "--seed=2", cuts=20)  # the first broken promise ends it
    assert broken
