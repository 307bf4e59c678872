"""The file of blocked names, which nginx reads: replaced as a whole, bounded, and written through no symlink."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mirror_syncer.errors import PathError, VolumeFullError
from mirror_syncer.volume import Volume
from mirror_syncer.volume.blocked_names import MAX_PATTERNS, blocked_names
from syncer import mounts


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Volume]:
    """A new tree, taken."""
    (tmp_path / "data").mkdir()
    with Volume(tmp_path / "data", mirror_id="4f9c", known=False) as taken:
        yield taken


def test_blocked_names_are_replaced_as_a_whole(volume: Volume) -> None:
    """The whole set is replaced, written only if it changes, readable by nginx, and removed when nothing is blocked."""
    path = volume.base / ".blocked"
    assert not volume.write_blocked_names({}, {})
    assert not path.exists()
    assert volume.write_blocked_names({"foo-bar": "b", "foo": "a", "foo2": "c"}, {"z*": "d", "a*": "e"})
    assert path.read_text() == "10 23\nz*\td\na*\te\nfoo\ta\nfoo-bar\tb\nfoo2\tc\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert not volume.write_blocked_names({"foo": "a", "foo-bar": "b", "foo2": "c"}, {"z*": "d", "a*": "e"})
    assert volume.write_blocked_names({"foo": "a"}, {})
    assert path.read_text() == "0 6\nfoo\ta\n"
    assert volume.write_blocked_names({}, {})
    assert not path.exists()
    assert list((volume.base / ".staging").iterdir()) == []


@pytest.mark.proves("security/upstream")
def test_reasons_and_names_are_bounded() -> None:
    """A reason is one printable line; names that nobody can request are left out; patterns are bounded in number."""
    body = blocked_names(
        {"foo": "a\tb\nbar\tc" + "x" * 1_000, "a" * 256: "long", "grün": "no ASCII", "a\tb": "tab"}, {}
    )
    assert body is not None
    assert body.count(b"\n") == 2
    assert body.split(b"\n")[1].startswith(b"foo\ta b bar cxxx")
    assert len(body) < 520
    body = blocked_names({}, {f"a{number}*": "" for number in range(MAX_PATTERNS + 1)})
    assert body is not None
    assert body.count(b"\n") == MAX_PATTERNS + 1
    assert body.endswith(b"a999*\theld by the policy of this mirror\n")


@pytest.mark.proves("security/neighbours")
def test_planted_list_is_not_followed(volume: Volume, tmp_path: Path) -> None:
    """A symlink in place of the list is replaced and its target stays; a directory there is an error."""
    outside = tmp_path / "secret"
    outside.write_text("theirs")
    path = volume.base / ".blocked"
    for names in ({"foo": "a"}, {}):
        path.unlink(missing_ok=True)
        path.symlink_to(outside)
        volume.write_blocked_names(names, {})
        assert not path.is_symlink()
    path.mkdir()
    with pytest.raises(PathError, match=r"\.blocked cannot be written"):
        volume.write_blocked_names({"foo": "a"}, {})
    assert outside.read_text() == "theirs"


@pytest.mark.proves("reliability/disk")
def test_list_on_a_full_disk_raises_and_keeps_the_old_one(tmp_path: Path) -> None:
    """On a full disk the old list stays and the error names the remedy; the next start removes a crash's leftover."""
    with mounts.small_disk(tmp_path, size=16 * 2**20, inodes=1_000), Volume(tmp_path, mirror_id="x", known=False) as v:
        v.write_blocked_names({"foo": "a"}, {})
        before = (v.base / ".blocked").read_bytes()
        with mounts.fill(tmp_path), pytest.raises(VolumeFullError, match="No space left on device; grow the disk"):
            v.write_blocked_names({"foo": "b"}, {})
        assert (v.base / ".blocked").read_bytes() == before
        (v.base / ".staging/blocked").write_text("half")
        v.clean_staging()
        assert list((v.base / ".staging").iterdir()) == []
