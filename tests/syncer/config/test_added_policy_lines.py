"""Added lines in the policy."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.utils import NormalizedName

from mirror_syncer.config.mirror_toml.added_lines import idle_added_lines, with_added_lines
from mirror_syncer.config.mirror_toml.source import PolicySource
from mirror_syncer.config.mirror_toml.tables import parse_policy
from mirror_syncer.config.policy.added_line import AddedLine
from mirror_syncer.config.policy.policy import Policy

SIX, IDNA = NormalizedName("six"), NormalizedName("idna")


def policy(projects: str = '"six>=1"', more: str = "") -> Policy:
    """Return a policy of a file."""
    return parse_policy(f"[mirror]\nprojects = [{projects}]\n{more}".encode())


def added(text: str, *, project: NormalizedName = SIX, because: str = "the shop") -> AddedLine:
    """Return an added line."""
    return AddedLine(project, text, because)


@given(
    st.lists(st.sampled_from(["six", "six>=1", "six[a]<3", "idna==2.0rc1", "idna; os_name == 'nt'"]), min_size=1),
    st.sampled_from(["six", "six==1.5", "six[b]", "idna>=1", "flit>=3", "flit; sys_platform == 'win32'"]),
    st.sampled_from(
        ["", "latest = 2\n", "[files]\nprereleases = true\n", "latest = 1\n[files]\nprereleases = false\n"]
    ),
)
def test_added_line_selects_what_the_same_line_of_the_file_would(lines: list[str], text: str, more: str) -> None:
    """Rules, roots and named projects are those of a mirror.toml with the added line as its last one."""
    quoted = [f'"{line}"' for line in lines]
    name = NormalizedName(Requirement(text).name)
    both = policy(", ".join([*quoted, f'"{text}"']), more)
    merged = with_added_lines(policy(", ".join(quoted), more), [added(text, project=name)])

    assert merged.lines == both.lines
    assert {one: found.rules for one, found in merged.projects.items()} == {
        one: found.rules for one, found in both.projects.items()
    }
    assert list(merged.wanted) == list(both.wanted)


def test_messages_say_where_a_line_stands_and_not_who_added_it() -> None:
    """Of an added line the reason is public; a project with lines in both places names both."""
    merged = with_added_lines(policy(), [added("six<3"), added("idna", project=IDNA, because="x" * 500)])
    both, alone = merged.projects[SIX], merged.projects[IDNA]

    assert both.kept_because == (
        "mirror.toml or a line added with mirrorctl (the shop) selects it by 'six>=1 or six<3'"
    )
    assert both.place == "mirror.toml or the added line (`mirrorctl selection`)"
    assert alone.where == f"a line added with mirrorctl ({'x' * 120}…)"
    assert alone.place == "the added line (`mirrorctl selection`)"


def test_line_that_the_file_has_too_changes_nothing() -> None:
    """The same line in mirror.toml and added, in another spelling, is the file's."""
    assert with_added_lines(policy(), [added("Six >=1")]) == policy()


def test_added_line_without_effect_is_a_warning() -> None:
    """A line that cannot be read, whose extra is not followed, or beside scope everything says what to do."""
    broken, other = added("six ="), added("idna")
    assert with_added_lines(policy(), [broken, other]) == policy()
    assert "`mirrorctl remove six`" in next(idle_added_lines(policy(), [broken]))

    unfollowed = policy(more="[dependencies]\nfollow = false\n")
    assert "dependencies are not followed" in next(idle_added_lines(unfollowed, [added("six[a]")]))
    assert list(idle_added_lines(unfollowed, [added("six")])) == []

    everything = parse_policy(b'[mirror]\nscope = "everything"\n')
    assert with_added_lines(everything, [added("six<2")]) is everything
    assert "1 added line has no effect: `mirrorctl selection`" in next(idle_added_lines(everything, [added("six<2")]))


@pytest.mark.proves("reliability/added-lines")
def test_added_lines_stay_in_force_whatever_the_file_says(tmp_path: Path) -> None:
    """After each edit of mirror.toml, also to one that cannot be used, the policy has the added lines."""
    path = tmp_path / "mirror.toml"
    path.write_text('[mirror]\nprojects = ["six"]\n')
    source = PolicySource(path, state=tmp_path)
    before = source.digest
    source.add((added("idna>=2", project=IDNA),))
    with_line = source.digest

    path.write_text('[mirror]\nprojects = ["six", "flit"]\n')
    on_disk = source.on_disk()
    source.reload()
    reloaded = source.current
    path.write_text("[mirror]\nprojects = 7\n")
    problems = source.reload()
    beside = PolicySource(path, state=tmp_path, keeps=False)
    beside.add((added("idna>=2", project=IDNA),))

    assert before != with_line
    assert on_disk == reloaded == source.current == beside.applied == beside.current
    assert set(reloaded.projects) == {"six", "flit", "idna"}
    assert problems
    assert [line.name for line in source.file_lines] == ["six", "flit"]
    source.add(())
    assert set(source.current.projects) == {"six", "flit"}


def test_check_of_a_candidate_counts_added_lines(tmp_path: Path) -> None:
    """A candidate is judged with the added lines, and their contradictions with it are warnings."""
    path = tmp_path / "mirror.toml"
    path.write_text('[mirror]\nprojects = ["six"]\n')
    source = PolicySource(path, state=tmp_path)
    source.add((added("idna", project=IDNA),))
    complete, warnings = source.check(policy(more='[block]\nprojects = ["idna"]\n'))

    assert set(complete.projects) == {"six", "idna"}
    assert ["'idna' is selected and blocked" in one for one in warnings] == [True]


def test_starter_project_that_a_person_added_is_no_longer_replaceable(tmp_path: Path) -> None:
    """What a person asked for leaves under the deletion guard, though the shipped example named it, too."""
    (tmp_path / "mirror.example.toml").write_text('[mirror]\nprojects = ["six", "idna"]\n')
    source = PolicySource(tmp_path / "mirror.toml", state=tmp_path)
    assert source.replaceable == {"six", "idna"}
    source.add((added("six"),))
    assert source.replaceable == {"idna"}
