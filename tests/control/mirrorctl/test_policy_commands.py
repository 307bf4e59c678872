"""``mirrorctl held`` and ``mirrorctl release`` against a running control."""

import json
from collections.abc import Callable

import httpx2
import pytest
from typer.testing import CliRunner, Result

from control.fake_syncer import HELD, SUMMARY, FakeSyncer, held_project
from mirror_contract import PolicyState, Release, Run, RunState
from mirror_control.client.formatting import format_moment
from mirrorctl.cli import main

Mirrorctl = Callable[..., Result]


@pytest.fixture
def mirrorctl(client: httpx2.Client) -> Mirrorctl:
    """Return a function that runs a command as in control's container, with the token file."""

    def run(*arguments: str, **environment: str | None) -> Result:
        return CliRunner(env={"MIRRORCTL_URL": str(client.base_url), **environment}).invoke(main, arguments)

    return run


def test_held_lists_files_with_time_and_reason(mirrorctl: Mirrorctl) -> None:
    """`held` prints a line for each file; upstream's text cannot control the terminal."""
    lines = mirrorctl("held").stdout.splitlines()
    blocked = mirrorctl("held", "SIX", "--decision", "block", "--json")
    part = mirrorctl("held", "--limit", "1").stdout

    assert HELD[0].until is not None
    assert f"hold      {format_moment(HELD[0].until)}" in lines[1]
    assert "this mirror waits 7 days" in lines[1]
    assert "<b>mal\N{REPLACEMENT CHARACTER}[2Jware</b>" in lines[2]
    assert [one["filename"] for one in json.loads(blocked.stdout)["items"]] == ["six-1.0.tar.gz"]
    assert part.splitlines()[-1] == "more: --after place/1"


def test_release_names_the_run_and_how_to_revoke_it(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """`release` sends version, reason and time; it prints the API's JSON into a pipe, and warnings as errors."""
    result = mirrorctl("release", "six==2.0", "--because", "CVE-2026-1234", "--for", "3d")
    release = Release.model_validate_json(result.stdout)
    listed = mirrorctl("release", "--list").stdout
    revoked = mirrorctl("release", "--revoke", release.id)
    run = next(iter(syncer.runs.values()))

    assert result.exit_code == 0
    assert (release.requirement, release.because, (release.until - release.made_at).days) == (
        "six==2.0",
        "CVE-2026-1234",
        3,
    )
    assert (release.by, release.run, run.trigger, run.request.offline) == ("operator", run.id, "cli", True)
    assert result.stderr == "mirrorctl: six-1.0.exe stays unpublished \N{REPLACEMENT CHARACTER}[2J\n"
    assert all(word in listed for word in (release.id, "six==2.0", "in 2 d", "operator", "CVE-2026-1234"))
    assert (revoked.exit_code, Release.model_validate_json(revoked.stdout).id) == (0, release.id)
    assert syncer.releases == {}


@pytest.mark.parametrize(("end", "code"), [(RunState.SUCCEEDED, 0), (RunState.INCOMPLETE, 3), (RunState.FAILED, 1)])
def test_followed_release_ends_with_its_run(mirrorctl: Mirrorctl, syncer: FakeSyncer, end: RunState, code: int) -> None:
    """With --follow, the lines are the run's, and the exit code is its outcome."""
    syncer.script = [RunState.RUNNING, RunState.RUNNING, end]
    result = mirrorctl("release", "six==2.0", "--because", "CVE-2026-1234", "--follow")
    runs = [Run.model_validate_json(line) for line in result.stdout.splitlines()]

    assert (result.exit_code, runs[-1].state) == (code, end)


def test_release_on_a_terminal_is_a_sentence(mirrorctl: Mirrorctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal `release` says until when, by which run, and how to revoke it."""
    monkeypatch.setattr("mirrorctl.views.is_piped", lambda: False)
    made = mirrorctl("release", "six==2.0", "--because", "CVE-2026-1234").stdout
    revoked = mirrorctl("release", "--revoke", "00000000").stdout

    assert made.startswith("six==2.0 is released until 20")
    assert "; run 20261122T161233-000000 puts it into force. To revoke it: --revoke 00000000" in " ".join(made.split())
    assert " ".join(revoked.split()).startswith("The release of six==2.0 is revoked; run ")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "name one version"),
        (("six==2.0", "--list"), "name one version"),
        (("six==2.0",), "say why: --because"),
        (("six", "--because", "x"), "must name exactly one version"),
        (("six==2.0", "--because", "x", "--for", "1y"), 'for: must be a number with h, d or w, from "1h" to "90d"'),
        (("six==2.0", "--because", ""), "must say why"),
    ],
)
def test_wrong_release_is_one_line(mirrorctl: Mirrorctl, arguments: tuple[str, ...], told: str) -> None:
    """A wrong release is reported in one line, with exit code 2."""
    result = mirrorctl("release", *arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert told in result.stderr


def test_refused_release_is_one_line(mirrorctl: Mirrorctl) -> None:
    """A release that a block beats ends with 1 and the reason."""
    result = mirrorctl("release", "evil==1", "--because", "x")
    assert (result.exit_code, result.stderr) == (
        1,
        "mirrorctl: evil is blocked in mirror.toml: malware; a block beats every release.\n",
    )


def test_project_and_status_show_what_is_held(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """`projects NAME` shows until when a file waits and why one is blocked; `status` sums up and lists warnings."""
    syncer.projects["six"] = held_project()
    warnings = [f"lock {number}\x1b[2J" for number in range(12)]
    syncer.told = {"held": SUMMARY, "policy": PolicyState(file="mirror.toml", warnings=warnings)}
    project, status = mirrorctl("projects", "six").stdout, mirrorctl("status").stdout

    assert "waiting, checked never" in project
    assert "2 files by policy (1 waiting, 1 blocked)" in project
    assert HELD[0].until is not None
    assert f"hold until {format_moment(HELD[0].until)}" in project
    assert "block " in project
    assert "1 file waiting, 1 file blocked; the next change is in 5 d; `mirrorctl held` lists them" in status
    assert "warning   lock 0\N{REPLACEMENT CHARACTER}[2J" in status
    assert "and 2 more warnings" in status
