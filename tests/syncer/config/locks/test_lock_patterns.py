"""Patterns name lock files below the directory of mirror.toml, and nothing else."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_syncer.config.locks.patterns import find_files, is_match, parse_lock_pattern

TREE = (
    "uv.lock",
    "mirror.toml",
    "locks/a.lock",
    "locks/b.lock",
    "locks/.hidden.lock",
    "locks/requirements.txt",
    "locks/team/uv.lock",
    "locks/team/deep/uv.lock",
    "locks/.git/uv.lock",
    "locks/dir.lock/inside.txt",
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a directory with locks at several depths."""
    for name in TREE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("uv.lock", ["uv.lock"]),
        ("*.lock", ["uv.lock"]),
        ("locks/*.lock", ["locks/a.lock", "locks/b.lock"]),
        ("locks/[!a].lock", ["locks/b.lock"]),
        ("locks/.*.lock", ["locks/.hidden.lock"]),
        ("locks/*/uv.lock", ["locks/team/uv.lock"]),
        ("locks/**/uv.lock", ["locks/team/deep/uv.lock", "locks/team/uv.lock"]),
        ("**/uv.lock", ["locks/team/deep/uv.lock", "locks/team/uv.lock", "uv.lock"]),
        ("locks/team/**", ["locks/team/deep/uv.lock", "locks/team/uv.lock"]),
        ("locks/requirements*.txt", ["locks/requirements.txt"]),
        ("locks/team", ["locks/team"]),
        ("locks/pylock*.toml", []),
        ("absent/*.lock", []),
    ],
)
def test_pattern_matches_as_in_a_shell(pattern: str, files: list[str], tree: Path) -> None:
    """A pattern matches files as in a shell; ** stands for any directories, and hidden files need a dot."""
    found = find_files(tree, [parse_lock_pattern(pattern)])
    assert found.files == files
    assert found.silent == ([] if files else [pattern])
    assert all(is_match(file, pattern) for file in files)


@pytest.mark.proves("security/mistakes")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "/etc/passwd",
        "../x.lock",
        "a/../../x",
        "./x",
        "a//x",
        "~/x",
        "a\\x",
        "a\n",
        "\0",
        "a/**b",
        "**/**/x",
        "a/" * 99,
    ],
)
def test_pattern_out_of_the_directory_is_refused(text: str) -> None:
    """A pattern that is not a plain path below the directory of mirror.toml is refused, with an example."""
    with pytest.raises(ValueError, match='as in "locks/'):
        parse_lock_pattern(text)


@pytest.mark.proves("security/mistakes")
def test_directories_with_too_many_files_are_not_searched_to_the_end(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search stops after a bound, and says so."""
    monkeypatch.setattr("mirror_syncer.config.locks.patterns._MAX_ENTRIES", 3)
    assert find_files(tree, ["**/*.lock"]).unlisted["."] == "has more than 3 files"


def test_symlink_of_a_directory_to_its_parent_ends(tree: Path) -> None:
    """A symlink that leads back up does not make a search endless."""
    (tree / "locks" / "loop").symlink_to(tree)
    (tree / "locks" / "self.lock").symlink_to("self.lock")
    assert "locks/team/uv.lock" in find_files(tree, ["**/uv.lock", "locks/self.lock"]).files


parts = st.text(st.sampled_from("ab*?"), min_size=1, max_size=3).filter(lambda part: "**" not in part)


@settings(max_examples=200)
@given(st.lists(parts | st.just("**"), min_size=1, max_size=3), st.integers(0, 9))
def test_found_files_match_their_pattern(pattern: list[str], which: int) -> None:
    """Whether a pattern names a file can be told without the disk."""
    name = ["a", "b", "ab", "ba", "a/b", "a/a", "ab/ba", "a/b/ab", "b/b/b/a", "a.b"][which]
    expected = any(map(Path(name).match, ["/".join(pattern)])) if "**" not in pattern else None
    if expected is not None and name.count("/") == len(pattern) - 1:
        assert is_match(name, "/".join(pattern)) == expected
