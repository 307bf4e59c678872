"""``mirrorctl add``, ``remove`` and ``selection`` against a running control."""

import json
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from control.fake_syncer import NOW, FakeSyncer
from mirror_contract import AddedLine, LineSource, Run, RunState, SelectedLine
from mirrorctl import selection_views
from mirrorctl.cli import main

Mirrorctl = Callable[..., Result]
BECAUSE = ("--because", "the shop")


@pytest.fixture
def mirrorctl(client: httpx2.Client) -> Mirrorctl:
    """Return a function that runs a command as in control's container, with the token file."""

    def run(*arguments: str, answer: str | None = None) -> Result:
        return CliRunner(env={"MIRRORCTL_URL": str(client.base_url)}).invoke(main, arguments, input=answer)

    return run


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have commands find a terminal."""
    monkeypatch.setattr("mirrorctl.views.is_piped", lambda: False)


def test_add_prints_the_line_and_its_run(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """`add` sends line and reason; it prints the API's JSON into a pipe, and warnings as errors."""
    result = mirrorctl("add", "django>=5", *BECAUSE)
    line = AddedLine.model_validate_json(result.stdout)
    run = next(iter(syncer.runs.values()))

    assert result.exit_code == 0
    assert (line.line, line.because, line.by, line.run) == ("django>=5", "the shop", "operator", run.id)
    assert (run.request.projects, run.trigger) == (("django",), "cli")
    assert result.stderr == "mirrorctl: upstream is away \N{REPLACEMENT CHARACTER}[2J\n"


@pytest.mark.parametrize(("end", "code"), [(RunState.SUCCEEDED, 0), (RunState.INCOMPLETE, 3), (RunState.FAILED, 1)])
def test_followed_addition_ends_with_its_run(
    mirrorctl: Mirrorctl, syncer: FakeSyncer, end: RunState, code: int
) -> None:
    """With --follow, the lines are the run's, and the exit code is its outcome."""
    syncer.script = [RunState.RUNNING, RunState.RUNNING, end]
    result = mirrorctl("add", "django", *BECAUSE, "--follow")
    runs = [Run.model_validate_json(line) for line in result.stdout.splitlines()]
    assert (result.exit_code, runs[-1].state) == (code, end)


@pytest.mark.usefixtures("terminal")
def test_change_on_a_terminal_is_a_sentence(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """On a terminal `add` says how to undo it, and `remove` asks before it does anything."""
    made = " ".join(mirrorctl("add", "Django>=5", *BECAUSE).stdout.split())
    declined = mirrorctl("remove", "django", answer="n\n")
    still = list(syncer.added)
    removed = mirrorctl("remove", "DJANGO", answer="y\n")

    assert made == ("Django>=5 is selected; run 20261122T161233-000000 mirrors it. To undo it: mirrorctl remove django")
    assert (declined.exit_code, still) == (1, ["django"])
    assert "Remove django, and what only it needs, from this mirror?" in declined.stderr
    assert (removed.exit_code, syncer.added) == (0, {})
    assert "The line Django>=5 is removed; run " in " ".join(removed.stdout.split())


def test_remove_in_a_pipe_wants_yes(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """Where nobody can be asked, `remove` needs --yes; with it, it prints the API's JSON."""
    mirrorctl("add", "django", *BECAUSE)
    refused = mirrorctl("remove", "django")
    kept = list(syncer.added)
    done = mirrorctl("remove", "django", "--yes")
    assert (refused.exit_code, refused.stderr.count("\n"), kept) == (2, 1, ["django"])
    assert "pass --yes" in refused.stderr
    assert (done.exit_code, AddedLine.model_validate_json(done.stdout).project) == (0, "django")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("add", "django"), 2, "say why: --because"),
        (("add", "django", "--because", " "), 2, "because: must say why"),
        (("add", "django", "--because", "a\x1bb"), 2, "because: must be one line without control characters"),
        (("add", "x" * 2001, *BECAUSE), 2, "at most 2000"),
        (("add", "evil", *BECAUSE), 1, "evil is blocked in mirror.toml: malware"),
        (("remove", "../x", "--yes"), 2, "is not a project name"),
        (("remove", "django", "--yes"), 1, "No line was added for it."),
    ],
)
def test_refused_change_is_one_line(mirrorctl: Mirrorctl, arguments: tuple[str, ...], code: int, told: str) -> None:
    """What is refused is reported in one line, with the exit code of its kind."""
    result = mirrorctl(*arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (code, 1)
    assert told in result.stderr


def test_selection_lists_both_kinds_of_lines(mirrorctl: Mirrorctl) -> None:
    """`selection` lists the lines with their place, and of an added one who, when and why; --toml makes them a file."""
    mirrorctl("add", "django>=5", *BECAUSE)
    rows = mirrorctl("selection").stdout.splitlines()
    listed = json.loads(mirrorctl("selection", "--json").stdout)["items"]
    toml = mirrorctl("selection", "--toml").stdout

    assert rows[2].split("  ")[0] == 'idna>=3; sys_platform == "win32", latest = 5'
    assert all(word in rows[3] for word in ("mirrorctl add", f"{NOW:%Y-%m-%d %H:%M} UTC", "operator", "the shop"))
    assert [one["source"] for one in listed] == ["mirror.toml", "mirror.toml", "added"]
    assert f"    # added by operator on {NOW:%Y-%m-%d %H:%M} UTC: the shop\n" in toml
    assert tomllib.loads(toml) == {
        "projects": ["six", {"name": 'idna>=3; sys_platform == "win32"', "latest": 5}, "django>=5"]
    }


@pytest.mark.proves("security/clients")
@given(st.text(), st.text(), st.text())
def test_toml_holds_any_line_and_controls_no_terminal(line: str, because: str, by: str) -> None:
    """Whatever line, reason and name say, --toml is valid TOML with the line as it is, and prints no control codes."""
    made_at = datetime(2026, 11, 30, tzinfo=UTC)
    one = SelectedLine(line=line, project="p", source=LineSource.ADDED, because=because, by=by, made_at=made_at)
    text = selection_views.toml([one, one.model_copy(update={"latest": 2})])
    assert tomllib.loads(text) == {"projects": [line, {"name": line, "latest": 2}]}
    assert all(char.isprintable() for char in text.replace("\n", ""))
