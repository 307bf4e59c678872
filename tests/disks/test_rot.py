"""A block that cannot be read any more, as old disks have them: one file's damage, and not the end of a verify."""

import pytest

from disks.container import run
from disks.rot import ROTTEN

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


@pytest.mark.proves("reliability/disk")
def test_file_that_cannot_be_read(image: str) -> None:
    """A file of which the disk says EIO is named as unreadable; repair fetches it anew, and it alone."""
    told = run(image, "disks.rot")

    found, mended, again = told["runs"]
    assert (found["state"], found["damaged"]) == ("incomplete", 1)
    assert [file for file, _ in found["failures"]] == [ROTTEN]
    assert "unreadable on disk" in found["failures"][0][1]
    assert (mended["state"], told["fetched"]) == ("succeeded", [ROTTEN])
    assert (again["state"], again["damaged"]) == ("succeeded", 0)
