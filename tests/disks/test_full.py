"""A smaller selection frees a disk that is full to the last byte."""

import pytest

from disks.container import run
from disks.full import FILE_BYTES, NAMES, WANTED

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


@pytest.mark.proves("reliability/disk")
@pytest.mark.parametrize("file_system", ["ext4", "xfs", "btrfs"])
def test_sync_on_a_full_disk_frees_space(image: str, file_system: str) -> None:
    """The service starts on a full disk, and a sync with a smaller selection removes projects and files."""
    result = run(image, "disks.full", "--file-system", file_system)

    assert result["first"][0] == 0
    assert result["served"]
    assert [code for code, _ in result["ends"]] == [0, 0], result["ends"]
    assert result["files"] == {name: [f"{name}-2.0-py3-none-any.whl"] for name in WANTED}
    # ext4 keeps a twentieth of its 320 MiB for root, and the other program had taken that too.
    assert result["freed"] > (2 * len(NAMES) - len(WANTED) - 5) * FILE_BYTES
