"""The work of a decision, counted in calls rather than in seconds, so that a busy machine does not matter."""

import sys
from collections.abc import Callable
from datetime import timedelta
from types import FrameType
from typing import Any

import pytest
from packaging.specifiers import SpecifierSet

from mirror_syncer.config import Age, ProjectPolicy, Rules, Selection, VersionRule, decide
from mirror_syncer.config.machines.machines import Machines
from mirror_syncer.model.page import File, Page, PublishedPage
from syncer.judged import DAY, FOO, NOW, WHEELS, file, publish

RELEASES = 20
EVERY = SpecifierSet()
MACHINES = Machines.parse(["3.11", "3.12", "3.13"], ["linux-x86_64", "macos-arm64", "windows-amd64"])
ALL_RULES = Rules(
    machines=MACHINES,
    age=Age(min=timedelta(days=7)),
    hashes=frozenset({file("0").sha256}),
    superseded=timedelta(days=90),
)


def policy(specifier: SpecifierSet = EVERY, latest: int | None = None, rules: Rules | None = None) -> ProjectPolicy:
    """Return the policy of one line."""
    return ProjectPolicy(Selection("foo", (VersionRule(specifier, latest),)), rules or Rules())


def page() -> Page:
    """Return a page of releases with a source distribution and three wheels each, all of them mature."""
    files = [
        file(f"{release}.0", kind, age=(RELEASES - release) * 20 * DAY)
        for release in range(RELEASES)
        for kind in (*WHEELS[:3], ".tar.gz")
    ]
    return Page(FOO, tuple(files))


def calls_of(work: Callable[[], object]) -> int:
    """Return how many functions some work calls, those in C included."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize("is_published", [False, True])
@pytest.mark.parametrize(
    ("wish", "most"),
    [
        pytest.param(policy(), 3, id="everything"),
        pytest.param(policy(rules=Rules(age=Age(min=timedelta(days=7)))), 3, id="cooldown"),
        pytest.param(policy(SpecifierSet(">=5")), 12, id="versions"),
        pytest.param(policy(latest=3), 11, id="latest"),
        pytest.param(policy(latest=3, rules=ALL_RULES), 12, id="all rules"),
    ],
)
def test_decision_calls_few_functions_for_each_file(wish: ProjectPolicy, most: int, *, is_published: bool) -> None:
    """A decision costs no more calls a file than its rules need; a rule that is not set costs nothing."""
    judged = page()
    published: PublishedPage | None = None
    if is_published:
        kept: tuple[File, ...] = decide(judged, None, wish, now=NOW).served
        published = publish(kept)
    decide(judged, published, wish, now=NOW)  # names and tags that recur are read once

    calls = calls_of(lambda: decide(judged, published, wish, now=NOW))

    assert calls / len(judged.files) <= most
