"""If a lock becomes unusable, its last good reading stays in force, and the operator is informed."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from mirror_syncer.config.locks.collector import Reading
from mirror_syncer.config.locks.formats import read_lock
from mirror_syncer.config.locks.lock_source import Locks, LockSource, read_locks
from mirror_syncer.config.locks.patterns import parse_lock_pattern
from mirror_syncer.config.locks.requirements import Include
from syncer.mounts import fill, small_disk
from syncer.rights import ordinary

PATTERNS = [parse_lock_pattern(text) for text in ("locks/*.lock", "locks/requirements*.txt")]
REMEDY = "add a lock, or remove the pattern from [dependencies]"
Opened = Callable[[], LockSource]


def pinned(locks: Locks) -> set[str]:
    """Return name and version of each pin."""
    return {f"{pin.project} {pin.version}" for pins in locks.pins.values() for pin in pins}


def half_written(path: Path) -> None:
    """Leave half of the file, as a copy under way."""
    path.write_text(path.read_text()[:1000])


def emptied(path: Path) -> None:
    """Truncate the file, as the first step of a write in place."""
    path.write_text("")


def of_the_future(path: Path) -> None:
    """Write it as an unknown version."""
    path.write_text(path.read_text().replace("version = 1\n", "version = 9\n"))


def conflicted(path: Path) -> None:
    """Leave the marks of a merge with conflicts."""
    path.write_text(path.read_text().replace("[[package]]", "<<<<<<< HEAD\n[[package]]", 1))


def binary(path: Path) -> None:
    """Write something else over it."""
    path.write_bytes(bytes(range(256)))


def replaced_by_a_fifo(path: Path) -> None:
    """Put a FIFO in its place, on which a reader waits for ever."""
    path.unlink()
    os.mkfifo(path)


def dangling(path: Path) -> None:
    """Put a symlink to nothing in its place."""
    path.unlink()
    path.symlink_to("nothing")


def circular(path: Path) -> None:
    """Put a symlink to itself in its place."""
    path.unlink()
    path.symlink_to(path.name)


def outside(path: Path) -> None:
    """Put a symlink out of the directory in its place."""
    path.rename(path.parents[2] / "outside.lock")
    path.symlink_to(path.parents[2] / "outside.lock")


def huge(path: Path) -> None:
    """Let it grow beyond the bound, without using the disk."""
    with path.open("r+b") as file:
        file.truncate(64 * 2**20 + 1)


@pytest.mark.proves("reliability/host")
@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (half_written, "line 25: is not TOML: "),
        (emptied, "is empty; copy it again, or remove it if it should pin nothing"),
        (of_the_future, "uv.lock version 9 is unknown; this mirror reads version 1"),
        (conflicted, "line 12: is not TOML: "),
        (binary, "line 2: is not UTF-8; save the file as UTF-8"),
        (replaced_by_a_fifo, "is not a regular file; put the lock in its place"),
        (dangling, "cannot be read (no such file or directory); copy it again, or remove it"),
        (circular, "cannot be read ("),
        (outside, "is a symlink out of the directory of mirror.toml, which is not read; copy the file there"),
        (huge, "has more than 64 MiB; if it is no lock, remove it, or narrow the pattern"),
    ],
)
def test_unusable_lock_keeps_its_last_good_reading(
    spoil: Callable[[Path], None], told: str, *, directory: Path, opened: Opened, written: Callable[[str], str]
) -> None:
    """An unusable lock is reported with file and line; its last good reading stays in force, even across restarts."""
    path = directory / "locks" / "uv.lock"
    path.write_text(written("uv.lock"))
    (directory / "locks" / "requirements.txt").write_text("attrs==25.1\n")
    source = opened()
    good = source.read(PATTERNS)
    assert len(good.pins) == 5
    spoil(path)
    assert source.changed()
    for after in (source, opened(), opened()):
        locks = after.read(PATTERNS)
        assert locks.pins == good.pins
        [problem] = [one for one in locks.problems if one.unusable]
        assert str(problem).removeprefix("locks/uv.lock, ").removeprefix("locks/uv.lock: ").startswith(told)
        assert problem.message.endswith("; its last good reading stays in force")
        assert [(file.file, file.is_current) for file in locks.files] == [
            ("locks/requirements.txt", True),
            ("locks/uv.lock", False),
        ]
        assert not after.changed()
    path.unlink()
    path.write_text(written("pdm.lock"))
    assert source.changed()
    assert pinned(source.read(PATTERNS)) == {"attrs 25.1", "colorama 0.4.6", "idna 3.10", "six 1.17.0"}


def test_lock_without_a_last_good_reading_pins_nothing(directory: Path, opened: Opened) -> None:
    """A lock that never could be read pins nothing, and the message says so; the other locks count."""
    (directory / "locks" / "a.lock").write_text("version = 9\nrequires-python = '>=3'\n")
    (directory / "locks" / "b.lock").write_text("six==1.0\n")
    locks = opened().read(PATTERNS)
    assert pinned(locks) == {"six 1.0"}
    assert [str(problem) for problem in locks.problems] == [
        f"{PATTERNS[1]}: matches no file in the directory of mirror.toml; {REMEDY}",
        "locks/a.lock: uv.lock version 9 is unknown; this mirror reads version 1; it pins nothing",
    ]


@pytest.mark.proves("reliability/host")
def test_lock_without_permission_names_the_chmod(directory: Path, opened: Opened) -> None:
    """A lock that loses its read permission keeps its last good reading; the message has the chmod command."""
    path = directory / "locks" / "a.lock"
    path.write_text("six==1.0\n")
    source = opened()
    source.read(PATTERNS)
    path.chmod(0)
    with ordinary():
        assert source.changed(), "the mode alone counts"
        locks = source.read(PATTERNS)
    assert pinned(locks) == {"six 1.0"}
    assert "on the host: chmod o+r locks/a.lock; its last good reading stays in force" in str(locks.problems[-1])
    path.chmod(0o644)
    assert source.changed()
    assert source.read(PATTERNS).files[0].is_current


def test_pins_of_a_removed_lock_end(directory: Path, opened: Opened) -> None:
    """The pins of a lock that the operator removed end, also after a restart, and also those of a removed pattern."""
    for name in "ab":
        (directory / "locks" / f"{name}.lock").write_text(f"{name}==1.0\n")
    source = opened()
    assert pinned(source.read(PATTERNS)) == {"a 1.0", "b 1.0"}
    (directory / "locks" / "a.lock").unlink()
    assert source.changed()
    assert pinned(source.read(PATTERNS)) == pinned(opened().read(PATTERNS)) == {"b 1.0"}
    locks = source.read([])
    assert (locks.pins, locks.problems, locks.files) == ({}, (), ())


def removed(directory: Path) -> None:
    """Remove the directory of locks, as a mount that failed does."""
    shutil.rmtree(directory / "locks")


def replaced_by_a_file(directory: Path) -> None:
    """Put a file in its place."""
    removed(directory)
    (directory / "locks").touch()


def unmounted(directory: Path) -> None:
    """Remove the whole directory of mirror.toml."""
    shutil.rmtree(directory)


@pytest.mark.proves("reliability/host")
@pytest.mark.parametrize("spoil", [removed, replaced_by_a_file, unmounted])
@pytest.mark.parametrize("patterns", [PATTERNS, ["locks/a.lock", "locks/b.lock"], ["locks/**/?.lock"]])
def test_missing_directory_keeps_the_last_good_readings(
    spoil: Callable[[Path], None], patterns: list[str], *, directory: Path, opened: Opened
) -> None:
    """A directory of locks that is missing keeps the last good readings, across restarts, and is reported."""
    for name in "ab":
        (directory / "locks" / f"{name}.lock").write_text(f"{name}==1.0\n")
    source = opened()
    source.read(patterns)
    spoil(directory)
    assert source.changed()
    for after in (source, opened(), opened()):
        locks = after.read(patterns)
        assert pinned(locks) == {"a 1.0", "b 1.0"}
        [problem] = [one for one in locks.problems if one.unusable]
        assert problem.file == "locks"
        assert problem.message.endswith("; the last good readings of 2 locks stay in force")
        assert not any(file.is_current for file in locks.files)
        assert not after.changed()


@pytest.mark.proves("reliability/host")
def test_directory_without_permission_keeps_the_last_good_readings(directory: Path, opened: Opened) -> None:
    """A directory that cannot be listed keeps the last good readings; permission alone brings it back."""
    (directory / "locks" / "a.lock").write_text("six==1.0\n")
    source = opened()
    source.read(PATTERNS)
    (directory / "locks").chmod(0)
    with ordinary():
        assert source.changed()
        locks = source.read(PATTERNS)
        assert "locks: cannot be listed (Permission denied); restore it" in str(locks.problems[-1])
        assert pinned(locks) == {"six 1.0"}
        assert not opened().read(PATTERNS).problems[-1].message.startswith("matches")
        (directory / "locks").chmod(0o755)
        assert source.changed()
        assert source.read(PATTERNS).files[0].is_current


def test_only_changed_locks_are_read_again(directory: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading without changes opens no file, and a changed file is the only one that is read again."""
    for name in "abc":
        (directory / "locks" / f"{name}.lock").write_text(f"{name}==1.0\n")
    source = opened()
    assert source.changed(), "nothing was read yet"
    before = source.read(PATTERNS)
    read = list[str]()

    def spied(file: str, text: str, *, include: Include) -> Reading:
        read.append(file)
        return read_lock(file, text, include=include)

    monkeypatch.setattr("mirror_syncer.config.locks.lock_source.read_lock", spied)
    assert not source.changed()
    assert source.read(PATTERNS) == before
    assert read == []
    path = directory / "locks" / "b.lock"
    times = path.stat()
    (directory / "new").write_text("b==1.1\n")
    os.utime(directory / "new", ns=(times.st_atime_ns, times.st_mtime_ns))
    (directory / "new").rename(path)  # as rsync does: the same size and time
    assert source.changed()
    assert pinned(source.read(PATTERNS)) == {"a 1.0", "b 1.1", "c 1.0"}
    assert read == ["locks/b.lock"]


@pytest.mark.proves("reliability/disk")
def test_full_disk_costs_only_the_memory(tmp_path: Path, directory: Path, written: Callable[[str], str]) -> None:
    """If the state directory is full or missing, the locks are in force, but not kept for the next start."""
    (directory / "locks" / "uv.lock").write_text(written("uv.lock"))
    state = tmp_path / "small"
    state.mkdir()
    with small_disk(state, size=2**20):
        with fill(state):
            assert len(LockSource(directory, state=state).read(PATTERNS).pins) == 4
            assert [path.name for path in state.iterdir()] == ["ubuntu"]
        source = LockSource(directory, state=state)
        source.read(PATTERNS)
        assert (state / "locks.json").exists()
        (directory / "locks" / "uv.lock").write_text("six==1.0\nidna==3.10\n")
        with fill(state):
            assert pinned(source.read(PATTERNS)) == {"six 1.0", "idna 3.10"}
        (directory / "locks" / "uv.lock").write_text("")
        assert len(LockSource(directory, state=state).read(PATTERNS).pins) == 4, "the file of before is whole"
    assert len(LockSource(directory, state=tmp_path / "absent").read(PATTERNS).pins) == 0
    (tmp_path / "file").touch()
    (directory / "locks" / "uv.lock").write_text("six==1.0\n")
    assert pinned(LockSource(directory, state=tmp_path / "file").read(PATTERNS)) == {"six 1.0"}


@pytest.mark.proves("reliability/host")
@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        '{"format": 2, "locks": {}}',
        '{"format": 1, "locks": {"locks/a.lock": {"kind": "", "pins": [["../x", "1.0", [], ""]]}}}',
        '{"format": 1, "locks": {"locks/a.lock": {"kind": "", "pins": [["six", "banana", [], ""]]}}}',
        '{"format": 1, "locks": {"locks/a.lock": {"kind": "", "pins": [["six", "1.0", ["12"], ""]]}}}',
    ],
)
def test_damaged_memory_is_ignored(content: str, directory: Path, opened: Opened) -> None:
    """Stored readings that are damaged, or of another version, are ignored; only the files count."""
    path = directory / "locks" / "a.lock"
    path.write_text("six==1.0\n")
    opened().read(PATTERNS)
    kept = directory.parent / "state" / "locks.json"
    assert kept.exists()
    kept.write_text(content)
    assert pinned(opened().read(PATTERNS)) == {"six 1.0"}
    kept.write_text(content)
    path.write_text("")
    assert pinned(opened().read(PATTERNS)) == set()


def test_reader_beside_the_service_writes_nothing(directory: Path, opened: Opened) -> None:
    """A process that only reads uses the last good readings, and never writes them."""
    path = directory / "locks" / "a.lock"
    path.write_text("six==1.0\n")
    state = directory.parent / "state"
    LockSource(directory, state=state, keeps=False).read(PATTERNS)
    assert list(state.iterdir()) == []
    opened().read(PATTERNS)
    path.write_text("")
    kept = (state / "locks.json").read_bytes()
    assert pinned(LockSource(directory, state=state, keeps=False).read(PATTERNS)) == {"six 1.0"}
    assert (state / "locks.json").read_bytes() == kept


def test_preview_changes_nothing(directory: Path, opened: Opened) -> None:
    """A preview of other patterns uses the last good readings, and forgets none of them."""
    for name in "ab":
        (directory / "locks" / f"{name}.lock").write_text(f"{name}==1.0\n")
    source = opened()
    source.read(PATTERNS)
    (directory / "locks" / "a.lock").write_text("")
    assert pinned(source.preview(["locks/a.*"])) == {"a 1.0"}
    assert pinned(source.preview(["locks/b.*"])) == {"b 1.0"}
    assert source.changed()
    for after in (source, opened()):
        assert pinned(after.read(PATTERNS)) == {"a 1.0", "b 1.0"}


def test_reading_does_not_depend_on_patterns_and_names(directory: Path, written: Callable[[str], str]) -> None:
    """The same locks pin the same files in any order of patterns, and reading again changes nothing."""
    for number, name in enumerate(("uv.lock", "poetry.lock", "pylock.pip.toml", "requirements.txt", "Pipfile.lock")):
        (directory / "locks" / f"{number}.lock").write_text(written(name))
    patterns = [f"locks/{number}.lock" for number in range(5)] + ["locks/*.lock"]
    expected = read_locks(["locks/*.lock"], directory)
    for seed in range(5):
        random.Random(seed).shuffle(patterns)
        source = LockSource(directory, state=None)
        for _ in range(2):
            assert source.read(patterns) == expected
    [of_116, of_117] = expected.of(NormalizedName("six"))
    assert str(of_116.version) == "1.16.0"
    assert of_116.source == "locks/0.lock, line 53; locks/1.lock, line 41; locks/3.lock, line 11"
    assert of_117.source.endswith(" and 2 more")


def test_directory_of_a_kubernetes_mount_is_read(directory: Path, opened: Opened) -> None:
    """Symlinks inside the directory are followed: a ConfigMap's files are links that change all at once."""
    for number in (1, 2):
        (directory / "locks" / f"..{number}").mkdir()
        (directory / "locks" / f"..{number}" / "a.lock").write_text(f"six=={number}.0\n")
    (directory / "locks" / "..data").symlink_to("..1")
    (directory / "locks" / "a.lock").symlink_to("..data/a.lock")
    source = opened()
    assert pinned(source.read(PATTERNS)) == {"six 1.0"}
    (directory / "locks" / "new").symlink_to("..2")
    (directory / "locks" / "new").rename(directory / "locks" / "..data")
    assert source.changed()
    assert pinned(source.read(PATTERNS)) == {"six 2.0"}


@pytest.fixture
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the bounds on the number of locks and pins."""
    monkeypatch.setattr("mirror_syncer.config.locks.lock_source._MAX_FILES", 3)
    monkeypatch.setattr("mirror_syncer.config.locks.lock_source._MAX_PINS", 10)
    for module in ("collector", "toml_lock"):
        monkeypatch.setattr(f"mirror_syncer.config.locks.{module}.MAX_PINS", 8)


@pytest.mark.proves("security/mistakes")
@pytest.mark.usefixtures("small_bounds")
def test_bounds_hold_for_locks_and_pins(directory: Path, opened: Opened) -> None:
    """Too many locks, or too many packages in one lock or in all, are reported; the rest counts."""
    for number in range(5):
        (directory / "locks" / f"{number}.lock").write_text("".join(f"p{number}{one}==1\n" for one in range(4)))
    source = opened()
    locks = source.read(["locks/*.lock"])
    assert [file.file for file in locks.files] == ["locks/0.lock", "locks/1.lock"]
    assert [str(problem)[:40] for problem in locks.problems] == [
        "locks/3.lock: is not read: of 5 locks on",
        "locks/2.lock: is not used: all locks tog",
    ]
    for text in (
        "".join(f"p{one}==1\n" for one in range(9)),
        "[[package]]\nname = 'x'\nversion = '1'\n" * 10,
        "version = 1\nrequires-python = '>=3'\npackage = [" + '{name = "x", version = "1"}, ' * 10 + "]\n",
    ):
        (directory / "locks" / "0.lock").write_text(text)
        locks = source.read(["locks/0.lock"])
        assert pinned(locks) == {"p00 1", "p01 1", "p02 1", "p03 1"}, "the last good reading"


@pytest.mark.proves("security/mistakes")
def test_name_that_no_message_can_show_is_not_read(directory: Path, opened: Opened) -> None:
    """A lock whose name has control characters is not read; the message shows the name escaped."""
    (directory / "locks" / "a\nb\x1b[31m.lock").write_text("six==1.0\n")
    (directory / "locks" / os.fsdecode(b"\xff.lock")).write_text("six==1.0\n")
    locks = opened().read(["locks/*.lock"])
    assert not locks.pins
    assert all(str(problem).isprintable() for problem in locks.problems)
    assert len([problem for problem in locks.problems if problem.unusable]) == 2
