"""The tree belongs to one syncer and one catalog, and planted files are not followed."""

import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from mirror_syncer.errors import (
    FileRejectedError,
    PathError,
    VolumeError,
    VolumeFullError,
    VolumeInUseError,
    VolumeMissingError,
)
from mirror_syncer.model.names import MAX_NAME_BYTES, Filename, PackagePath, Sha256
from mirror_syncer.volume import PageSet, Volume
from mirror_syncer.volume.durability import Durability

ID = "4f9c"
PLACE = PackagePath("packages/ab/six.whl")
METADATA = PackagePath(f"{PLACE}.metadata")
SIX = NormalizedName("six")
DIGEST = Sha256(sha256(b"six").hexdigest())


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Volume]:
    """A new tree, taken."""
    with Volume(tmp_path, mirror_id=ID, known=False) as taken:
        yield taken


@pytest.fixture
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file outside the tree that a symlink may lead to."""
    path = tmp_path_factory.mktemp("outside") / "secret"
    path.write_bytes(b"six")
    return path


def test_new_tree_has_its_id_and_directories(volume: Volume, tmp_path: Path) -> None:
    """A new tree has its id, its 256 directories, and two private ones."""
    assert (tmp_path / "pypi/.mirror-id").read_text() == f"{ID}\n"
    assert len(list((tmp_path / "pypi/web/packages").iterdir())) == 256
    for hidden in (".staging", ".withdrawn"):
        assert stat.S_IMODE((tmp_path / "pypi" / hidden).stat().st_mode) == 0o700


@pytest.mark.proves("security/mistakes", "reliability/time-and-order")
def test_second_syncer_is_refused(tmp_path: Path) -> None:
    """A second syncer on a tree is refused with the name of the first; it may start once that one has ended."""
    with Volume(tmp_path, mirror_id=ID, known=False) as volume:
        with pytest.raises(VolumeInUseError, match=f'"pid": {os.getpid()}'):
            Volume(tmp_path, mirror_id=ID, known=True)
        volume.check_present()
    with Volume(tmp_path, mirror_id=ID, known=True) as next_one:
        next_one.check_present()


@pytest.mark.proves("security/mistakes")
def test_missing_root_or_marker_means_an_unmounted_disk(tmp_path: Path) -> None:
    """A missing root, or a missing marker under a catalog with projects, is an unmounted disk; nothing is created."""
    with pytest.raises(VolumeMissingError, match="is the disk mounted"):
        Volume(tmp_path / "absent", mirror_id=ID, known=False)
    with pytest.raises(VolumeMissingError, match="is the disk mounted"):
        Volume(tmp_path, mirror_id=ID, known=True)
    assert list(tmp_path.iterdir()) == []


def test_unmounted_disk_is_found_by_the_next_check(volume: Volume, tmp_path: Path) -> None:
    """A disk that is unmounted at run time is found by the next check."""
    volume.check_present()
    (tmp_path / "pypi/.mirror-id").unlink()
    with pytest.raises(VolumeMissingError, match="is the disk mounted"):
        volume.check_present()


def test_tree_of_another_catalog_is_refused(tmp_path: Path) -> None:
    """A tree with another catalog's id is refused with both ids, and its lock is released."""
    Volume(tmp_path, mirror_id=ID, known=False).close()
    with pytest.raises(VolumeMissingError, match=rf"belongs to another catalog \({ID}; ours is other\)"):
        Volume(tmp_path, mirror_id="other", known=True)
    Volume(tmp_path, mirror_id=ID, known=True).close()


def test_empty_catalog_adopts_the_trees_id(tmp_path: Path) -> None:
    """An empty catalog adopts the id of the tree, and never overwrites it."""
    Volume(tmp_path, mirror_id=ID, known=False).close()
    with Volume(tmp_path, mirror_id="heir", known=False) as volume:
        assert volume.mirror_id == ID
    assert (tmp_path / "pypi/.mirror-id").read_text() == f"{ID}\n"


@pytest.mark.proves("reliability/disk")
def test_unwritable_tree_names_the_remedy() -> None:
    """Without write permission the message has the chown command with the syncer's ids, for its directory only."""
    attempt = (
        "import os, sys, pathlib\n"
        "from mirror_syncer.errors import VolumeError\n"
        "from mirror_syncer.volume import Volume\n"
        "if os.getuid() == 0: os.setgid(65_533); os.setuid(65_534)\n"
        "try: Volume(pathlib.Path(sys.argv[1]), mirror_id='x', known=False)\n"
        "except VolumeError as error: print(os.getuid(), os.getgid(), error, sep='\\n')\n"
    )
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o555)
        told = subprocess.run([sys.executable, "-c", attempt, directory], check=True, capture_output=True, text=True)
    uid, gid, message = told.stdout.splitlines()
    assert message == (
        f"{directory}/pypi cannot be written: Permission denied; "
        f"on the host: chown {uid}:{gid} and chmod u+rwx the directory MIRROR_DATA"
    )


def test_file_without_enough_space_is_refused(volume: Volume) -> None:
    """A file that does not fit is refused before its download, with the remedy."""
    disk = volume.disk()
    assert 0 < disk.free_bytes <= disk.size_bytes
    volume.check_room(disk.free_bytes // 2)
    with pytest.raises(VolumeFullError, match=r"[kMGT]B needed, 0% must stay free .* grow the disk, select less"):
        volume.check_room(disk.free_bytes * 2)


def test_reserve_is_never_written_to(tmp_path: Path) -> None:
    """The reserved share is not used, not even for an empty file."""
    with (
        Volume(tmp_path, mirror_id=ID, known=False, reserve=1.0) as volume,
        pytest.raises(VolumeFullError, match=r"B free, 100% must stay free \(MIRROR_DISK_RESERVE\)"),
    ):
        volume.check_room(0)


@pytest.mark.proves("security/upstream", "security/neighbours")
def test_irregular_file_has_no_digest(volume: Volume, secret: Path) -> None:
    """A symlink, a directory or a pipe in a file's place has no digest and no size, and reading does not block."""
    path = volume.path(PLACE)
    plants: list[Callable[[], None]] = [lambda: path.symlink_to(secret), path.mkdir, lambda: os.mkfifo(path)]
    for plant in plants:
        plant()
        assert (volume.digest(PLACE), volume.size(PLACE)) == (None, None)
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    assert volume.digest(PLACE) is None
    path.write_bytes(b"six")
    assert (volume.digest(PLACE), volume.size(PLACE)) == (DIGEST, 3)


@pytest.mark.proves("security/upstream", "security/neighbours")
def test_symlinked_temporary_is_refused(volume: Volume, secret: Path) -> None:
    """A symlink in a temporary's place is refused, and its target stays unchanged."""
    for size in (None, 2**26):
        incoming = volume.incoming(SIX, Filename("six.whl"), DIGEST, size=size, place=PLACE)
        incoming.abandon()
        Path(incoming.temporary).symlink_to(secret)
        with pytest.raises(PathError, match="cannot be written"):
            volume.incoming(SIX, Filename("six.whl"), DIGEST, size=size, place=PLACE)
    directory = volume.page_directory(NormalizedName("six"))
    directory.mkdir()
    (directory / ".index.html.new").symlink_to(secret)
    with pytest.raises(PathError, match="cannot be written"):
        volume.stage(NormalizedName("six"), PageSet(html=b"h", json=b"j"))
    assert secret.read_bytes() == b"six"


@pytest.mark.proves("security/upstream")
def test_symlinked_lock_stops_the_start(tmp_path: Path, secret: Path) -> None:
    """A symlink in the lock's place stops the start, and its target stays unchanged."""
    (tmp_path / "pypi").mkdir()
    (tmp_path / "pypi/.lock").symlink_to(secret)
    with pytest.raises(VolumeError, match=r"\.lock cannot be written"):
        Volume(tmp_path, mirror_id=ID, known=False)
    assert secret.read_bytes() == b"six"


def test_longest_name_is_stored_and_removed(volume: Volume) -> None:
    """A name of 255 bytes is stored, moved and removed like any other; from 247 bytes on it has no metadata."""
    longest = Filename("a" * MAX_NAME_BYTES)
    assert not volume.keeps_metadata(longest)
    assert not volume.keeps_metadata(Filename("a" * 247))
    assert volume.keeps_metadata(Filename("a" * 246))
    for place in (PackagePath(f"packages/ab/{longest}"), PackagePath(f"packages/ab/cd/{'e' * 60}/{longest}")):
        volume.make_directory(place)
        volume.path(place).write_bytes(b"six")
        assert volume.size(PackagePath(f"{place}.metadata")) is None
        assert volume.digest(PackagePath(f"{place}.metadata")) is None
        volume.withdraw(place)
        assert volume.size(place) is None
        volume.restore(place)
        assert volume.digest(place) == DIGEST
        volume.remove(place)
        assert volume.size(place) is None
    volume.clean_up(SIX, [(PackagePath(f"packages/ab/{longest}"), DIGEST)])


@pytest.mark.proves("reliability/disk")
def test_name_over_the_file_systems_limit_is_refused(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that only this file system cannot hold is refused with both lengths."""
    monkeypatch.setattr(volume, "_name_max", 143)
    volume.check_name(Filename("a" * 143))
    with pytest.raises(FileRejectedError, match="has 144 bytes, but the file system of MIRROR_DATA takes at most 143"):
        volume.check_name(Filename("a" * 144))
    assert volume.keeps_metadata(Filename("a" * 134))
    assert not volume.keeps_metadata(Filename("a" * 135))


def test_withdrawn_file_is_restored(volume: Volume, tmp_path: Path) -> None:
    """A withdrawn file leaves the document root with its metadata, and is restored unchanged."""
    volume.path(PLACE).write_bytes(b"six")
    volume.write_metadata(SIX, PLACE, b"Name: six")
    volume.withdraw(PLACE)
    assert list((tmp_path / "pypi/web/packages/ab").iterdir()) == []
    volume.restore(PLACE)
    assert volume.digest(PLACE) == DIGEST
    assert volume.path(PLACE).with_name("six.whl.metadata").read_bytes() == b"Name: six"


def test_metadata_replaces_a_leftover(volume: Volume) -> None:
    """Metadata replaces a leftover of a crash, and never continues it."""
    Path(volume._temporary_path(SIX, METADATA, Sha256(""))).write_bytes(b"Name: some other beginning")
    volume.write_metadata(SIX, PLACE, b"Name: six")
    assert [path.name for path in volume.path(PLACE).parent.iterdir()] == ["six.whl.metadata"]
    assert volume.path(PLACE).with_name("six.whl.metadata").read_bytes() == b"Name: six"


def test_restoring_replaces_nothing(volume: Volume) -> None:
    """A file that has taken the withdrawn file's place stays; restoring a file that does not exist is no error."""
    volume.path(PLACE).write_bytes(b"old")
    volume.withdraw(PLACE)
    volume.path(PLACE).write_bytes(b"six")
    volume.restore(PLACE)
    assert volume.digest(PLACE) == DIGEST
    other = PackagePath("packages/cd/idna.whl")
    volume.restore(other)
    volume.withdraw(other)
    volume.remove(other)
    assert volume.size(other) is None


def test_removal_deletes_file_and_metadata(volume: Volume, tmp_path: Path) -> None:
    """A removed file leaves nothing but the tombstone of its full path."""
    full = PackagePath(f"packages/ab/cd/{'0' * 60}/six.whl")
    for place in (PLACE, full):
        volume.make_directory(place)
        volume.path(place).write_bytes(b"six")
        volume.write_metadata(SIX, place, b"Name: six")
        volume.remove(place)
    mark = tmp_path / "pypi/web" / full.replace("six.whl", ".gone/six.whl")
    assert list((tmp_path / "pypi/web").rglob("*six*")) == [mark]
    assert mark.read_bytes() == b""


def test_leftovers_of_a_crash_are_removed(volume: Volume, tmp_path: Path) -> None:
    """After a crash a project's temporaries are removed; a large download stays for a week."""
    name = NormalizedName("six")
    assert volume.stage(name, PageSet(html=b"h", json=b"j"))
    beside = volume.incoming(SIX, Filename("six.whl"), DIGEST, size=None, place=PLACE)
    beside.write(b"si")
    staged = volume.incoming(SIX, Filename("six.whl"), DIGEST, size=2**26, place=PLACE)
    staged.write(b"si")
    Path(volume._temporary_path(SIX, METADATA, Sha256(""))).write_bytes(b"Name: s")
    volume.clean_up(name, [(PLACE, DIGEST)])
    volume.clean_staging()
    assert [path.name for path in (tmp_path / "pypi/web").rglob("*") if path.is_file()] == []
    assert not volume.page_directory(name).exists()
    assert Path(staged.temporary).exists()
    week_ago = time.time() - 8 * 86_400
    os.utime(Path(staged.temporary), (week_ago, week_ago))
    volume.clean_staging()
    assert not Path(staged.temporary).exists()
    beside.abandon()
    staged.abandon()


@pytest.mark.parametrize("directory", [Path("/dev/shm"), Path(__file__).parent], ids=["memory", "disk"])
@pytest.mark.parametrize("trusted", [frozenset(), None], ids=["by file", "as it comes"])
def test_sync_accepts_removed_directories(
    directory: Path, trusted: frozenset[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded writes are synced on any file system, and a directory removed in the meantime is no error."""
    if trusted is not None:
        monkeypatch.setattr("mirror_syncer.volume.durability._SYNCFS_FILE_SYSTEMS", trusted)
    with tempfile.TemporaryDirectory(dir=directory) as temporary:
        durability = Durability(Path(temporary))
        gone = Path(temporary) / "gone"
        gone.mkdir()
        durability.directory_changed(gone)
        gone.rmdir()
        durability.sync()
        durability.close()
        whole = ("ext4", "xfs", "btrfs", "zfs", "tmpfs") if trusted is None else ()
        assert durability.syncs_file_system == (durability.file_system in whole)
        assert durability.file_system != "unknown"


@pytest.mark.proves("reliability/power-loss")
def test_directories_are_synced_without_syncfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a reliable syncfs, each directory with a new entry is synced, up to the tree's own."""
    synced: list[str] = []
    monkeypatch.setattr("mirror_syncer.volume.durability._SYNCFS_FILE_SYSTEMS", frozenset())
    monkeypatch.setattr("mirror_syncer.volume.durability._sync_directory", synced.append)
    place = PackagePath(f"packages/ab/cd/{'0' * 60}/six.whl")
    with Volume(tmp_path, mirror_id=ID, known=False) as volume:
        volume.make_directory(place)
        volume.write_metadata(SIX, place, b"Name: six")
        volume.durability.sync()
    above = volume.path(place).parents
    assert {str(directory) for directory in above if directory.is_relative_to(tmp_path)} <= set(synced)


@pytest.mark.proves("reliability/disk")
def test_case_insensitive_file_system_is_refused(tmp_path: Path) -> None:
    """A case-insensitive file system is refused with the remedy; no probe is left, and nothing stays open."""
    packages = tmp_path / "pypi/web/packages"
    packages.mkdir(parents=True)
    (packages / ".Letters-Probe").touch()  # as such a file system would answer

    with pytest.raises(VolumeError, match=r"ignores case.*set MIRROR_DATA to a directory on"):
        Volume(tmp_path, mirror_id="ours", known=False)

    assert not (packages / ".letters-probe").exists()
    assert [name for name in opened() if name.startswith(f"{tmp_path}")] == []


def opened() -> set[str]:
    """Return what this process has open, by name."""
    names = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that was listing
            names.add(f"{descriptor.readlink()}")
    return names


@pytest.mark.proves("security/containers", "security/neighbours")
@pytest.mark.parametrize("mode", [0o755, 0o777, 0o750])
def test_hidden_directories_become_private(tmp_path: Path, mode: int) -> None:
    """Withdrawn and partial files are private to the syncer, also in a tree with other modes."""
    for hidden in (".staging", ".withdrawn"):
        (tmp_path / "pypi" / hidden).mkdir(parents=True)
        (tmp_path / "pypi" / hidden).chmod(mode)
    with Volume(tmp_path, mirror_id=ID, known=False):
        for hidden in (".staging", ".withdrawn"):
            assert stat.S_IMODE((tmp_path / "pypi" / hidden).stat().st_mode) == 0o700
