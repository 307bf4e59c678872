"""The command line, against a running control."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner, Result

from control.conftest import TOKEN
from control.fake_syncer import FakeSyncer, Mood, half_dated_project, judged_project
from control.live import Background
from mirror_contract import (
    Counts,
    Failure,
    PendingRemoval,
    Project,
    ProjectFile,
    ProjectState,
    Run,
    RunKind,
    RunRequest,
    RunState,
    Status,
    Trigger,
)
from mirror_control.client.api_client import ApiClient, ApiError
from mirrorctl.cli import main
from mirrorctl.follow import follow

Mirrorctl = Callable[..., Result]


@pytest.fixture
def mirrorctl(client: httpx2.Client) -> Mirrorctl:
    """Run a command as control's container would, where the token's file is at hand."""

    def run(*arguments: str, **environment: str | None) -> Result:
        return CliRunner(env={"MIRRORCTL_URL": str(client.base_url), **environment}).invoke(main, arguments)

    return run


def _lines(result: Result) -> list[Run]:
    return [Run.model_validate_json(line) for line in result.stdout.splitlines()]


def test_status_is_for_programs(mirrorctl: Mirrorctl, client: httpx2.Client) -> None:
    """`status --json` prints the API's answer."""
    result = mirrorctl("status", "--json")

    assert result.exit_code == 0
    assert Status.model_validate_json(result.stdout) == Status.model_validate_json(client.get("/api/v1/status").content)


def test_status_is_for_people(mirrorctl: Mirrorctl) -> None:
    """`status` begins with what needs a person, what works and what to do; then freshness, projects, disk, failures."""
    result = mirrorctl("status")

    assert result.exit_code == 0
    assert result.stdout.startswith("! The volume needs a person\n  why    zope-interface fails: look upstream")
    for told in (
        "  works  ",
        "  to do  ",
        "  since  ",
        "last sync done",
        "1 current, 1 failing",
        "400.0 GB free (40%)",
        "upstream sends [red]",
    ):
        assert told in result.stdout


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"problems": ["the disk is full"]}, 1),
        ({"problems": [], "projects": {ProjectState.CURRENT: 1, ProjectState.FAILING: 1}}, 3),
        ({"problems": [], "projects": {ProjectState.CURRENT: 2}, "failing": []}, 0),
    ],
)
def test_status_tells_a_script(mirrorctl: Mirrorctl, syncer: FakeSyncer, told: dict[str, Any], code: int) -> None:
    """With `--check` the exit code says whether somebody must act or should look; without it, that it was told."""
    now = datetime.now(UTC)
    syncer.told = told | {"last_run": ended(now), "last_success_at": now, "last_completed_at": now}
    assert mirrorctl("status", "--check").exit_code == code
    assert mirrorctl("status", "--check", "--json").exit_code == code
    assert mirrorctl("status").exit_code == 0


def test_status_says_how_well_it_is(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """Where nothing needs a person `status` begins, as the page does, with how old it is and what can be installed."""
    now = datetime.now(UTC)
    well = {"problems": [], "projects": {ProjectState.CURRENT: 2}, "failing": []}
    syncer.told = well | {"last_run": ended(now), "last_success_at": now, "last_completed_at": now}
    told = mirrorctl("status").stdout
    assert told.startswith("As upstream was ")
    assert "1 project with 1 file can be installed." in told.splitlines()[0]


@pytest.mark.proves("reliability/disk")
def test_status_tells_what_waits_for_removal(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """`status` says how many bytes still wait for their grace, until when, and what frees them at once."""
    now = datetime.now(UTC)
    later = now + timedelta(hours=30, minutes=10)
    syncer.told = {"pending_removal": PendingRemoval(files=12, bytes=48_000_000, first_at=now, last_at=later)}
    told = " ".join(mirrorctl("status").stdout.replace("│", " ").split())
    assert "12 files, 48.0 MB, to be deleted in 30 h at the latest" in told
    assert "`mirrorctl collect --now` deletes them now" in told


def ended(moment: datetime) -> Run:
    """Return a sync of the whole mirror that went well."""
    return Run(
        id="r1",
        request=RunRequest(kind=RunKind.SYNC),
        trigger=Trigger.SCHEDULE,
        state=RunState.SUCCEEDED,
        created_at=moment,
        started_at=moment,
        finished_at=moment,
    )


def test_status_says_when_upstream_last_had_news(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """Of an upstream that was changed, and has stood still since, the status says both."""
    news = datetime.now(UTC) - timedelta(days=3)
    syncer.told = {"upstream_news_at": news, "upstream_before": "https://old.example.org"}
    told = mirrorctl("status").stdout

    assert re.search(r"news +upstream's last news: 3 d ago", told)
    assert "upstream was https://old.example.org" in told


def test_status_says_that_the_syncer_is_away(mirrorctl: Mirrorctl, syncer: FakeSyncer, background: Background) -> None:
    """With the syncer dead, `status` tells so before what was last known."""
    mirrorctl("status")
    background.run(syncer.stop())

    told = mirrorctl("status").stdout
    assert "This is what it said" in told
    assert "next run when the syncer is back" in told


def test_words_from_upstream_do_not_steer_a_terminal(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """Escape sequences in errors, failures and refusals are shown as what they are not: characters."""
    syncer.script = [RunState.INCOMPLETE]
    run_id = _lines(mirrorctl("sync"))[0].id
    shown = [
        mirrorctl("projects"),
        mirrorctl("projects", "zope.interface"),
        mirrorctl("runs", run_id),
        mirrorctl("status"),
    ]

    assert all(result.exit_code == 0 for result in shown)
    assert all("�" in result.output and "\x1b" not in result.output for result in shown)
    assert "[bold]" in shown[2].stdout


@pytest.mark.parametrize(
    ("end", "code"),
    [(RunState.SUCCEEDED, 0), (RunState.FAILED, 1), (RunState.CANCELLED, 1), (RunState.INCOMPLETE, 3)],
)
def test_following_ends_with_the_run(mirrorctl: Mirrorctl, syncer: FakeSyncer, end: RunState, code: int) -> None:
    """`sync --follow` prints a line of JSON for every change, the end last, and exits as the run did."""
    syncer.script = [RunState.QUEUED, RunState.RUNNING, end]
    result = mirrorctl("sync", "six", "--follow")

    assert result.exit_code == code
    assert [run.state for run in _lines(result)][-2:] == [RunState.RUNNING, end]
    assert {run.trigger for run in _lines(result)} == {Trigger.CLI}
    assert _lines(result)[0].request.projects == ("six",)


def test_following_ends_within_a_second(mirrorctl: Mirrorctl, syncer: FakeSyncer, background: Background) -> None:
    """The end of a run is seen less than a second after it came."""
    ended: list[float] = []

    async def end_soon() -> None:
        await syncer.asked.wait()
        await asyncio.sleep(0.7)  # between two looks
        syncer.move(next(iter(syncer.runs)), RunState.SUCCEEDED)
        ended.append(time.monotonic())

    ending = asyncio.run_coroutine_threadsafe(end_soon(), background.loop)
    result = mirrorctl("sync", "--follow")
    seen = time.monotonic()
    ending.result()

    assert result.exit_code == 0
    assert seen - ended[0] < 1


def test_following_outlives_a_restart_of_the_syncer(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """A syncer that is away for some looks does not end the following."""
    syncer.script = [RunState.RUNNING, Mood.BROKEN, Mood.MISSHAPEN, RunState.SUCCEEDED]

    assert mirrorctl("sync", "--follow").exit_code == 0


async def test_following_has_an_end_to_its_patience(
    client: httpx2.Client, syncer: FakeSyncer, background: Background
) -> None:
    """A syncer that stays away ends the following, and the stream that control keeps open does not prolong it."""
    async with ApiClient(base=f"{client.base_url}/api/v1/", limit=5, token=TOKEN) as control:
        run = await control.start(RunRequest(kind=RunKind.SYNC), trigger=Trigger.CLI)
        following = asyncio.create_task(follow(control, run, patience=1))
        await asyncio.to_thread(background.run, syncer.stop())
        with pytest.raises(ApiError):
            async with asyncio.timeout(15):
                await following


def test_following_ends_with_a_run_that_is_gone(
    mirrorctl: Mirrorctl, syncer: FakeSyncer, background: Background
) -> None:
    """A run that nobody knows any more is a failure, and no wait for ever."""

    async def forget() -> None:
        await syncer.asked.wait()
        syncer.runs.clear()

    forgetting = asyncio.run_coroutine_threadsafe(forget(), background.loop)
    result = mirrorctl("sync", "--follow")
    forgetting.result()

    assert result.exit_code == 1
    assert "There is no run" in result.stderr


def test_a_terminal_sees_what_became_of_the_run(
    mirrorctl: Mirrorctl, syncer: FakeSyncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal, following shows progress, and at the end what failed and why."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    syncer.script = [RunState.RUNNING, RunState.INCOMPLETE]
    result = mirrorctl("sync", "--follow")

    assert result.exit_code == 3
    assert "2 of 2 projects, 4.1 kB" in result.stdout
    assert "wrong hash: [bold]" in result.stdout


def test_options_reach_the_run(mirrorctl: Mirrorctl) -> None:
    """Every option of sync and verify becomes a field of the request, in the contract's words."""
    sync = _lines(mirrorctl("sync", "A.b", "six", "--force", "--allow-removals", "5", "--confirm"))[0].request
    verify = _lines(mirrorctl("verify", "--repair"))[0].request
    collect = _lines(mirrorctl("collect", "--now"))[0].request

    assert sync.model_dump(exclude_defaults=True) == {
        "kind": "sync",
        "projects": ("a-b", "six"),
        "force": True,
        "allow_removals": 5,
        "confirm": True,
    }
    assert verify.model_dump(exclude_defaults=True) == {"kind": "verify", "repair": True}
    assert collect.model_dump(exclude_defaults=True) == {"kind": "collect", "now": True}


def test_no_removal_is_not_any(mirrorctl: Mirrorctl) -> None:
    """`sync --allow-removals 0` asks for a run that removes nothing, not for as many removals as the guard allows."""
    assert _lines(mirrorctl("sync", "--allow-removals", "0"))[0].request.allow_removals == 0
    assert _lines(mirrorctl("sync"))[0].request.allow_removals is None


def test_lists_are_for_programs(mirrorctl: Mirrorctl) -> None:
    """`runs --json` and `projects --json` print what the API answers."""
    mirrorctl("sync")

    assert [run["state"] for run in json.loads(mirrorctl("runs", "--json").stdout)["items"]] == ["queued"]
    assert [one["name"] for one in json.loads(mirrorctl("projects", "--json").stdout)["items"]] == [
        "six",
        "zope-interface",
    ]
    assert json.loads(mirrorctl("projects", "six", "--json").stdout)["files"][0]["size"] == 11050


def test_lists_are_for_people(mirrorctl: Mirrorctl) -> None:
    """`runs` and `projects` are tables; one of either shows all about it."""
    run_id = _lines(mirrorctl("sync"))[0].id

    assert run_id in mirrorctl("runs", "--state", "queued").stdout
    assert run_id in mirrorctl("runs", "--trigger", "cli", "--since", "2026-11-22").stdout
    assert run_id not in mirrorctl("runs", "--trigger", "schedule").stdout
    assert "six" in mirrorctl("projects", "--state", "current", "--search", "si").stdout
    assert "six-1.17.0.tar.gz" in mirrorctl("projects", "six").stdout


@pytest.mark.proves("reliability/upstream")
def test_project_tells_which_files_have_no_upload_time(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """A project says how many of its files have no upload time, what that means to clients, and which they are."""
    syncer.projects["six"] = half_dated_project()
    told = mirrorctl("projects", "six").stdout
    assert "1 files have no upload time; pip --uploaded-prior-to refuses the project" in " ".join(told.split())
    [undated] = [line for line in told.splitlines() if "six-1.0.tar.gz" in line]
    [dated] = [line for line in told.splitlines() if "six-2.0.tar.gz" in line]
    assert ("unknown" in undated, "2026-01-02 03:04" in dated) == (True, True)


def test_project_shows_the_decision_about_every_file(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """`projects NAME` shows what is decided about each file and why, also of files that are not published."""
    syncer.projects["six"] = judged_project()
    lines = mirrorctl("projects", "six").stdout.splitlines()
    [lost] = [line for line in lines if "six-0.9.tar.gz" in line]
    [dropped] = [line for line in lines if "six-2.0.tar.gz" in line]
    assert ("lost" in lost, "upstream took it" in lost) == (True, True)
    assert ("drop" in dropped, "its version does not match" in dropped) == (True, True)


def test_lists_lead_on(mirrorctl: Mirrorctl) -> None:
    """Where there is more than a list shows, it says in one line, to be copied, how to go on; and so it goes on."""
    run_ids = [_lines(mirrorctl("sync", name))[0].id for name in ("a", "b")]
    first = mirrorctl("runs", "--limit", "1", COLUMNS="20").stdout
    more = first.splitlines()[-1]
    rest = mirrorctl("runs", "--limit", "1", *more.removeprefix("more: ").split()).stdout

    assert more == f"more: --after {run_ids[1]}"
    assert run_ids[0] in rest
    assert "more" not in rest


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("runs", "--after", ""), "after: "),
        (("runs", "--after", "x" * 513), "after: "),
        (("projects", "--search", "x" * 215), "q: "),
        (("sync", "/etc/x"), "projects/0: '/etc/x' is not a project name"),
    ],
)
def test_a_wrong_option_is_a_line(mirrorctl: Mirrorctl, command: tuple[str, ...], told: str) -> None:
    """What the API could not be asked is refused before it is, in a line, with exit code 2."""
    result = mirrorctl(*command)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"mirrorctl: {told}")
    assert len(result.stderr.splitlines()) == 1


def test_help_tells_each_command_whole() -> None:
    """At 80 columns no command's sentence is cut short, and exit codes are told."""
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(main, ["--help"]).stdout

    assert "..." not in shown.partition("Commands:")[2]
    assert "3 incomplete" in shown


def test_runs_fit_a_terminal(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """At 80 columns a run is a line, also one of 890,000 projects of which some failed, with an id of real length."""
    _lines(mirrorctl("sync"))
    (run,) = syncer.runs.values()
    counts = Counts(projects_planned=890_123, projects_done=890_123, projects_failed=12)
    incomplete = {"id": "20261122T161233905-3fa9c1", "counts": counts, "state": RunState.INCOMPLETE}
    syncer.runs = {"1": run.model_copy(update=incomplete)}
    shown = mirrorctl("runs", COLUMNS="80").stdout.splitlines()

    assert len(shown) == 2
    assert shown[1].startswith("20261122T161233905-3fa9c1 sync")
    assert shown[1].rstrip().endswith("890,123, 12 bad")


def test_a_run_is_cancelled(mirrorctl: Mirrorctl) -> None:
    """`cancel` ends a run, and says why it can't where the run has ended."""
    run_id = _lines(mirrorctl("sync"))[0].id
    first, second = mirrorctl("cancel", run_id), mirrorctl("cancel", run_id)

    assert (first.exit_code, _lines(first)[0].state) == (0, RunState.CANCELLED)
    assert (second.exit_code, "has ended: cancelled" in second.stderr) == (1, True)


def test_the_schedule_is_held(mirrorctl: Mirrorctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pause` and `resume` say how the schedule is then; so does `status`."""
    paused = json.loads(mirrorctl("pause").stdout)["paused"]
    assert "the schedule is paused" in mirrorctl("status").stdout
    monkeypatch.setenv("FORCE_COLOR", "1")

    assert paused is True
    assert "until `mirrorctl resume`" in mirrorctl("pause").stdout
    assert "*/30 * * * *" in mirrorctl("resume").stdout


def test_the_token_is_shown(mirrorctl: Mirrorctl) -> None:
    """`token` prints the token, and nothing else."""
    assert mirrorctl("token").stdout == f"{TOKEN}\n"


def test_check_judges_a_candidate(mirrorctl: Mirrorctl, tmp_path: Path) -> None:
    """A right candidate is counted in numbers and names, with what the guard would hold back; 0, and nothing ran."""
    candidate = tmp_path / "candidate.toml"
    candidate.write_text('[mirror]\nprojects = ["caf\u00e9"]\n', encoding="utf-8")
    result = mirrorctl("check", str(candidate))
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "valid: scope selected, 30 projects named",
        f"25 would be added: {', '.join(f'p{number}' for number in range(20))} and 5 more",
        "7 would be removed: six and 6 more",
        "the deletion guard would hold back 7 of these removals; if they are meant: sync --allow-removals 7",
    ]
    assert json.loads(mirrorctl("check", str(candidate), "--json").stdout)["withheld"] == 7


def test_check_names_mistakes_with_their_lines(mirrorctl: Mirrorctl, tmp_path: Path) -> None:
    """A wrong candidate ends with 2, its mistakes a line each, without what would steer a terminal."""
    candidate = tmp_path / "candidate.toml"
    candidate.write_text("[mirror]\nlatest = 0\n")
    result = mirrorctl("check", str(candidate))
    assert (result.exit_code, result.stdout) == (2, "error: line 2: mirror.latest = 0: must be a whole number �[2J\n")
    candidate.write_bytes(b"\xff")
    result = mirrorctl("check", str(candidate))
    assert result.exit_code == 2
    assert "is not UTF-8" in result.stderr


@pytest.mark.parametrize("environment", [{"MIRROR_TOKEN": TOKEN}, {"MIRROR_TOKEN": ""}])
def test_a_remote_control_takes_the_token_from_the_environment(
    mirrorctl: Mirrorctl, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    """Elsewhere than in control's container MIRROR_TOKEN is the token; without it, the error says so."""
    monkeypatch.setenv("MIRROR_CONTROL_STATE", "/nowhere")
    result = mirrorctl("sync", **environment)

    assert result.exit_code == (0 if environment["MIRROR_TOKEN"] else 2)
    assert bool(environment["MIRROR_TOKEN"]) != ("set MIRROR_TOKEN" in result.stderr)


@pytest.mark.proves("reliability/status")
@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["sync", "/etc/x"], 2, "'/etc/x' is not a project name"),
        (["projects", "/etc/x"], 2, "'/etc/x' is not a project name"),
        (["sync", "--confirm", "--force"], 0, ""),
        (["sync", "--force"], 1, "say 'confirm' if you mean it"),
        (["sync", "not-selected"], 2, "give it a line in mirror.toml"),
        (["sync", "not-selected", "--follow"], 2, "give it a line in mirror.toml"),
        (["projects", "nowhere"], 1, "mirror.toml does not name this project"),
        (["runs", "none"], 1, "There is no run none"),
        (["runs", "--state", "odd"], 2, "odd"),
        (["sync", "--allow-removals", "-1"], 2, "'--allow-removals'"),
        (["--url", "http://127.0.0.1:1", "status"], 1, "docker compose ps control"),
        (["--url", "nonsense", "status"], 2, "--url nonsense"),
    ],
)
def test_what_goes_wrong_is_one_line_that_says_what_to_do(
    mirrorctl: Mirrorctl, arguments: list[str], code: int, told: str
) -> None:
    """Errors go to standard error, with the exit code for failure or for wrong usage, and without a traceback."""
    result = mirrorctl(*arguments)

    assert result.exit_code == code
    assert told in result.stderr
    assert "Traceback" not in result.output


def test_another_server_is_told_from_control(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """What answers, and is no control, is not believed."""
    result = mirrorctl("--url", syncer.url, "status")

    assert result.exit_code == 1
    assert "is no mirror's control" in result.stderr


def test_a_proxy_without_a_control_is_told_from_another_server(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """A 502 in text, as nginx sends it while control is away, means that control is away."""
    syncer.mood = Mood.BEHIND_A_PROXY
    result = mirrorctl("--url", syncer.url, "status")

    assert result.exit_code == 1
    assert "does not answer (HTTP 502): `docker compose ps control`" in result.stderr


def test_a_wrong_token_is_told(mirrorctl: Mirrorctl) -> None:
    """A refused token names the command that shows the right one."""
    result = mirrorctl("sync", MIRROR_TOKEN="a-wrong-token-0123456789")

    assert result.exit_code == 1
    assert "mirrorctl token" in result.stderr


@pytest.mark.proves("reliability/status")
def test_pipe_cuts_no_cell(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """In a pipe each row is one line, with each cell whole, however narrow a terminal would be."""
    reason = "upstream says: " + "many words that go on and on " * 30
    name, file = "a" * 100, f"{'b' * 200}-1.0-py3-none-any.whl"
    syncer.projects[name] = Project(
        name=name,
        state=ProjectState.PARTIAL,
        error=reason,
        files=[ProjectFile(filename=file, size=1, sha256="c" * 64, url=f"packages/ab/{file}")],
    )
    syncer.told = {"failing": [syncer.projects[name]], "upstream": f"https://{'d' * 150}.example"}
    run = _lines(mirrorctl("sync"))[0]
    syncer.runs = {run.id: run.model_copy(update={"failures": [Failure(project=name, file=file, reason=reason)]})}
    for columns in ("20", "80"):
        listed = mirrorctl("projects", COLUMNS=columns).stdout
        assert [line for line in listed.splitlines() if name in line and reason.strip() in line]
        shown = mirrorctl("projects", name, COLUMNS=columns).stdout
        assert [line for line in shown.splitlines() if file in line and "c" * 64 in line]
        failed = mirrorctl("runs", run.id, COLUMNS=columns).stdout
        assert [line for line in failed.splitlines() if name in line and f"{file}: {reason.strip()}" in line]
        status = mirrorctl("status", COLUMNS=columns).stdout
        assert f"https://{'d' * 150}.example, scope selected" in status
        assert max(map(len, status.splitlines())) < 2_000
        assert "…" not in listed + shown + failed + status


def test_terminal_keeps_its_width(mirrorctl: Mirrorctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal nothing is wider than that."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", mirrorctl("projects", COLUMNS="60").stdout).splitlines()
    assert max(map(len, lines)) <= 60
