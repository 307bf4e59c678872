"""File systems that ignore case: exFAT, which new disks have, and NTFS."""

import pytest

from disks.container import run

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


@pytest.mark.proves("reliability/disk")
@pytest.mark.parametrize("file_system", ["exfat", "ntfs"])
def test_start_on_a_file_system_that_ignores_case_fails(image: str, file_system: str) -> None:
    """Each start exits with 1 and one line that names directory and remedy; the disk can be unmounted at once."""
    result = run(image, "disks.case", f"--file-system={file_system}")

    assert result["ignored"]
    for code, output in result["ends"]:
        assert (code, len(output.splitlines())) == (1, 1)
        assert "data/pypi/web/packages is on a file system that ignores case" in output
        assert "set MIRROR_DATA to a directory on ext4, XFS or another case-sensitive file system" in output
    assert "ignores case" in result["message"]
    assert (result["left"], result["asked"]) == (["pypi/.lock", "pypi/.mirror-id"], [])
