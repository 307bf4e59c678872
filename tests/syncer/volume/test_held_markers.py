"""Markers of held files: one printable line beside the file, written and removed without following anything."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror_syncer.errors import PathError, VolumeError, VolumeFullError
from mirror_syncer.model.names import MAX_NAME_BYTES, Filename, PackagePath, full_path, short_path
from mirror_syncer.volume import Volume
from mirror_syncer.volume.held_markers import MAX_TEXT_BYTES, marker_text
from syncer import mounts

ADDRESS = "ab" + "cd" + "0" * 60
SHORT = PackagePath("packages/ab/six-1.0.tar.gz")
FULL = PackagePath(f"packages/ab/cd/{'0' * 60}/six-1.0.tar.gz")
TEXT = "uploaded 2026-11-27 10:12 UTC; this mirror waits 7 days, until 2026-12-04 10:12 UTC"


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Volume]:
    """A new tree, taken."""
    (tmp_path / "data").mkdir()
    with Volume(tmp_path / "data", mirror_id="4f9c", known=False) as taken:
        yield taken


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory that a symlink may lead to, with a file by the name of a marker."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/six-1.0.tar.gz").write_text("theirs")
    return tmp_path / "outside"


def marker(volume: Volume, place: PackagePath) -> Path:
    """Return the path that nginx looks for."""
    return volume.path(place).parent / ".held" / volume.path(place).name


@pytest.mark.parametrize("place", [SHORT, FULL])
@pytest.mark.parametrize("there", [True, False])
def test_held_file_has_a_marker_until_its_release(volume: Volume, place: PackagePath, *, there: bool) -> None:
    """A held file has a marker with its text, whether or not the file is there; the release leaves no trace of it."""
    if there:
        volume.make_directory(place)
        volume.path(place).write_bytes(b"six")
    assert volume.held_text(place) is None
    assert volume.hold(place, TEXT, address=ADDRESS)
    assert marker(volume, place).read_text() == f"{TEXT}\n"
    assert marker(volume, place).stat().st_mode & 0o777 == 0o644
    assert volume.held_text(place) == TEXT
    assert not volume.hold(place, TEXT, address=ADDRESS), "nothing to change"
    assert volume.hold(place, "blocked: malware", address=ADDRESS)
    assert volume.held_text(place) == "blocked: malware"
    for _ in range(2):
        volume.release(place, address=ADDRESS)
        assert volume.held_text(place) is None
    if there:
        assert volume.path(place).read_bytes() == b"six"
        volume.path(place).unlink()
    volume.discard_directory(place)
    assert list(volume.web.rglob("six*")) == list(volume.web.rglob(f"{'0' * 60}*")) == []
    assert list((volume.base / ".staging").iterdir()) == []


def test_marker_holds_also_a_copy_in_an_adopted_tree(volume: Volume) -> None:
    """A file that an adopted tree also has at its full path is held there, too; nothing else gets a second marker."""
    volume.hold(SHORT, TEXT, address=ADDRESS)
    assert not volume.path(FULL).parent.exists()
    for left in (volume.path(FULL), Path(f"{volume.path(FULL)}.metadata")):
        volume.make_directory(FULL)
        left.write_bytes(b"six")
        assert volume.hold(SHORT, TEXT, address=ADDRESS)
        assert (volume.held_text(SHORT), volume.held_text(FULL)) == (TEXT, TEXT)
        volume.release(SHORT, address=ADDRESS)
        assert (volume.held_text(SHORT), volume.held_text(FULL)) == (None, None)
        left.unlink()
    volume.hold(FULL, TEXT, address=ADDRESS)
    assert volume.held_text(SHORT) is None, "the short path holds other content"


def test_marker_that_only_a_copy_still_has_is_found(volume: Volume) -> None:
    """A marker at either path of a file is found by its address, so that a publication removes what a crash left."""
    assert not volume.is_held(SHORT, address=ADDRESS)
    volume.hold(FULL, TEXT, address=ADDRESS)
    assert volume.is_held(SHORT, address=ADDRESS)
    assert volume.is_held(FULL, address=ADDRESS)
    assert not volume.is_held(SHORT, address=None), "the marker may be that of other content"
    assert not volume.is_held(SHORT, address="ab" + "ef" * 31)
    volume.release(SHORT, address=ADDRESS)
    assert not volume.is_held(FULL, address=ADDRESS)


def test_copy_in_an_adopted_tree_is_found_without_its_address(volume: Volume) -> None:
    """A hard link at the full path is held and released with the file, also if upstream's URL names no digest."""
    address = hashlib.blake2b(b"six", digest_size=32).hexdigest()
    short, full = short_path(address, Filename("six.whl")), full_path(address, Filename("six.whl"))
    volume.path(short).write_bytes(b"six")
    volume.make_directory(full)
    volume.path(full).hardlink_to(volume.path(short))
    volume.hold(short, TEXT, address=None)
    assert (volume.held_text(short), volume.held_text(full)) == (TEXT, TEXT)
    volume.release(short, address=None)
    assert (volume.held_text(short), volume.held_text(full)) == (None, None)


def test_release_keeps_file_and_tombstone_of_a_full_path(volume: Volume) -> None:
    """The release of a file at its full path keeps the tombstone that is there."""
    volume.make_directory(FULL)
    volume.path(FULL).write_bytes(b"six")
    volume.hold(FULL, TEXT, address=ADDRESS)
    volume.withdraw(FULL)
    assert volume.held_text(FULL) == TEXT
    volume.release(FULL, address=ADDRESS)
    assert volume.has_tombstone(FULL)


def test_longest_name_is_held(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name of 255 bytes is held; one that the file system cannot have needs no marker, since no file can have it."""
    place = PackagePath(f"packages/ab/{'a' * MAX_NAME_BYTES}")
    assert volume.hold(place, TEXT, address=None)
    assert volume.held_text(place) == TEXT
    volume.release(place, address=None)
    monkeypatch.setattr(volume, "_name_max", 143)
    assert not volume.hold(place, TEXT, address=None)
    longer = PackagePath(f"packages/ab/{'a' * (MAX_NAME_BYTES + 1)}")
    assert not volume.hold(longer, TEXT, address=None)
    assert volume.held_text(longer) is None
    volume.release(longer, address=None)


@pytest.mark.proves("security/upstream", "security/neighbours")
@pytest.mark.parametrize("planted", ["packages/ab/.held", "packages/ab/.held/six-1.0.tar.gz"])
def test_symlinked_marker_is_not_followed(volume: Volume, outside: Path, planted: str) -> None:
    """A symlink in place of a marker, or of its directory, is replaced; its target is not read, written or removed."""
    (volume.web / planted).parent.mkdir(exist_ok=True)
    target = outside if planted.endswith(".held") else outside / "six-1.0.tar.gz"
    (volume.web / planted).symlink_to(target)
    assert volume.held_text(SHORT) is None
    volume.release(SHORT, address=ADDRESS)
    assert volume.hold(SHORT, TEXT, address=ADDRESS)
    assert volume.held_text(SHORT) == TEXT
    assert [path.read_text() for path in outside.iterdir()] == ["theirs"]


@pytest.mark.proves("security/neighbours")
@pytest.mark.parametrize("plant", [Path.mkdir, os.mkfifo])
def test_planted_directory_or_pipe_is_no_marker(volume: Volume, plant: Callable[[Path], None]) -> None:
    """A directory or a pipe in a marker's place has no text; a pipe is replaced, a directory fails this file alone."""
    path = marker(volume, SHORT)
    path.parent.mkdir()
    plant(path)
    assert volume.held_text(SHORT) is None
    if path.is_dir():
        for touch in (lambda: volume.hold(SHORT, TEXT, address=None), lambda: volume.release(SHORT, address=None)):
            with pytest.raises(PathError, match=r"\.held/six-1\.0\.tar\.gz cannot be written"):
                touch()
    else:
        assert volume.hold(SHORT, TEXT, address=None)
        assert volume.held_text(SHORT) == TEXT
    assert list((volume.base / ".staging").iterdir()) == []


@pytest.mark.proves("security/neighbours")
def test_file_in_place_of_the_markers_directory_fails_this_file(volume: Volume) -> None:
    """A file in place of ``.held`` fails the held file, and is not read as a marker."""
    (volume.web / "packages/ab/.held").write_text("theirs")
    assert volume.held_text(SHORT) is None
    with pytest.raises(PathError, match=r"\.held cannot be written"):
        volume.hold(SHORT, TEXT, address=None)
    with pytest.raises(PathError, match=r"\.held cannot be read"):
        list(volume.held_at_short_paths("ab"))


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("two\r\nlines\u2028more\x85end", "two lines more end"),
        ("\x1b[31mred\x07 \x00\x9b31m", "[31mred 31m"),
        ("\u202eetareverof\u2066 \u200bhidden\ufeff", "etareverof hidden"),
        ("\ud800lone", "lone"),
        ("  Grüße\t\tan 名前 🐍 ", "Grüße an 名前 🐍"),
        ("\n\x00", "held by the policy of this mirror"),
        ("", "held by the policy of this mirror"),
    ],
)
def test_marker_text_is_one_printable_line(text: str, line: str) -> None:
    """Line breaks, escapes and characters that reverse the direction become blanks; an empty text gets a default."""
    assert marker_text(text) == line


@pytest.mark.proves("security/upstream")
@given(st.text(max_size=700))
def test_marker_text_is_bounded(text: str) -> None:
    """Whatever upstream or an operator wrote, the line is not empty, printable, bounded, and stays as it is."""
    line = marker_text(text)
    assert line.isprintable()
    assert line == line.strip() != ""
    assert len(line.encode()) < MAX_TEXT_BYTES
    assert marker_text(line) == line


@pytest.mark.proves("reliability/power-loss")
def test_interrupted_marker_leaves_nothing(volume: Volume) -> None:
    """A marker appears whole or not at all; what a killed process left of it is removed at the next start."""
    left = volume.base / ".staging/held-0123456789abcdef0123456789abcdef.17"
    left.write_text("upload")
    resumed = volume.base / ".staging/0123456789abcdef0123456789abcdef"
    resumed.write_text("half a download")
    volume.clean_staging()
    assert list((volume.base / ".staging").iterdir()) == [resumed]


@pytest.mark.proves("reliability/disk")
def test_marker_on_a_full_disk_raises_and_keeps_the_old_one(tmp_path: Path) -> None:
    """On a full disk a new marker raises with the remedy; the old marker stays, and a release needs no space."""
    with mounts.small_disk(tmp_path, size=16 * 2**20, inodes=1_000), Volume(tmp_path, mirror_id="x", known=False) as v:
        v.hold(SHORT, TEXT, address=None)
        with mounts.fill(tmp_path):
            with pytest.raises(VolumeFullError, match="cannot be written: No space left on device; grow the disk"):
                v.hold(SHORT, "another text", address=None)
            assert v.held_text(SHORT) == TEXT
            v.release(SHORT, address=None)
            assert v.held_text(SHORT) is None


@pytest.mark.proves("reliability/disk")
def test_marker_on_a_read_only_disk_raises(tmp_path: Path) -> None:
    """On a read-only disk hold and release both raise."""
    with mounts.small_disk(tmp_path, size=16 * 2**20, inodes=1_000), Volume(tmp_path, mirror_id="x", known=False) as v:
        v.hold(SHORT, TEXT, address=None)
        with mounts.read_only(tmp_path):
            for touch in (
                lambda: v.hold(SHORT, "another text", address=None),
                lambda: v.release(SHORT, address=None),
            ):
                with pytest.raises(VolumeError, match="Read-only file system"):
                    touch()
            assert v.held_text(SHORT) == TEXT


def test_markers_of_a_directory_are_listed(volume: Volume, outside: Path) -> None:
    """The markers at short paths are listed by directory; those of full paths and of other directories are not."""
    assert list(volume.held_at_short_paths("ab")) == []
    volume.hold(SHORT, TEXT, address=None)
    volume.hold(FULL, TEXT, address=None)
    volume.hold(PackagePath("packages/cd/idna-1.0.tar.gz"), TEXT, address=None)
    assert [name for name, _ in volume.held_at_short_paths("ab")] == ["six-1.0.tar.gz"]
    (volume.web / "packages/ef/.held").symlink_to(outside)
    with pytest.raises(PathError, match=r"ef/\.held cannot be read"):
        list(volume.held_at_short_paths("ef"))
