"""The list of changes: what edges must ask for again."""

import fcntl
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import fakepypi
from mirror_syncer.errors import VolumeFullError
from mirror_syncer.model.names import PackagePath
from mirror_syncer.volume import Volume
from mirror_syncer.volume.changes import FILE_SECONDS, MAX_BYTES, PAGE_SECONDS, Changes
from syncer.mounts import fill, small_disk
from syncer.site import Site

NAME = "evil-1.0.tar.gz"
PLACE = PackagePath(f"packages/ab/{NAME}")
HEAD = re.compile(r"pypi-mirror-changes 1 [0-9a-f]{16}")


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    """Return an empty tree."""
    return Volume(tmp_path, mirror_id="id", known=False)


def listed(base: Path) -> list[str]:
    """Return the paths of the list, without their times."""
    head, *lines = (base / ".changes").read_text().splitlines()
    assert HEAD.fullmatch(head)
    assert all(abs(int(line.split(" ", 1)[0]) - time.time()) < 60 for line in lines)
    return [line.split(" ", 1)[1] for line in lines]


def publish(volume: Volume) -> None:
    """Put a file at its place."""
    (volume.web / PLACE).write_bytes(b"evil")


@pytest.mark.proves("security/project-owners")
def test_file_is_listed_before_it_leaves(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is held, withdrawn or removed is listed first: killed in between, edges still hear of it."""
    add, seen = Changes.add, list[bool]()

    def observe(self: Changes, paths: list[str]) -> None:
        seen.append((volume.web / PLACE).exists() and not volume.is_held(PLACE, address=None))
        add(self, paths)

    monkeypatch.setattr(Changes, "add", observe)
    with volume:
        publish(volume)
        volume.hold(PLACE, "malware", address=None)
        volume.hold(PLACE, "malware", address=None)
        assert listed(volume.base) == [PLACE]
        volume.release(PLACE, address=None)
        volume.withdraw(PLACE)
        publish(volume)
        volume.remove(PLACE)
        assert (seen, listed(volume.base)) == ([True] * 3, [PLACE] * 3)


def test_file_that_was_never_published_is_not_listed(volume: Volume) -> None:
    """A file that waits from its first day on is not listed: no edge has it."""
    with volume:
        volume.hold(PLACE, "too young", address=None)
        volume.remove(PLACE)
        assert listed(volume.base) == []


def test_file_leaves_a_full_disk_although_it_cannot_be_listed_first(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk a removed file makes room for its own line."""
    add = Changes.add

    def refuse(self: Changes, paths: list[str]) -> None:
        if (volume.web / PLACE).exists():
            raise VolumeFullError("full")
        add(self, paths)

    monkeypatch.setattr(Changes, "add", refuse)
    with volume:
        publish(volume)
        volume.remove(PLACE)
        assert listed(volume.base) == [PLACE]


def test_outdated_lines_are_dropped(tmp_path: Path) -> None:
    """Lines that no edge needs any more are dropped, and the head then changes; the others stay in their order."""
    changes, now = Changes(tmp_path, tmp_path), int(time.time())
    old, page = now - FILE_SECONDS - 60, now - PAGE_SECONDS - 60
    lines = [f"{old} packages/ab/old{number}.whl" for number in range(200)]
    lines += [f"{page} simple/old", f"{now} packages/ab/a.whl", f"{now} simple/new", f"{page} packages/ab/b.whl"]
    head = f"pypi-mirror-changes 1 {'0' * 16}"
    (tmp_path / ".changes").write_text("\n".join([head, *lines, ""]))
    changes.trim()
    kept = (tmp_path / ".changes").read_text().splitlines()
    assert HEAD.fullmatch(kept[0])
    assert kept[0] != head
    assert kept[1:] == [lines[-3], lines[-2], lines[-1]]
    changes.trim()
    assert (tmp_path / ".changes").read_text().splitlines() == kept


@pytest.mark.proves("reliability/edges")
def test_list_stays_as_short_as_edges_read(tmp_path: Path) -> None:
    """Of more lines than edges read, the newest half stays, in their order and with a new head, also within a run."""
    now, name = int(time.time()), "a" * 200
    lines = [f"{now} packages/ab/{name}-{number}.whl" for number in range(2 * MAX_BYTES // 240)]
    head = f"pypi-mirror-changes 1 {'0' * 16}"
    (tmp_path / ".changes").write_text("\n".join([head, *lines, ""]))
    Changes(tmp_path, tmp_path).add([PLACE])
    kept = (tmp_path / ".changes").read_text().splitlines()
    assert MAX_BYTES // 2 - 300_000 < (tmp_path / ".changes").stat().st_size <= MAX_BYTES // 2 + 100
    assert kept[0] != head
    assert kept[1:-1] == lines[-len(kept[1:-1]) :]
    assert kept[-1].endswith(PLACE)


@pytest.mark.proves("security/neighbours")
def test_planted_list_is_replaced(tmp_path: Path) -> None:
    """A symlink in the list's place is removed, and other content becomes an empty list."""
    target = tmp_path / "target"
    target.write_text("precious\n")
    (tmp_path / ".changes").symlink_to(target)
    Changes(tmp_path, tmp_path).add([PLACE])
    assert (target.read_text(), listed(tmp_path)) == ("precious\n", [PLACE])
    (tmp_path / ".changes").write_bytes(b"\xff\xfe no list")
    Changes(tmp_path, tmp_path).trim()
    assert listed(tmp_path) == []
    (tmp_path / ".changes").unlink()
    os.mkfifo(tmp_path / ".changes")
    Changes(tmp_path, tmp_path).trim()
    assert listed(tmp_path) == []


@pytest.mark.proves("security/neighbours")
def test_reader_of_the_list_cannot_lock_it(tmp_path: Path) -> None:
    """Who can read the list holds no change up by locking it."""
    changes = Changes(tmp_path, tmp_path)
    changes.add([PLACE])
    with (tmp_path / ".changes").open("rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_EX)
        changes.add([PLACE])
    assert listed(tmp_path) == [PLACE] * 2
    assert (tmp_path / ".changes.lock").stat().st_mode & 0o077 == 0


@pytest.mark.proves("reliability/edges")
def test_full_disk_takes_no_half_line(tmp_path: Path) -> None:
    """On a disk that fills up within a line, the list stays as it was, and with room the line is added."""
    with small_disk(tmp_path, size=2**20):
        changes = Changes(tmp_path, tmp_path)
        changes.add([PLACE])
        long = [f"packages/ab/{'a' * 200}-{number}.whl" for number in range(100)]
        with fill(tmp_path, leaving=30_000), pytest.raises(VolumeFullError):
            changes.add(long * 10)
        lines = listed(tmp_path)
        assert lines == [PLACE]
        changes.add([PLACE])
        assert listed(tmp_path) == [*lines, PLACE]


def _add(directory: Path, number: int) -> None:
    changes = Changes(directory, directory)
    for line in range(60):
        changes.add([f"packages/ab/{number}-{line}.whl"])
        if number == 0:
            changes.trim()


def test_several_processes_lose_no_line(tmp_path: Path) -> None:
    """Workers add lines while another process rewrites the list; none is lost. Each call has its own lock."""
    old = f"{int(time.time()) - FILE_SECONDS - 60} packages/ab/old.whl\n"
    (tmp_path / ".changes").write_text(f"pypi-mirror-changes 1 {'0' * 16}\n{old * 2_000}")
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(_add, [tmp_path] * 3, range(3)))
    expected = {f"packages/ab/{number}-{line}.whl" for number in range(3) for line in range(60)}
    found = [line.split(" ", 1)[1] for line in (tmp_path / ".changes").read_text().splitlines()[1:]]
    assert set(found) - {"packages/ab/old.whl"} == expected


async def test_sync_lists_what_edges_may_have(tmp_path: Path) -> None:
    """A sync lists a replaced page and a removed file, and nothing of a project's first page."""
    async with fakepypi.serve() as pypi:
        site = Site(tmp_path, upstream=pypi.url)
        site.select("six", grace="0h")
        project = pypi.index.project("six")
        project.upload("1.0")
        await site.sync()
        assert listed(site.web.parent) == []
        files = {path.name for path in site.web.glob("packages/??/*") if path.is_file()}
        project.upload("1.1")
        await site.sync()
        assert listed(site.web.parent) == ["simple/six"]
        project.delete()
        await site.sync()
        left = listed(site.web.parent)
        assert "simple/six" in left[1:]
        assert {path.rpartition("/")[2] for path in left if path.startswith("packages/")} >= {
            name for name in files if not name.endswith(".metadata")
        }
