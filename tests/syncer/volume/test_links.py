"""Links: a hard link is the same file, a symlink leads to the page, and errors name the remedy."""

import errno
import os
from pathlib import Path

import pytest

from mirror_syncer.errors import MirrorError, PathError, VolumeError, VolumeFullError
from mirror_syncer.volume.links import forward, link


def test_link_is_the_same_file(tmp_path: Path) -> None:
    """Both paths are one file, also after linking again."""
    (tmp_path / "old").write_bytes(b"content")

    assert link(str(tmp_path / "old"), str(tmp_path / "new"))
    assert link(str(tmp_path / "old"), str(tmp_path / "new"))
    assert (tmp_path / "new").samefile(tmp_path / "old")


def test_existing_target_is_not_replaced(tmp_path: Path) -> None:
    """An existing target stays, whether its content is the same or not."""
    for name in ("old", "new"):
        (tmp_path / name).write_text(name)

    assert not link(str(tmp_path / "old"), str(tmp_path / "new"))
    assert (tmp_path / "new").read_text() == "new"


@pytest.mark.proves("security/neighbours")
def test_symlink_to_the_file_is_not_the_file(tmp_path: Path) -> None:
    """A symlink to the file in the target's place does not count as the file."""
    (tmp_path / "old").write_bytes(b"content")
    (tmp_path / "new").symlink_to("old")

    assert not link(str(tmp_path / "old"), str(tmp_path / "new"))


def test_file_replaced_since_its_check_is_not_linked(tmp_path: Path) -> None:
    """A file that was replaced after its check, by a symlink or another file, is not linked."""
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
def test_link_errors_name_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[MirrorError], remedy: str
) -> None:
    """Every error of the kernel is reported with a remedy."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)

    with pytest.raises(kind, match=remedy):
        link(str(tmp_path / "old"), str(tmp_path / "new"))


def test_symlinked_page_follows_the_page(tmp_path: Path) -> None:
    """A symlinked name shows the current page, also in a moved tree; a leftover of a crash does not matter."""
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
