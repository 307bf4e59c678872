"""A refutation names the lines, the machine, and each requirement that takes part; and nothing else."""

import pytest
from packaging.utils import NormalizedName

from mirror_syncer.closure.refutation import Refutation
from mirror_syncer.closure.solver import solve
from syncer.closure.small_index import SmallIndex, needs

MACHINE = "Python 3.11 on linux-x86_64"
C: dict[str, list[str]] = {"1.0": [], "2.0": []}


def message(index: SmallIndex, *lines: str) -> str:
    """Return what an operator reads."""
    refutation = solve(needs(*lines), index)
    assert isinstance(refutation, Refutation)
    return refutation.message(MACHINE)


@pytest.mark.parametrize(
    ("projects", "lines", "words"),
    [
        pytest.param(
            {},
            ["requests>=9"],
            f"requests>=9 cannot be installed on {MACHINE}: requests>=9: no such project",
            id="missing project",
        ),
        pytest.param(
            {"foo": {"1.0": ["requests>=9"]}, "requests": {"2.32": []}},
            ["foo"],
            f"foo cannot be installed on {MACHINE}: foo 1.0 requires requests>=9; "
            "requests>=9: no such release of requests; the newest is 2.32",
            id="missing release",
        ),
        pytest.param(
            {"c": C},
            ["c<2", "c>=2"],
            f"c<2 and c>=2 cannot be installed together on {MACHINE}: no release of c satisfies c<2 and c>=2",
            id="lines that exclude each other",
        ),
        pytest.param(
            {"a": {"1.0": ["c<2"]}, "b": {"1.0": ["c>=2"]}, "c": C, "unrelated": {"1": ["c"]}},
            ["unrelated", "b", "a"],
            f"a and b cannot be installed together on {MACHINE}: a 1.0 requires c<2; b 1.0 requires c>=2; "
            "no release of c satisfies c<2 and c>=2",
            id="requirements of two lines that exclude each other",
        ),
        pytest.param(
            {"a": {"1.0": ["b"], "1.1": ["b"]}, "b": {"2.0": ["c>=3"]}, "c": C},
            ["a>=1"],
            f"a>=1 cannot be installed on {MACHINE}: a 1.1 and 1.0 require b; b 2.0 requires c>=3; "
            "c>=3: no such release of c; the newest is 2.0",
            id="chain of three",
        ),
        pytest.param(
            {"a": {"1.0": ["b>=2; extra == 'x'"]}, "b": {"1.0": []}},
            ["a[x]"],
            f"a[x] cannot be installed on {MACHINE}: a[x] 1.0 requires b>=2; "
            "b>=2: no such release of b; the newest is 1.0",
            id="extra",
        ),
        pytest.param(
            {"a": {f"1.{minor}": ["gone"] for minor in range(9)}},
            ["a"],
            f"a cannot be installed on {MACHINE}: a 1.8, 1.7, 1.6 and 6 more require gone; gone: no such project",
            id="many releases",
        ),
    ],
)
def test_refutation_names_lines_machine_and_requirements(
    projects: dict[str, dict[str, list[str]]], lines: list[str], words: str
) -> None:
    """The words begin with the lines and go on to what has no release; what takes no part is not named."""
    assert message(SmallIndex(projects), *lines) == words
    assert message(SmallIndex(projects), *reversed(lines)) == words


@pytest.mark.parametrize("why", ["held until 2026-12-05", "no file for this machine", "blocked by [block] projects"])
def test_refutation_says_why_a_release_may_not_be_installed(why: str) -> None:
    """The reason of the judgement is quoted, so that an operator knows what to change."""
    index = SmallIndex(
        {"foo": {"1.0": ["lib>=2"]}, "lib": {"1.0": [], "2.0": []}},
        withheld=frozenset({"lib 2.0"}),
        reasons={NormalizedName("lib"): why},
    )
    assert message(index, "foo") == f"foo cannot be installed on {MACHINE}: foo 1.0 requires lib>=2; lib>=2: {why}"


def test_refutation_of_many_reasons_is_cut() -> None:
    """A line of a log has a length that a person can read."""
    index = SmallIndex({"a": {f"1.{minor}": [f"gone{minor}"] for minor in range(30)}})
    assert message(index, "a").endswith("; and 48 more reasons")
