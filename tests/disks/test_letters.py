"""File systems on which two names that differ by capitals are one: exFAT, as disks come from the shop, and NTFS."""

import pytest

from disks.container import run

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


@pytest.mark.proves("reliability/disk")
@pytest.mark.parametrize("file_system", ["exfat", "ntfs"])
def test_file_system_that_ignores_case(image: str, file_system: str) -> None:
    """Every start there ends with code 1 and one line that names directory and remedy; it can be unmounted at once."""
    told = run(image, "disks.letters", f"--file-system={file_system}")

    assert told["ignored"]
    for code, said in told["ends"]:
        assert (code, len(said.splitlines())) == (1, 1)
        assert "data/pypi/web/packages is on a file system that ignores case" in said
        assert "set MIRROR_DATA to a directory on ext4, XFS or another case-sensitive file system" in said
    assert "ignores case" in told["said"]
    assert (told["left"], told["asked"]) == (["pypi/.lock", "pypi/.mirror-id"], [])
