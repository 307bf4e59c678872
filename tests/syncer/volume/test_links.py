"""Second names: a file's is the file itself, a page's leads to the page, and a kernel that says no is explained."""

import errno
import os
from pathlib import Path

import pytest

from mirror_syncer.errors import MirrorError, PathError, VolumeError, VolumeFullError
from mirror_syncer.volume.links import forward, link


def test_link_is_the_file_itself(tmp_path: Path) -> None:
    """Both names are one file; linked again, it stays so."""
    (tmp_path / "old").write_bytes(b"content")

    assert link(str(tmp_path / "old"), str(tmp_path / "new"))
    assert link(str(tmp_path / "old"), str(tmp_path / "new"))
    assert (tmp_path / "new").samefile(tmp_path / "old")


def test_taken_name_is_left_alone(tmp_path: Path) -> None:
    """What has the name already keeps it, the same content or not."""
    for name in ("old", "new"):
        (tmp_path / name).write_text(name)

    assert not link(str(tmp_path / "old"), str(tmp_path / "new"))
    assert (tmp_path / "new").read_text() == "new"


@pytest.mark.proves("security/neighbours")
def test_symlink_is_not_followed(tmp_path: Path) -> None:
    """A name in the way that only leads to the file is not the file's."""
    (tmp_path / "old").write_bytes(b"content")
    (tmp_path / "new").symlink_to("old")

    assert not link(str(tmp_path / "old"), str(tmp_path / "new"))


def test_what_was_put_there_since_gets_no_name(tmp_path: Path) -> None:
    """A file that was exchanged after the look at it, for a symlink or for another file, is not let in."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"content")
    known = old.lstat()
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "secret").rename(old)
    assert not link(str(old), str(new), known=known)
    old.unlink()
    old.symlink_to("/etc/passwd")
    assert not link(str(old), str(new), known=known)
    assert not link(str(old), str(new))
    assert not os.path.lexists(new)


@pytest.mark.parametrize(
    ("number", "kind", "remedy"),
    [
        (errno.EXDEV, VolumeError, "one directory that contains both"),
        (errno.EPERM, PathError, "MIRROR_UID"),
        (errno.EACCES, PathError, "chown -R"),
        (errno.ENAMETOOLONG, PathError, "too long"),
        (errno.ENOSPC, VolumeFullError, "grow the disk"),
        (errno.EROFS, VolumeError, "remount it"),
    ],
)
def test_refusals_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[MirrorError], remedy: str
) -> None:
    """Whatever the kernel says comes with what to do about it."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)

    with pytest.raises(kind, match=remedy):
        link(str(tmp_path / "old"), str(tmp_path / "new"))


def test_forwarded_name_follows_the_page(tmp_path: Path) -> None:
    """A forwarded name shows the page as it is now, wherever the tree is moved; what a crash left is no obstacle."""
    page, other = tmp_path / "simple/foo/index.html", tmp_path / "simple/f/foo/index.html"
    for path in (page, other):
        path.parent.mkdir(parents=True)
        path.write_text("old")
    other.with_name(".index.html.new").symlink_to("nowhere")

    forward(other, to=page)
    forward(other, to=page)
    page.write_text("new")
    (tmp_path / "simple").rename(tmp_path / "moved")

    assert (tmp_path / "moved/f/foo/index.html").read_text() == "new"
    assert [path.name for path in (tmp_path / "moved/f/foo").iterdir()] == ["index.html"]
