"""The edit of mirror.toml by an import: the laws that hold for each document."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from mirror_syncer.commands.importing.policy_edit import add_lines, lines_of_projects

NAMES = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
REQUIREMENTS = st.one_of(
    NAMES,
    st.builds("{}>={}".format, NAMES, st.integers(0, 99)),
    st.builds("{}[x,y]; sys_platform == '{}'".format, NAMES, NAMES),
    st.builds('{}; python_version < "{}"'.format, NAMES, st.integers(3, 9)),
    st.builds("{}; platform_version == '{}'".format, NAMES, st.characters(codec="utf-8", exclude_characters="'\\")),
)
COMMENTS = st.sampled_from(["", " # why", "  # [x] \"y\" 'z'", " # ]"])
BLANKS = st.sampled_from(["", "\n", "# a comment\n", "\n# latest = 3\n\n"])


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Return a mirror.toml as people write it: with comments, blank lines, and tables in any order."""
    indent, comma = draw(st.sampled_from(["  ", "\t", "    "])), draw(st.sampled_from([",", ""]))
    lines = draw(st.lists(NAMES, min_size=1, max_size=4))
    items = [f'{indent}"{line}"{"," if number < len(lines) else comma}' for number, line in enumerate(lines, start=1)]
    body = "\n".join(f"{item}{draw(COMMENTS)}" for item in items)
    before, after = f"[mirror]{draw(COMMENTS)}\n{draw(BLANKS)}", f"]{draw(COMMENTS)}\nlatest = 3\n"
    parts = [
        f"{before}projects = [{draw(COMMENTS)}\n{body}\n{after}",
        f'[removal]\n{draw(BLANKS)}grace = "24h"{draw(COMMENTS)}\n',
        *draw(
            st.sampled_from([[], ['[dependencies]\nlocks = ["a.lock"] # all\n'], ["[dependencies]\n# locks = []\n"]])
        ),
    ]
    return "".join(part + draw(BLANKS) for part in draw(st.permutations(parts)))


@given(documents(), st.lists(REQUIREMENTS, min_size=1, max_size=4), st.lists(NAMES, max_size=2))
def test_edit_adds_lines_and_keeps_each_other_one(text: str, projects: list[str], locks: list[str]) -> None:
    """Each line stays with its comment, in its order; the document says what it said, and the added lines."""
    before = tomllib.loads(text)

    content = add_lines(text.encode(), projects=projects, locks=locks)

    after = tomllib.loads(content.decode())
    assert after["mirror"].pop("projects") == before["mirror"].pop("projects") + projects
    old = before.pop("dependencies", {}).get("locks", [])
    assert after.pop("dependencies", {}).get("locks", []) == old + locks
    assert after == before
    kept = iter(content.decode().splitlines())
    for line in text.splitlines():
        # The last item may get the comma that it lacks, and a list in one line may grow.
        assert any(line in (new, new.replace(",", "", 1)) or line.startswith("locks = ") for new in kept), line


@given(documents(), st.lists(REQUIREMENTS, min_size=1, max_size=4))
def test_each_added_line_is_found_by_its_position(text: str, projects: list[str]) -> None:
    """Each added requirement has a line of its own, so that a message of the parser tells which one it is about."""
    content = add_lines(text.encode(), projects=projects, locks=[])

    lines = lines_of_projects(content)
    first = len(tomllib.loads(text)["mirror"]["projects"])
    written = content.decode().split("\n")
    for number, requirement in enumerate(projects, start=first):
        line = written[lines[number] - 1].strip().removesuffix(",")
        assert tomllib.loads(f"x = {line}")["x"] == requirement
