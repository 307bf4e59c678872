"""The command line against a running control."""

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
    """Return a function that runs a command as in control's container, with the token file."""

    def run(*arguments: str, **environment: str | None) -> Result:
        return CliRunner(env={"MIRRORCTL_URL": str(client.base_url), **environment}).invoke(main, arguments)

    return run


def _lines(result: Result) -> list[Run]:
    return [Run.model_validate_json(line) for line in result.stdout.splitlines()]


def test_status_json_prints_the_answer(mirrorctl: Mirrorctl, client: httpx2.Client) -> None:
    """`status --json` prints the API's answer."""
    result = mirrorctl("status", "--json")

    assert result.exit_code == 0
    assert Status.model_validate_json(result.stdout) == Status.model_validate_json(client.get("/api/v1/status").content)


def test_status_shows_issues_first(mirrorctl: Mirrorctl) -> None:
    """`status` shows issues with remedies first, then freshness, projects, disk and failures."""
    result = mirrorctl("status")

    assert result.exit_code == 0
    assert result.stdout.startswith("! The volume has a problem\n  detail  zope-interface fails: look upstream")
    for told in (
        "  works  ",
        "  to do  ",
        "  since  ",
        "last sync finished",
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
def test_status_check_sets_the_exit_code(
    mirrorctl: Mirrorctl, syncer: FakeSyncer, told: dict[str, Any], code: int
) -> None:
    """With `--check`, the exit code shows whether a person must act; otherwise it is 0."""
    now = datetime.now(UTC)
    syncer.told = told | {"last_run": ended(now), "last_success_at": now, "last_completed_at": now}
    assert mirrorctl("status", "--check").exit_code == code
    assert mirrorctl("status", "--check", "--json").exit_code == code
    assert mirrorctl("status").exit_code == 0


def test_status_of_healthy_mirror_starts_with_freshness(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """Without issues, `status` starts with the freshness and the number of installable projects."""
    now = datetime.now(UTC)
    well = {"problems": [], "projects": {ProjectState.CURRENT: 2}, "failing": []}
    syncer.told = well | {"last_run": ended(now), "last_success_at": now, "last_completed_at": now}
    told = mirrorctl("status").stdout
    assert told.startswith("Matches upstream as of ")
    assert "1 project with 1 file can be installed." in told.splitlines()[0]


@pytest.mark.proves("reliability/disk")
def test_status_shows_pending_removal(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """`status` shows how much waits for deletion, until when, and the command that deletes it now."""
    now = datetime.now(UTC)
    later = now + timedelta(hours=30, minutes=10)
    syncer.told = {"pending_removal": PendingRemoval(files=12, bytes=48_000_000, first_at=now, last_at=later)}
    told = " ".join(mirrorctl("status").stdout.replace("│", " ").split())
    assert "12 files, 48.0 MB, will be deleted in 30 h at the latest" in told
    assert "`mirrorctl collect --now` deletes them now" in told


def ended(moment: datetime) -> Run:
    """Return a full sync that succeeded."""
    return Run(
        id="r1",
        request=RunRequest(kind=RunKind.SYNC),
        trigger=Trigger.SCHEDULE,
        state=RunState.SUCCEEDED,
        created_at=moment,
        started_at=moment,
        finished_at=moment,
    )


def test_status_shows_upstream_change(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """`status` shows when upstream last changed, and the previous upstream."""
    news = datetime.now(UTC) - timedelta(days=3)
    syncer.told = {"upstream_news_at": news, "previous_upstream": "https://old.example.org"}
    told = mirrorctl("status").stdout

    assert re.search(r"news +upstream last changed 3 d ago", told)
    assert "upstream was https://old.example.org" in told


def test_status_shows_that_syncer_is_down(mirrorctl: Mirrorctl, syncer: FakeSyncer, background: Background) -> None:
    """If the syncer is down, `status` says so before the last known state."""
    mirrorctl("status")
    background.run(syncer.stop())

    told = mirrorctl("status").stdout
    assert "last known status" in told
    assert "next run once the syncer answers" in told


def test_upstream_text_cannot_control_a_terminal(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """Escape sequences in errors, failures and problems are printed as harmless characters."""
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
def test_follow_ends_with_the_run(mirrorctl: Mirrorctl, syncer: FakeSyncer, end: RunState, code: int) -> None:
    """`sync --follow` prints a JSON line per change, the final state last, and exits with the run's outcome."""
    syncer.script = [RunState.QUEUED, RunState.RUNNING, end]
    result = mirrorctl("sync", "six", "--follow")

    assert result.exit_code == code
    assert [run.state for run in _lines(result)][-2:] == [RunState.RUNNING, end]
    assert {run.trigger for run in _lines(result)} == {Trigger.CLI}
    assert _lines(result)[0].request.projects == ("six",)


def test_follow_shows_the_end_within_a_second(mirrorctl: Mirrorctl, syncer: FakeSyncer, background: Background) -> None:
    """`--follow` shows the end of a run within a second."""
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


def test_follow_survives_a_restart_of_the_syncer(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """A syncer that fails for some polls does not end `--follow`."""
    syncer.script = [RunState.RUNNING, Mood.BROKEN, Mood.MISSHAPEN, RunState.SUCCEEDED]

    assert mirrorctl("sync", "--follow").exit_code == 0


async def test_follow_gives_up_on_a_dead_syncer(
    client: httpx2.Client, syncer: FakeSyncer, background: Background
) -> None:
    """A syncer that stays down ends `--follow`, even while control keeps the stream open."""
    async with ApiClient(base=f"{client.base_url}/api/v1/", timeout_seconds=5, token=TOKEN) as control:
        run = await control.start_run(RunRequest(kind=RunKind.SYNC), trigger=Trigger.CLI)
        following = asyncio.create_task(follow(control, run, max_outage_seconds=1))
        await asyncio.to_thread(background.run, syncer.stop())
        with pytest.raises(ApiError):
            async with asyncio.timeout(60):
                await following


def test_follow_fails_if_the_run_is_unknown(mirrorctl: Mirrorctl, syncer: FakeSyncer, background: Background) -> None:
    """A run that has disappeared is a failure and does not block forever."""

    async def forget() -> None:
        await syncer.asked.wait()
        syncer.runs.clear()

    forgetting = asyncio.run_coroutine_threadsafe(forget(), background.loop)
    result = mirrorctl("sync", "--follow")
    forgetting.result()

    assert result.exit_code == 1
    assert "There is no run" in result.stderr


def test_follow_on_a_terminal_shows_failures(
    mirrorctl: Mirrorctl, syncer: FakeSyncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal, `--follow` shows progress and finally the failures."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    syncer.script = [RunState.RUNNING, RunState.INCOMPLETE]
    result = mirrorctl("sync", "--follow")

    assert result.exit_code == 3
    assert "2 of 2 projects, 4.1 kB" in result.stdout
    assert "wrong hash: [bold]" in result.stdout


def test_options_reach_the_run(mirrorctl: Mirrorctl) -> None:
    """Every option of sync and verify becomes a field of the request."""
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


def test_allow_removals_0_allows_none(mirrorctl: Mirrorctl) -> None:
    """`sync --allow-removals 0` requests a run without removals, not one with the guard's default."""
    assert _lines(mirrorctl("sync", "--allow-removals", "0"))[0].request.allow_removals == 0
    assert _lines(mirrorctl("sync"))[0].request.allow_removals is None


def test_lists_print_json_for_programs(mirrorctl: Mirrorctl) -> None:
    """`runs --json` and `projects --json` print the API's answer."""
    mirrorctl("sync")

    assert [run["state"] for run in json.loads(mirrorctl("runs", "--json").stdout)["items"]] == ["queued"]
    assert [one["name"] for one in json.loads(mirrorctl("projects", "--json").stdout)["items"]] == [
        "six",
        "zope-interface",
    ]
    assert json.loads(mirrorctl("projects", "six", "--json").stdout)["files"][0]["size"] == 11050


def test_lists_print_tables_for_people(mirrorctl: Mirrorctl) -> None:
    """`runs` and `projects` print tables; with an id or name they show one in detail."""
    run_id = _lines(mirrorctl("sync"))[0].id

    assert run_id in mirrorctl("runs", "--state", "queued").stdout
    assert run_id in mirrorctl("runs", "--trigger", "cli", "--since", "2026-11-22").stdout
    assert run_id not in mirrorctl("runs", "--trigger", "schedule").stdout
    assert "six" in mirrorctl("projects", "--state", "current", "--search", "ix").stdout
    sorted_by_size = mirrorctl("projects", "--sort", "size").stdout
    assert sorted_by_size.index("six") < sorted_by_size.index("zope-interface")
    assert "six-1.17.0.tar.gz" in mirrorctl("projects", "six").stdout


@pytest.mark.proves("reliability/upstream")
def test_project_shows_files_without_upload_time(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """A project shows the number, the effect and the names of files without an upload time."""
    syncer.projects["six"] = half_dated_project()
    told = mirrorctl("projects", "six").stdout
    assert "1 file without an upload time; pip --uploaded-prior-to refuses the project" in " ".join(told.split())
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


def test_list_prints_how_to_continue(mirrorctl: Mirrorctl) -> None:
    """A list with further pages prints the option for the next one on a single line."""
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
def test_invalid_option_is_one_line(mirrorctl: Mirrorctl, command: tuple[str, ...], told: str) -> None:
    """An invalid option is refused in one line with exit code 2, before any call."""
    result = mirrorctl(*command)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"mirrorctl: {told}")
    assert len(result.stderr.splitlines()) == 1


def test_help_is_not_cut_at_80_columns() -> None:
    """At 80 columns, the help text of each command is complete, and exit codes are listed."""
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(main, ["--help"]).stdout

    assert "..." not in shown.partition("Commands:")[2]
    assert "3 incomplete" in shown


def test_runs_fit_80_columns(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """At 80 columns, each run is one line, even with 890,000 projects and failures."""
    _lines(mirrorctl("sync"))
    (run,) = syncer.runs.values()
    counts = Counts(projects_planned=890_123, projects_done=890_123, projects_failed=12)
    incomplete = {"id": "20261122T161233905-3fa9c1", "counts": counts, "state": RunState.INCOMPLETE}
    syncer.runs = {"1": run.model_copy(update=incomplete)}
    shown = mirrorctl("runs", COLUMNS="80").stdout.splitlines()

    assert len(shown) == 2
    assert shown[1].startswith("20261122T161233905-3fa9c1 sync")
    assert shown[1].rstrip().endswith("890,123, 12 failed")


def test_cancel_ends_a_run(mirrorctl: Mirrorctl) -> None:
    """`cancel` ends a run, and explains why an ended run cannot be cancelled."""
    run_id = _lines(mirrorctl("sync"))[0].id
    first, second = mirrorctl("cancel", run_id), mirrorctl("cancel", run_id)

    assert (first.exit_code, _lines(first)[0].state) == (0, RunState.CANCELLED)
    assert (second.exit_code, "has ended: cancelled" in second.stderr) == (1, True)


def test_pause_and_resume_show_the_schedule(mirrorctl: Mirrorctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pause` and `resume` print the new schedule; `status` shows it, too."""
    paused = json.loads(mirrorctl("pause").stdout)["paused"]
    assert "the schedule is paused" in mirrorctl("status").stdout
    monkeypatch.setenv("FORCE_COLOR", "1")

    assert paused is True
    assert "until `mirrorctl resume`" in mirrorctl("pause").stdout
    assert "*/30 * * * *" in mirrorctl("resume").stdout


def test_token_prints_only_the_token(mirrorctl: Mirrorctl) -> None:
    """`token` prints the token and nothing else."""
    assert mirrorctl("token").stdout == f"{TOKEN}\n"


def test_check_judges_a_candidate(mirrorctl: Mirrorctl, tmp_path: Path) -> None:
    """A valid candidate exits with 0 and shows the changes, including withheld removals; nothing runs."""
    candidate = tmp_path / "candidate.toml"
    candidate.write_text('[mirror]\nprojects = ["caf\u00e9"]\n', encoding="utf-8")
    result = mirrorctl("check", str(candidate))
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "valid: scope selected, 30 projects",
        f"25 would be added: {', '.join(f'p{number}' for number in range(20))} and 5 more",
        "7 would be removed: six and 6 more",
        "files: 3 arrive (5.0 MB and 1 of unknown size), 40 leave (1.2 GB); of the 5,000 largest of 886,000 projects",
        "  numpy: 40 leave (1.2 GB)",
        "the deletion guard would withhold 7 removals; to allow them, run sync --allow-removals 7",
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
def test_token_comes_from_the_environment(
    mirrorctl: Mirrorctl, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    """Outside control's container, MIRROR_TOKEN is the token; without it, the error names the variable."""
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
def test_error_is_one_line_with_the_remedy(mirrorctl: Mirrorctl, arguments: list[str], code: int, told: str) -> None:
    """Errors go to standard error as one line, with an exit code and without a traceback."""
    result = mirrorctl(*arguments)

    assert result.exit_code == code
    assert told in result.stderr
    assert "Traceback" not in result.output


def test_another_server_is_not_accepted_as_control(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """An answer of another server is an error."""
    result = mirrorctl("--url", syncer.url, "status")

    assert result.exit_code == 1
    assert "is not a mirror's control" in result.stderr


def test_502_of_a_proxy_means_control_is_down(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """A plain-text 502, as nginx sends it, means that control is down."""
    syncer.mood = Mood.BEHIND_A_PROXY
    result = mirrorctl("--url", syncer.url, "status")

    assert result.exit_code == 1
    assert "does not answer (HTTP 502); check `docker compose ps control`" in result.stderr


def test_wrong_token_names_the_command(mirrorctl: Mirrorctl) -> None:
    """The error for a wrong token names the command that shows the right one."""
    result = mirrorctl("sync", MIRROR_TOKEN="a-wrong-token-0123456789")

    assert result.exit_code == 1
    assert "mirrorctl token" in result.stderr


@pytest.mark.proves("reliability/status")
def test_piped_table_is_complete(mirrorctl: Mirrorctl, syncer: FakeSyncer) -> None:
    """In a pipe, each row is one line with complete cells, whatever the terminal's width."""
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


def test_table_fits_the_terminal(mirrorctl: Mirrorctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, no line is wider than the terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", mirrorctl("projects", COLUMNS="60").stdout).splitlines()
    assert max(map(len, lines)) <= 60
