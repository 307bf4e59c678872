"""What ``mirrorctl`` says about dependencies, against a running control."""

import json
import re
from collections.abc import Callable

import httpx2
import pytest
from typer.testing import CliRunner, Result

from control.fake_syncer import DEPENDENCIES, NOW, TORN, FakeSyncer, required_project
from mirror_contract import ProjectState, Run, RunKind, RunRequest, RunState, Trigger
from mirrorctl.cli import main

Mirrorctl = Callable[..., Result]


@pytest.fixture
def mirrorctl(client: httpx2.Client) -> Mirrorctl:
    """Return a function that runs a command without a token."""

    def run(*arguments: str) -> Result:
        return CliRunner(env={"MIRRORCTL_URL": str(client.base_url)}).invoke(main, arguments)

    return run


@pytest.mark.proves("security/upstream")
def test_unmet_requirements_are_a_line_each(mirrorctl: Mirrorctl) -> None:
    """`projects --unmet` prints release, requirement, machines and reason; strangers' text controls no terminal."""
    lines = mirrorctl("projects", "--unmet").stdout.splitlines()
    one = mirrorctl("projects", "SIX", "--unmet", "--json")
    part = mirrorctl("projects", "--unmet", "--limit", "1").stdout

    assert lines[0].split() == ["project", "version", "requirement", "machines", "reason"]
    assert "torn[all]>=1" in lines[1]
    assert "<b>old\N{REPLACEMENT CHARACTER}[2J</b><1" in lines[2]
    assert "Python 3.11 on linux-x86_64, Python 3.12 on linux-x86_64 and 1 more" in lines[2]
    assert [item["version"] for item in json.loads(one.stdout)["items"]] == ["1.0"]
    assert part.splitlines()[-1] == "more: --after place/1"


def test_unmet_requirements_have_no_state(mirrorctl: Mirrorctl) -> None:
    """`projects --unmet` with a filter of projects is wrong usage, since it would be ignored."""
    result = mirrorctl("projects", "--unmet", "--state", "failing")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


@pytest.mark.proves("reliability/status")
@pytest.mark.parametrize(("told", "code"), [(TORN, 3), (DEPENDENCIES, 0), (None, 0)])
def test_check_exits_by_lines_without_proof(mirrorctl: Mirrorctl, syncer: FakeSyncer, told: object, code: int) -> None:
    """`status --check` exits with 3 if a line has no proof; unmet requirements alone are only reported."""
    syncer.told = {"dependencies": told, "problems": [], "projects": {ProjectState.CURRENT: 1}}
    syncer.told["last_run"] = Run(
        id="20261122T161233-3fa9c1",
        request=RunRequest(kind=RunKind.SYNC),
        trigger=Trigger.SCHEDULE,
        state=RunState.SUCCEEDED,
        created_at=NOW,
        started_at=NOW,
        finished_at=NOW,
    )
    assert mirrorctl("status", "--check").exit_code == code


def test_status_words_dependencies(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """`status` says how many projects are required, how many lines install, and how many requirements are unmet."""
    syncer.told = {"dependencies": TORN}
    text = mirrorctl("status").stdout
    syncer.told = {"dependencies": DEPENDENCIES.model_copy(update={"resolved_at": None})}
    early = mirrorctl("status").stdout
    syncer.told = {}

    # The fake's times are those of the start of the tests.
    assert re.search(r"203 projects beside the lines and 1 by a lock alone, resolved \d+ (min|h) ago", text)
    assert "1 of 2 lines on every machine" in text
    assert "4 requirements (3 no release, 1 held); `mirrorctl projects --unmet` lists them" in text
    assert "! 1 line of mirror.toml does not install from here" in text
    assert "torn 1.0 needs <b>six\N{REPLACEMENT CHARACTER}[2J</b>" in text
    assert "not resolved yet; the next sync resolves what the lines need" in early
    assert "requires" not in mirrorctl("status").stdout


@pytest.mark.proves("security/upstream")
def test_project_shows_what_it_depends_on(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """`projects NAME` shows why each release is here, what it requires, met or not, and who requires it."""
    syncer.projects["six"] = required_project()
    lines = [" ".join(line.split()) for line in mirrorctl("projects", "six").stdout.splitlines()]

    assert "2.0 app → six>=1" in lines
    assert "1.0 witness of <b>torn\N{REPLACEMENT CHARACTER}[2J</b> on Python 3.11 on linux-x86_64" in lines
    assert "idna>=2 here 2.0" in lines
    assert any(
        line.startswith("<b>old\N{REPLACEMENT CHARACTER}[2J</b><1 unmet 2.0, 1.0, 0.9 … no release of old matches")
        and line.endswith("(Python 3.11 on linux-x86_64, Python 3.12 on linux-x86_64 and 1 more)")
        for line in lines
    )
    assert any(line.startswith("possibly more unneeded 1.0 the sdist states") for line in lines)
    assert "app six>=1 <b>\N{REPLACEMENT CHARACTER}[2J</b>" in lines
