"""Hostile archives: the syncer reads a bounded part of a wheel, whatever the wheel declares."""

import io
import struct
import threading
import zipfile
from pathlib import Path

import pytest

import fakepypi
from mirror_contract import RunState
from mirror_syncer.volume import wheel_metadata
from syncer.site import Site, memory_below

pytestmark = pytest.mark.proves("security/upstream")

MIB = 2**20
WHEEL = "bad-1.0-py3-none-any.whl"


def bomb(method: int) -> bytes:
    """Return a wheel whose METADATA declares a thousand bytes and has 64 MiB."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", method) as wheel:
        wheel.writestr("bad-1.0.dist-info/METADATA", bytes(64 * MIB))
    content = bytearray(archive.getvalue())
    entry = content.rfind(b"PK\1\2")
    content[entry + 24 : entry + 28] = struct.pack("<I", 1_000)  # APPNOTE 4.3.12: the uncompressed size
    return bytes(content)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
async def test_wheel_with_a_metadata_bomb_is_published(site: Site, pypi: fakepypi.FakePyPI, method: int) -> None:
    """A wheel whose METADATA unpacks without end is published with upstream's separate metadata."""
    metadata = b"Metadata-Version: 2.1\nName: bad\nVersion: 1.0\n"
    pypi.index.project("bad").upload_file(WHEEL, bomb(method), version="1.0", metadata=metadata)
    site.select("bad")
    async with site.running() as running:
        with memory_below(40 * MIB):  # deflate is unpacked up to the 16 MiB that any METADATA may have
            run = await running.sync()

    assert run.state is RunState.SUCCEEDED
    assert (site.web / f"{site.published('bad').places[WHEEL]}.metadata").read_bytes() == metadata
    site.assert_whole()


def end_record(*, directory: int) -> bytes:
    """Return a ZIP archive's end record that declares a directory of this many bytes."""
    return struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, directory, 0, 0)


LARGE = int.from_bytes(b"PK\5\6", "little")  # 96 MiB
ENDS = {
    "said openly": end_record(directory=200 * MIB),
    "whose size looks like another end record": end_record(directory=LARGE),
    "that only ZIP64's record tells of": struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 200 * MIB, 0)
    + struct.pack("<4sLQL", b"PK\6\7", 0, 200 * MIB, 1)
    + end_record(directory=46),
}


@pytest.mark.parametrize("end", ENDS)
def test_archive_with_an_oversize_directory_is_not_read(tmp_path: Path, end: str) -> None:
    """The syncer reads nothing from an archive that declares a directory of millions of entries."""
    path = tmp_path / WHEEL
    with path.open("wb") as file:
        file.truncate(
            LARGE if "looks" in end else 200 * MIB
        )  # a hole; an entry is known to be missing only after a read
        file.seek(0, io.SEEK_END)
        file.write(ENDS[end])

    with memory_below(MIB):
        assert wheel_metadata(path) is None


def test_large_wheel_with_a_small_directory_is_read(tmp_path: Path) -> None:
    """The syncer reads the METADATA of a large wheel whose directory is small."""
    path = tmp_path / WHEEL
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("bad/data.bin", bytes(20 * MIB))
        wheel.writestr("bad-1.0.dist-info/METADATA", b"Name: bad\n")

    assert wheel_metadata(path) == b"Name: bad\n"


async def test_wheel_bomb_is_unpacked_off_the_event_loop(
    site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop's thread unpacks at most a megabyte of a small wheel, whatever the archive declares."""
    main, unpacked = threading.main_thread(), [0]

    def read(member: zipfile.ZipExtFile, most: int = -1) -> bytes:
        if threading.current_thread() is main:
            unpacked.append(most)
        return whole(member, most)

    whole = zipfile.ZipExtFile.read
    monkeypatch.setattr(zipfile.ZipExtFile, "read", read)
    metadata = b"Metadata-Version: 2.1\nName: bad\nVersion: 1.0\n"
    pypi.index.project("bad").upload_file(WHEEL, bomb(zipfile.ZIP_DEFLATED), version="1.0", metadata=metadata)
    site.select("bad")
    run = await site.sync()
    assert run.state is RunState.SUCCEEDED
    assert 0 < max(unpacked) <= MIB
