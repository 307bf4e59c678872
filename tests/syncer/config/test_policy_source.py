"""If mirror.toml becomes unusable, the last good policy stays in force, and the operator is informed."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from mirror_contract import PolicyState
from mirror_syncer.config.mirror_toml.file import PolicyError, example_of, judge_policy, read_policy
from mirror_syncer.config.mirror_toml.source import PolicySource
from syncer.rights import ordinary

pytestmark = pytest.mark.proves("reliability/host")

GOOD = '[mirror]\nprojects = ["six"]\n'
BETTER = '[mirror]\nprojects = ["six", "idna"]\n'
FIVE_MISTAKES = """[miror]
[mirror]
scope = "all"
projects = ["a b"]
latest = 0
[removal]
grace = "1 day"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of the operator's policy, in a directory of its own."""
    directory = tmp_path / "config"
    directory.mkdir()
    (tmp_path / "state").mkdir()
    return directory / "mirror.toml"


def opened(path: Path) -> PolicySource:
    """Return the policy source after a start."""
    return PolicySource(path, state=path.parents[1] / "state")


def names(source: PolicySource) -> set[str]:
    """Return the projects that the policy in force names."""
    return set(map(str, source.current.projects))


def file_state(source: PolicySource) -> PolicyState:
    """Return the state of the file, without what the policy says and when it was read."""
    return source.state().model_copy(update={"facts": [], "read_at": None})


def half_written(path: Path) -> None:
    """Leave a half written file, as an editor or a copy might."""
    path.write_text(GOOD[:-4])


def vanished(path: Path) -> None:
    """Delete the file."""
    path.unlink()


def replaced_by_a_directory(path: Path) -> None:
    """Put a directory in its place, as Docker does for a mount without a source."""
    path.unlink()
    path.mkdir()


def mistaken(path: Path) -> None:
    """Write a policy with five mistakes."""
    path.write_text(FIVE_MISTAKES)


def emptied(path: Path) -> None:
    """Truncate the file, as the first step of a write in place."""
    path.write_text("")


@pytest.mark.parametrize(
    ("spoil", "lines", "told"),
    [
        (half_written, [2], "is not TOML: "),
        (vanished, [None], "mirror.toml is missing; restore it, or copy mirror.example.toml there"),
        (replaced_by_a_directory, [None], "is a directory; put a file with the policy in its place"),
        (mistaken, [1, 3, 4, 5, 7], "mirror.latest = 0: must be a whole number"),
        (emptied, [None], "must name a project"),
    ],
)
def test_unusable_file_keeps_the_last_good_policy(
    path: Path, spoil: Callable[[Path], None], lines: list[int | None], told: str
) -> None:
    """An unusable file is reported with its lines; the last good policy stays in force, even across restarts."""
    path.write_text(GOOD)
    source = opened(path)
    digest = source.digest
    spoil(path)
    [reason] = source.reload()
    assert reason.endswith("; the last good policy stays in force")
    assert told in reason
    assert "\n" not in reason
    for after in (source, opened(path), opened(path)):
        assert (names(after), after.digest) == ({"six"}, digest)
        state = after.state()
        assert [problem.line for problem in state.problems] == lines
        assert (state.file, state.starter, state.changed) == (str(path), False, False)
        assert state.invalid_since is not None
        assert source.on_disk() == source.current
    if path.is_dir():
        path.rmdir()
    path.write_text(BETTER)
    assert source.reload() == []
    assert names(source) == {"six", "idna"}
    assert file_state(source) == PolicyState(file=str(path))
    assert source.digest != digest


def test_file_without_permission_names_the_chmod(path: Path) -> None:
    """A file that loses its read permission leaves the policy in force; the message has the chmod command."""
    path.write_text(GOOD)
    source = opened(path)
    path.chmod(0)
    with ordinary():
        [reason] = source.reload()
    assert "on the host: chmod o+r mirror.toml" in reason
    assert names(source) == {"six"}


def test_first_start_with_an_unusable_file_is_refused(path: Path) -> None:
    """A start with an unusable file and no last good policy fails, and lists all problems."""
    path.write_text(FIVE_MISTAKES)
    with pytest.raises(PolicyError) as refused:
        opened(path)
    assert len(refused.value.problems) == 5


def test_unreadable_last_good_policy_is_ignored(path: Path) -> None:
    """A stored policy that is damaged, or of an incompatible version, is ignored; only the file counts."""
    path.write_text(GOOD)
    opened(path)
    kept = path.parents[1] / "state" / "policy.json"
    assert kept.exists()
    for content in (
        b"",
        b"{}",
        b"\xff",
        b'{"path": "x", "starter": false, "text": "a = 1", "starter_projects": []}',
        b'{"path": "x", "starter": false, "text": "\\ud800", "starter_projects": []}',
    ):
        kept.write_bytes(content)
        assert names(opened(path)) == {"six"}
        kept.write_bytes(content)
        path.write_text("")
        with pytest.raises(PolicyError):
            opened(path)
        path.write_text(GOOD)


def test_unwritable_state_keeps_the_policy_in_force(tmp_path: Path) -> None:
    """If the state directory is missing or full, the policy is in force but not stored for the next start."""
    path = tmp_path / "mirror.toml"
    path.write_text(GOOD)
    assert names(PolicySource(path, state=tmp_path / "absent")) == {"six"}


def test_example_is_in_force_until_mirror_toml_exists(path: Path) -> None:
    """The shipped example is in force, and reported, until mirror.toml exists; afterwards it is never used again."""
    example_of(path).write_text(GOOD)
    source = opened(path)
    assert names(source) == {"six"}
    assert file_state(source) == PolicyState(file=str(example_of(path)), starter=True)
    assert set(read_policy(path).projects) == set(source.current.projects)
    path.write_text('[mirror]\nprojects = ["idna"]\n')
    assert source.reload() == []
    assert names(source) == {"idna"}
    assert file_state(source) == PolicyState(file=str(path))
    path.unlink()
    assert source.reload() != []
    assert names(source) == {"idna"} == names(opened(path))


def test_only_projects_of_the_example_are_replaceable(path: Path) -> None:
    """Projects of the example stay replaceable, across restarts, until the operator's policy names them."""
    example_of(path).write_text('[mirror]\nprojects = ["six", "idna", "pip"]\n')
    assert opened(path).replaceable == {"six", "idna", "pip"}
    path.write_text('[mirror]\nprojects = ["six", "numpy"]\n')
    assert opened(path).replaceable == {"idna", "pip"}
    path.write_text('[mirror]\nprojects = ["numpy", "idna"]\n')
    assert opened(path).replaceable == {"pip"}
    path.write_text('[mirror]\nprojects = ["numpy"]\n')
    assert opened(path).replaceable == {"pip"}, "six and idna were the operator's: the guard judges"


def test_editor_that_renames_is_followed(path: Path) -> None:
    """The policy follows an editor that writes a new file and renames it, even through a symlink."""
    path.write_text(GOOD)
    source = opened(path)
    (path.parent / "new").write_text(BETTER)
    (path.parent / "new").rename(path)
    assert source.reload() == []
    assert names(source) == {"six", "idna"}
    (path.parent / "linked.toml").write_text(GOOD)
    path.unlink()
    path.symlink_to("linked.toml")
    assert source.reload() == []
    assert names(source) == {"six"}


def write(path: Path, text: str) -> None:
    """Write in place, as some editors do."""
    path.write_text(text)


async def test_each_change_is_reported_once(path: Path) -> None:
    """The watch reports each change of the file once, and changes nothing in force."""
    write(path, GOOD)
    source = opened(path)
    noticed = asyncio.Queue[PolicyState]()
    watch = asyncio.create_task(source.watch(noticed.put_nowait, every=0.01))
    try:
        async with asyncio.timeout(60):
            write(path, BETTER)
            while not (state := await noticed.get()).changed:  # it may be seen half written
                pass
            assert names(source) == {"six"}
            write(path, FIVE_MISTAKES)
            while len((state := await noticed.get()).problems) != 5:
                pass
            assert state.file == str(path)
            write(path, GOOD)
            while (state := await noticed.get()).problems:
                pass
            assert not state.changed
    finally:
        watch.cancel()
    assert noticed.empty()


def test_check_of_a_candidate_changes_nothing(path: Path) -> None:
    """The check of a candidate depends only on its content, and changes nothing."""
    with pytest.raises(PolicyError) as refused:
        judge_policy(FIVE_MISTAKES.encode(), path=path)
    assert [problem.key for problem in refused.value.details] == [
        "miror",
        "mirror.scope",
        "mirror.projects",
        "mirror.latest",
        "removal.grace",
    ]
    assert list(path.parent.iterdir()) == []
