"""A block that the disk cannot read any more damages one file, and does not end a verify."""

import pytest

from disks.container import run
from disks.rot import ROTTEN

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


@pytest.mark.proves("reliability/disk")
def test_file_that_fails_to_read_is_repaired(image: str) -> None:
    """Verify names a file whose read fails with EIO as unreadable; repair downloads that file alone again."""
    result = run(image, "disks.rot")

    found, repaired, again = result["runs"]
    assert (found["state"], found["damaged"]) == ("incomplete", 1)
    assert [file for file, _ in found["failures"]] == [ROTTEN]
    assert "unreadable on disk" in found["failures"][0][1]
    assert (repaired["state"], result["fetched"]) == ("succeeded", [ROTTEN])
    assert (again["state"], again["damaged"]) == ("succeeded", 0)
