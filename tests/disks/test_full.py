"""A disk that is full to the last byte is emptied by the mirror: less is selected, and what leaves makes room."""

import pytest

from disks.container import run
from disks.full import FILE_BYTES, NAMES, WANTED

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


@pytest.mark.proves("reliability/disk")
@pytest.mark.parametrize("file_system", ["ext4", "xfs", "btrfs"])
def test_full_disk_is_emptied(image: str, file_system: str) -> None:
    """The service starts on it, and a sync by a smaller selection removes projects and files of others."""
    told = run(image, "disks.full", "--file-system", file_system)

    assert told["first"][0] == 0
    assert told["served"]
    assert [code for code, _ in told["ends"]] == [0, 0], told["ends"]
    assert told["files"] == {name: [f"{name}-2.0-py3-none-any.whl"] for name in WANTED}
    # ext4 keeps a twentieth of its 320 MiB for root, which the neighbour had taken as well.
    assert told["freed"] > (2 * len(NAMES) - len(WANTED) - 5) * FILE_BYTES
