"""A proof takes the releases that pip would take: pre-releases, yanked releases, locals, ``===``, extras, bounds."""

import time
from random import Random

import pytest
from packaging.version import Version

from mirror_syncer.closure.proof import Solution, verify
from mirror_syncer.closure.refutation import Refutation
from mirror_syncer.closure.solver import SolveLimit, solve
from syncer.closure.small_index import SmallIndex, needs

PRE = ("0.9", "1.0a1", "1.0", "1.1", "1.2a1", "2.0rc1")


def releases(*versions: str) -> dict[str, list[str]]:
    """Return releases that require nothing."""
    return {version: [] for version in versions}


def prove(index: SmallIndex, *lines: str) -> dict[str, str]:
    """Return the verified assignment."""
    solution = solve(needs(*lines), index)
    assert isinstance(solution, Solution), solution
    assert verify(solution.assignment, needs(*lines), index) == []
    return {name: str(version) for name, version in solution.assignment.items()}


def refute(index: SmallIndex, *lines: str) -> Refutation:
    """Return the refutation."""
    refutation = solve(needs(*lines), index)
    assert isinstance(refutation, Refutation), refutation
    assert refutation.is_proved
    return refutation


def test_proof_takes_what_is_kept_and_then_the_newest() -> None:
    """A proof adds nothing while the kept releases satisfy it, and then the newest that does."""
    projects = {"app": {"1.0": ["lib>=1"]}, "lib": releases("1.0", "1.1", "1.2", "2.0")}
    index = SmallIndex(projects, kept=frozenset({"app 1.0", "lib 1.0", "lib 1.1"}))
    assert prove(index, "app") == {"app": "1.0", "lib": "1.1"}
    assert prove(index, "app", "lib>1.1") == {"app": "1.0", "lib": "2.0"}


def test_proof_takes_an_older_release_where_the_newest_conflicts() -> None:
    """A release that excludes another line is passed over, and ranges of packaging's own stand in no one's way."""
    projects = {
        "app": {"1.0": ["lib"], "2.0": ["lib>=2"], "3.0": ["lib>=2,!=2.5"]},
        "lib": releases("1.0", "2.0", "2.5", "3.0"),
        "old": {"1.0": ["lib<2"]},
    }
    assert prove(SmallIndex(projects), "app", "old") == {"app": "1.0", "lib": "1.0", "old": "1.0"}


@pytest.mark.parametrize(
    ("specifier", "version"),
    [
        (">=1.0.dev0", "1.1"),
        ("<1.0", "0.9"),
        ("==1.2a1", "1.2a1"),
        (">=1.2a1", "2.0rc1"),
        ("!=2.0rc1", "1.1"),
        (">1.1", "2.0rc1"),
        (">=1.1,!=1.1", "2.0rc1"),
        ("<2.0rc1,>1.1", "1.2a1"),
    ],
)
def test_prerelease_counts_only_where_a_requirement_takes_it(specifier: str, version: str) -> None:
    """Finals come first; pre-releases where the specifier names one, or where no final satisfies it."""
    projects = {"app": {"1": [f"foo{specifier}"]}, "foo": releases(*PRE)}
    assert prove(SmallIndex(projects), "app") == {"app": "1", "foo": version}


def test_prereleases_are_open_to_all_requirers_if_one_names_one() -> None:
    """A requirement that names a pre-release opens them for the others, as pip merges what they say."""
    projects = {"a": {"1": ["foo>1.1"]}, "b": {"1": ["foo>=0.9"]}, "c": {"1": ["foo!=2.0rc1"]}, "foo": releases(*PRE)}
    assert prove(SmallIndex(projects), "a", "b", "c")["foo"] == "1.2a1"


def test_prereleases_count_where_requirements_together_leave_no_final() -> None:
    """Two releases that together exclude each final of the page are satisfied by a pre-release."""
    projects = {"a": {"1": ["foo>=1.1"]}, "b": {"1": ["foo!=1.1"]}, "foo": releases(*PRE)}
    assert prove(SmallIndex(projects), "a", "b")["foo"] == "2.0rc1"


def test_prerelease_is_refused_where_the_final_only_conflicts() -> None:
    """A final that cannot be installed does not open the pre-releases: pip finds no matching distribution either."""
    projects = {"a": {"1.0": ["missing"], "2.0rc1": []}}
    refutation = refute(SmallIndex(projects), "a")
    assert "pip takes the pre-release a 2.0rc1 only where a requirement names one" in refutation.facts


def test_prerelease_is_refused_where_a_final_of_the_page_is_held() -> None:
    """pip looks at the page: a final that may not be installed shuts the pre-releases, too."""
    index = SmallIndex({"a": releases("1.0", "2.0rc1")}, withheld=frozenset({"a 1.0"}))
    assert refute(index, "a").lines == ("a",)
    assert prove(index, "a>=2.0rc1") == {"a": "2.0rc1"}


def test_prerelease_stays_possible_for_the_requirer_that_comes_later() -> None:
    """A solution that pip refuses excludes no other one, in which a requirement names the pre-release."""
    projects = {
        "app": {"1": ["opener", "lib"], "2": ["lib"]},
        "opener": {"1": ["lib>=2.0rc1"]},
        "lib": {"1.0": ["missing"], "2.0rc1": []},
    }
    assert prove(SmallIndex(projects), "app") == {"app": "1", "lib": "2.0rc1", "opener": "1"}


def test_project_with_prereleases_alone_is_installed() -> None:
    """Where the page has no final, pip takes the newest pre-release."""
    assert prove(SmallIndex({"a": releases("1.0a1", "1.0b1")}), "a") == {"a": "1.0b1"}


@pytest.mark.parametrize(
    ("specifier", "is_taken"), [("==1.0", True), ("===1.0", True), ("==1.*", False), ("<=1,>=1", False)]
)
def test_yanked_release_counts_for_a_pin_alone(specifier: str, is_taken: bool) -> None:  # noqa: FBT001 - a parameter
    """``==`` and ``===`` take a yanked release; a wildcard and a range do not."""
    projects = {"app": {"1": [f"foo{specifier}"]}, "foo": releases("1.0")}
    index = SmallIndex(projects, yanked=frozenset({"foo 1.0"}))
    if is_taken:
        assert prove(index, "app")["foo"] == "1.0"
    else:
        assert "pip takes the yanked foo 1.0 only where a requirement pins it" in refute(index, "app").facts


def test_yanked_release_is_passed_over_where_another_satisfies_the_pin() -> None:
    """``==1.0`` takes 1.0+cpu rather than a yanked 1.0, as pip does."""
    index = SmallIndex({"foo": releases("1.0", "1.0+cpu")}, yanked=frozenset({"foo 1.0"}), kept=frozenset({"foo 1.0"}))
    assert prove(index, "foo==1.0") == {"foo": "1.0+cpu"}
    assert prove(index, "foo==1.0", "foo!=1.0+cpu") == {"foo": "1.0"}


@pytest.mark.parametrize(
    ("specifier", "version"),
    [
        ("==1.0", "1.0+local1"),
        ("<=1.0", "1.0+local1"),
        ("<1.0.post1", "1.0+local1"),
        (">1.0", "1.0.1"),
        ("===1.0+local1", "1.0+local1"),
        ("===1.0", "1.0"),
        ("~=1.0.0.0", "1.0.0.7"),
    ],
)
def test_local_version_satisfies_its_public_one(specifier: str, version: str) -> None:
    """1.0+local1 is 1.0 for ``==`` and ``<=``, and no newer for ``>``."""
    index = SmallIndex({"foo": releases("1.0", "1.0+local1", "1.0.post1", "1.0.1", "1.0.0.7")})
    assert prove(index, f"foo{specifier}") == {"foo": version}


def test_arbitrary_equality_compares_the_text() -> None:
    """``===1.0`` is the release that is spelled so, and ``!=1.0.*`` excludes each form of it."""
    refutation = refute(SmallIndex({"foo": releases("1.0.0")}), "foo===1.0")
    assert refutation.facts == ("foo===1.0: no such release of foo; the newest is 1.0.0",)
    both = SmallIndex({"foo": releases("1.0", "1.0.0")})
    assert prove(both, "foo===1.0") == {"foo": "1.0"}
    assert prove(both, "foo===1.0.0") == {"foo": "1.0.0"}
    forms = SmallIndex({"foo": releases("0.9", "1.0.dev1", "1.0a1", "1.0", "1.0.post1", "1.0+local1")})
    assert prove(forms, "foo!=1.0.*") == {"foo": "0.9"}
    assert prove(forms, "foo<1.0") == {"foo": "0.9"}


def test_arbitrary_equality_and_a_conflict_end_together() -> None:
    """A conflict over a requirement that no version can match as a text ends in a refutation, not in an error."""
    projects = {"a": {"1": ["foo===1.0-banana"], "2": ["foo===1.0-banana", "foo!=1.0"]}, "foo": releases("1.0", "2.0")}
    refutation = refute(SmallIndex(projects), "a", "foo")
    assert set(refutation.facts) == {
        "a 2 requires foo!=1.0 and foo===1.0-banana",
        "a 1 requires foo===1.0-banana",
        "foo===1.0-banana: no such release of foo; the newest is 2.0",
        "foo!=1.0,===1.0-banana: no such release of foo; the newest is 2.0",
    }


def test_marker_decides_whether_a_requirement_counts() -> None:
    """A requirement of another machine brings nothing in; neither does one of a line."""
    projects = {"a": {"1": ["win; sys_platform == 'win32'", "nix; sys_platform == 'linux'"]}, "nix": releases("1")}
    assert prove(SmallIndex(projects), "a", "win; sys_platform == 'win32'") == {"a": "1", "nix": "1"}


def test_extra_requires_the_same_release_of_its_project() -> None:
    """What an extra adds is required of the release that is installed, however the two are reached."""
    projects = {
        "foo": {"1.0": ["bar; extra == 'x'"], "2.0": ["baz; extra == 'x'"]},
        "app": {"1": ["foo<2", "tool"]},
        "tool": {"1": ["foo[x]"]},
        "bar": releases("1"),
        "baz": releases("1"),
    }
    assert prove(SmallIndex(projects), "app") == {"app": "1", "bar": "1", "foo": "1.0", "tool": "1"}


def test_circles_of_extras_and_of_projects_end() -> None:
    """Extras that require each other, and projects that do, are each followed once."""
    projects = {
        "foo": {"1": ["foo[y]; extra == 'x'", "foo[x]; extra == 'y'", "bar; extra == 'y'", "foo>=1"]},
        "bar": {"1": ["foo[x]"]},
    }
    assert prove(SmallIndex(projects), "foo[x]") == {"bar": "1", "foo": "1"}


def test_release_that_excludes_itself_is_passed_over() -> None:
    """A release that requires another version of its own project is no candidate."""
    projects = {"foo": {"2": ["foo<2"], "1": []}}
    assert prove(SmallIndex(projects), "foo") == {"foo": "1"}


def test_missing_extra_is_no_refutation() -> None:
    """pip warns about an extra that does not exist, and installs the release without."""
    assert prove(SmallIndex({"foo": releases("1.0")}), "foo[nope]") == {"foo": "1.0"}


def test_solver_reads_requirements_only_of_releases_that_it_chooses() -> None:
    """Metadata costs a request: without a conflict, one release of each project is asked for."""
    many = {f"1.{minor}": ["lib"] for minor in range(50)}
    index = SmallIndex({"app": many, "lib": releases(*(f"2.{minor}" for minor in range(50)))})
    assert prove(index, "app")
    assert set(index.asked) == {"app 1.49", "lib 2.49"}


def test_solver_asks_for_few_releases_of_a_large_set_with_conflicts() -> None:
    """220 projects of 60 releases, with ranges that exclude many of them, cost little more than one release each."""
    random = Random(7)
    projects: dict[str, dict[str, list[str]]] = {}
    for number in range(220):
        later = [f"p{other}" for other in range(number + 1, min(220, number + 30))]
        projects[f"p{number}"] = {
            f"{major}.0": [
                f"{name}{random.choice(('', f'<{major + 2}.0', f'>={major // 2}.0,<{major + 5}.0', f'=={major}.*'))}"
                for name in random.sample(later, min(len(later), random.randrange(1, 5)))
            ]
            for major in range(60)
        }
    index = SmallIndex(projects)
    assert len(prove(index, *(f"p{number}" for number in range(0, 220, 12)))) > 150
    assert len(set(index.asked)) < 300


@pytest.mark.proves("security/upstream")
def test_solver_gives_up_when_its_time_is_over() -> None:
    """A search that lasts too long ends in "no answer", which is not a refutation."""
    ticks = iter(range(1000))
    index = SmallIndex({"app": {"1": ["lib"]}, "lib": {"1": ["app"]}})
    answer = solve(needs("app"), index, limit=SolveLimit(seconds=1, clock=lambda: float(next(ticks))))
    assert isinstance(answer, Refutation)
    assert not answer.is_proved
    assert answer.message("Python 3.11") == (
        "cannot tell whether app can be installed on Python 3.11: no answer within 1 s and 50,000 steps"
    )


@pytest.mark.proves("security/upstream")
def test_solver_gives_up_after_its_steps() -> None:
    """The number of steps is bounded, too."""
    index = SmallIndex({"app": {"1": ["lib"]}, "lib": {"1": ["app"]}})
    answer = solve(needs("app"), index, limit=SolveLimit(iterations=1, clock=time.monotonic))
    assert isinstance(answer, Refutation)
    assert not answer.is_proved


@pytest.mark.proves("security/upstream")
def test_release_with_countless_requirements_ends_in_time() -> None:
    """A hostile release with a hundred thousand requirements costs at most the time of the limit, and little memory."""
    ticks = iter(range(1_000_000))
    hostile = [f"lib!=1.{minor},>9" for minor in range(2_000)]
    index = SmallIndex({"app": {"1": hostile}, "lib": releases("1")})
    refutation = refute(index, "app")
    assert len(refutation.message("Python 3.11")) < 1_000
    answer = solve(needs("app"), index, limit=SolveLimit(seconds=1_000, clock=lambda: float(next(ticks))))
    assert isinstance(answer, Refutation)
    assert not answer.is_proved


def test_verify_names_each_fault_of_an_assignment() -> None:
    """An assignment that lacks, violates, invents or oversteps something is no proof."""
    projects = {"app": {"1": ["lib>=2", "gone"]}, "lib": releases("1", "3.0rc1", "2"), "other": releases("1")}
    assignment = {"app": Version("1"), "lib": Version("1"), "other": Version("1")}
    index = SmallIndex(projects)
    assert verify(assignment, needs("app"), index) == [  # type: ignore[arg-type]
        "app 1 requires gone: no release of gone is assigned",
        "app 1 requires lib>=2: lib 1 does not satisfy it",
        "other 1 is assigned, but nothing requires other",
    ]
    assert verify({"lib": Version("3.0rc1")}, needs("lib"), index) == [  # type: ignore[dict-item]
        "pip does not take lib 3.0rc1, a pre-release or yanked release, for what its requirers say"
    ]
    assert verify({"lib": Version("4")}, needs("lib[x]"), index) == [  # type: ignore[dict-item]
        "lib 4 is not a release that the machine may install"
    ]


def test_specifier_of_a_missing_project_reaches_the_reason() -> None:
    """The reason of a requirement without a candidate is asked with all that one release says about the project."""
    index = SmallIndex(
        {"app": {"1": ["lib>=1", "lib<1"]}, "lib": releases("1")}, reasons={"lib": "held until 2026-12-05"}
    )
    assert refute(index, "app").facts == ("app 1 requires lib<1 and lib>=1", "lib<1,>=1: held until 2026-12-05")
