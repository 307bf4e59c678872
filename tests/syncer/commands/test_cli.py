"""The command line, as people and scripts use it."""

import asyncio
import json
import os
import re
import stat
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import AF_UNIX, socket

import pytest
import typer

import fakepypi
from mirror_syncer.commands.console import fail
from mirror_syncer.errors import MirrorError
from syncer.site import Site


@dataclass(frozen=True)
class Done:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


async def mirror_syncer(site: Site, *arguments: str, **environment: str) -> Done:
    """Run a command to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mirror_syncer",
        *arguments,
        env={"PATH": os.environ["PATH"], **site.environment(**environment)},
        stdout=PIPE,
        stderr=PIPE,
    )
    out, err = await process.communicate()
    return Done(process.returncode or 0, out.decode(), err.decode())


async def pass_on(lines: asyncio.StreamReader, events: asyncio.Queue[dict[str, object]] | None) -> None:
    """Read a log to its end, so that its writer never blocks; put each event into the queue, if there is one."""
    async for line in lines:
        if events is not None:
            events.put_nowait(json.loads(line))


@asynccontextmanager
async def service(
    site: Site,
    listen: str | None = None,
    *,
    events: asyncio.Queue[dict[str, object]] | None = None,
    **environment: str,
) -> AsyncIterator[str]:
    """Run `serve` until the block ends; yield its address."""
    if listen is None:
        with socket() as free:
            free.bind(("127.0.0.1", 0))
            listen = f"127.0.0.1:{free.getsockname()[1]}"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mirror_syncer",
        "serve",
        env={"PATH": os.environ["PATH"], **site.environment(MIRROR_LISTEN=listen, **environment)},
        stderr=PIPE,
    )
    assert process.stderr is not None
    async with asyncio.timeout(60):
        while b'"mirroring"' not in await process.stderr.readline():
            continue
    drain = asyncio.create_task(pass_on(process.stderr, events))
    try:
        yield listen
    finally:
        process.terminate()
        assert await process.wait() == 0
        await drain


@pytest.fixture
def six(site: Site, pypi: fakepypi.FakePyPI) -> Site:
    """A host that mirrors one small project."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    return site


@pytest.mark.proves("security/upstream")
def test_control_characters_in_errors_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters in an error from upstream are escaped; line breaks stay."""
    with pytest.raises(typer.Exit):
        fail(MirrorError("http://x/\x1b[2J\x9b: no answer\nsecond line"))

    assert (
        capsys.readouterr().err
        == "error: http://x/\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}: no answer\nsecond line\n"
    )


@pytest.mark.proves("security/containers")
async def test_published_tree_is_readable_under_any_umask(six: Site) -> None:
    """nginx, another user, can read the published tree even if the syncer runs with umask 077."""
    before = os.umask(0o077)
    try:
        done = await mirror_syncer(six, "sync")
    finally:
        os.umask(before)
    tree = [six.web.parent, six.web, *six.web.rglob("*")]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in tree}
    wanted = {path: 0o755 if path.is_dir() else 0o644 for path in tree}
    assert done.code == 0
    assert len(tree) > 260
    assert modes == wanted
    assert stat.S_IMODE((six.web.parent / ".withdrawn").stat().st_mode) == 0o700


async def test_sync_prints_the_run_and_exits_0(six: Site) -> None:
    """A successful `sync` exits with 0 and prints its run as JSON; each log line is one JSON event."""
    done = await mirror_syncer(six, "sync")

    assert done.code == 0
    assert json.loads(done.out)["state"] == "succeeded"
    assert [json.loads(line)["message"] for line in done.err.splitlines()] == ["plan", "run ended"]


async def test_incomplete_sync_exits_3(six: Site, pypi: fakepypi.FakePyPI) -> None:
    """An incomplete sync exits with 3, and its log names each missing file with the reason."""
    pypi.faults.on_file("six-1.0.tar.gz").corrupt()

    done = await mirror_syncer(six, "sync")

    assert done.code == 3
    (line,) = [json.loads(line) for line in done.err.splitlines() if '"failed"' in line]
    assert (line["project"], line["file"]) == ("six", "six-1.0.tar.gz")


async def test_wrong_settings_are_listed_and_exit_2(six: Site) -> None:
    """Wrong and unknown settings exit with 2 before anything starts; the error lists all of them."""
    done = await mirror_syncer(
        six, "sync", MIRROR_CONNECTIONS="many", MIRROR_CONNECTION="3", MIRROR_SCHEDULE="never", MIRROR_TZ="Mars/Base"
    )

    assert done.code == 2
    assert [
        key for key in ("MIRROR_CONNECTIONS =", "MIRROR_CONNECTION is not a setting", "MIRROR_TZ") if key in done.err
    ]
    assert "did you mean MIRROR_CONNECTIONS?" in done.err
    assert not list(six.data.iterdir())


async def test_wrong_policy_exits_2(six: Site) -> None:
    """A wrong mirror.toml exits with 2, and the error names the key."""
    six.policy.write_text('[mirror]\nproject = ["six"]\n')

    done = await mirror_syncer(six, "sync")

    assert done.code == 2
    assert "did you mean mirror.projects?" in done.err


async def test_check_names_each_mistake_with_its_line(six: Site) -> None:
    """`check` exits with 2 and a line per mistake, for the file in use, another file or standard input."""
    wrong = '[mirror]\nprojects = ["a b"]\nlatest = 0\n'
    candidate = six.policy.with_name("candidate.toml")
    candidate.write_text(wrong)
    named = await mirror_syncer(six, "check", str(candidate))
    six.policy.write_text(wrong)
    in_use = await mirror_syncer(six, "check", "--json")
    six.policy.unlink()
    absent = await mirror_syncer(six, "check")

    assert (named.code, in_use.code, absent.code) == (2, 2, 2)
    first, second = named.out.splitlines()
    assert first.startswith('error: line 2: mirror.projects: "a b": must be a name')
    assert second.startswith("error: line 3: mirror.latest = 0: must be a whole number")
    assert [problem["line"] for problem in json.loads(in_use.out)["problems"]] == [2, 3]
    assert "create it or set MIRROR_POLICY" in absent.err


async def test_check_counts_the_changes(six: Site, pypi: fakepypi.FakePyPI) -> None:
    """`check` of a valid file counts the projects that come, leave, or are kept by the deletion guard."""
    names = [f"project-{number}" for number in range(5)]
    for name in names:
        pypi.index.project(name).upload("1.0")
    six.select(*names)
    await mirror_syncer(six, "sync")
    before = six.policy.read_text()
    candidate = six.policy.with_name("candidate.toml")
    candidate.write_text(f'[mirror]\nprojects = ["six", "{names[0]}", "idna"]\n')
    async with service(six, MIRROR_SCHEDULE="off"):
        done = await mirror_syncer(six, "check", str(candidate))

    assert (done.code, done.out.splitlines()) == (
        0,
        [
            "valid: scope selected, 3 projects",
            "2 would be added: idna, six",
            f"4 would be removed: {', '.join(names[1:])}",
            *(line for line in done.out.splitlines() if line.startswith(("files: 8 leave (", "  project-"))),
            "the deletion guard would withhold 4 removals; to allow them, run sync --allow-removals 4",
        ],
    )
    assert six.policy.read_text() == before
    assert six.pages() == names


@pytest.mark.proves("reliability/host")
async def test_policy_change_takes_effect_without_a_restart(six: Site, pypi: fakepypi.FakePyPI) -> None:
    """The service logs each change of mirror.toml within seconds, with the lines of mistakes; the next run uses it."""
    pypi.index.project("idna").upload("1.0")
    noticed = asyncio.Queue[dict[str, object]]()
    async with service(six, MIRROR_SCHEDULE="off", events=noticed) as listen, asyncio.timeout(60):
        six.policy.write_text('[mirror]\nprojects = ["six", "idna"]\nlatest = 0\n')
        while (said := await noticed.get())["message"] != "policy not usable; the last good one stays in force":
            continue
        six.select("six", "idna")
        while (await noticed.get())["message"] != "policy read":
            continue
        done = await mirror_syncer(six, "sync", MIRROR_LISTEN=listen)

    assert said["level"] == "error"
    assert str(said["problems"]).startswith("['line 3: mirror.latest = 0: must be")
    assert done.code == 0
    assert six.pages() == ["idna", "six"]


async def test_invalid_name_exits_2(six: Site) -> None:
    """An invalid project name exits with 2 before any request."""
    done = await mirror_syncer(six, "sync", "/etc/x")

    assert done.code == 2
    assert "'/etc/x' is not a project name" in done.err


@pytest.mark.proves("reliability/status")
@pytest.mark.parametrize("names", [("leftpad",), ("six", "leftpad"), ("Left_Pad", "leftpad", "a", "b", "six")])
async def test_sync_of_an_unselected_project_exits_2(
    six: Site, pypi: fakepypi.FakePyPI, names: tuple[str, ...]
) -> None:
    """`sync NAME` of an unselected project exits with 2, says what to do, and requests nothing."""
    done = await mirror_syncer(six, "sync", *names)

    assert (done.code, done.out, pypi.log.paths()) == (2, "", [])
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "leftpad" in errors[0]
    assert "in mirror.toml, then `docker compose restart syncer`" in errors[0]


@pytest.mark.proves("reliability/status")
async def test_service_refuses_a_sync_of_an_unselected_project(six: Site, pypi: fakepypi.FakePyPI) -> None:
    """A running service refuses `sync NAME` of an unselected project in the same way."""
    async with service(six, MIRROR_SCHEDULE="off") as listen:
        done = await mirror_syncer(six, "sync", "six", "leftpad", MIRROR_LISTEN=listen)
    assert (done.code, done.out, pypi.log.paths()) == (2, "", [])
    assert "leftpad is not selected: give it a line in mirror.toml" in done.err


async def test_plan_offline_sends_no_request(six: Site, pypi: fakepypi.FakePyPI) -> None:
    """`plan --offline` shows the action and reason of each project, without an estimate, and says so."""
    done = await mirror_syncer(six, "plan", "--offline", "--json")
    shown = await mirror_syncer(six, "plan", "--offline")

    document = json.loads(done.out)
    assert document["projects"] == [{"project": "six", "action": "refresh", "reason": "new in mirror.toml"}]
    assert (document["totals"]["projects"], document["totals"]["not_estimated"]) == (1, 1)
    assert "fetch_bytes" not in document["totals"]
    assert "1 projects have no estimate: upstream was not contacted (--offline)" in shown.out
    assert pypi.log.paths() == []
    assert not list(six.data.iterdir())


async def test_plan_requests_pages_and_metadata_and_writes_nothing(six: Site, pypi: fakepypi.FakePyPI) -> None:
    """`plan` requests pages and what releases require from upstream, and writes nothing into the tree."""
    done = await mirror_syncer(six, "plan", "six")

    assert done.code == 0
    assert all(
        word in done.out
        for word in ("named by a person", "download", "six-1.0.tar.gz", "2 files to download", "free now")
    )
    assert pypi.log.paths().count("/simple/six/") == 1
    assert not [path for path in pypi.log.paths() if path.endswith(".whl")]
    assert not list(six.data.iterdir())


async def test_plan_works_while_the_service_runs(six: Site, pypi: fakepypi.FakePyPI) -> None:
    """`plan` works while the service locks the tree, and does not disturb it."""
    async with service(six, MIRROR_SCHEDULE="off") as listen:
        await mirror_syncer(six, "sync", "six", MIRROR_LISTEN=listen)
        done = await mirror_syncer(six, "plan", "--json", MIRROR_LISTEN=listen)

    (project,) = json.loads(done.out)["projects"]
    assert (done.code, project["action"], project["have_files"], project["fetch_files"]) == (0, "keep", 2, 0)


@pytest.mark.proves("reliability/status")
async def test_plan_in_a_pipe_cuts_no_cell(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """In a pipe, each row of `plan` is one line with complete names and reasons, whatever the terminal's width."""
    name = "a-project-with-a-name-" + "x" * 150
    pypi.index.project(name).upload("1.0")
    site.select(name)
    for arguments in (("plan", "--offline"), ("plan", name)):
        done = await mirror_syncer(site, *arguments, COLUMNS="40")
        assert [line for line in done.out.splitlines() if line.startswith(f"{name} ") and len(line) < 2_000]
        assert "…" not in done.out
    assert f"{name.replace('-', '_')}-1.0.tar.gz" in done.out


async def test_plan_without_an_answer_from_upstream_exits_1(six: Site) -> None:
    """If upstream does not answer, `plan` exits with 1 and recommends `plan --offline`."""
    done = await mirror_syncer(six, "plan", MIRROR_UPSTREAM="http://127.0.0.1:9")

    assert done.code == 1
    assert "plan --offline" in done.err


async def test_unmounted_disk_exits_1(six: Site) -> None:
    """If the catalog has projects but the tree is missing, the disk is unmounted: exit code 1, nothing written."""
    await mirror_syncer(six, "sync")
    six.data.rename(six.data.with_name("unmounted"))
    six.data.mkdir()

    done = await mirror_syncer(six, "sync")

    assert done.code == 1
    assert "is the disk mounted?" in done.err
    assert not list(six.data.iterdir())


async def test_sync_is_executed_by_the_running_service(six: Site, pypi: fakepypi.FakePyPI) -> None:
    """While the service locks the tree, it executes `sync NAME`, and the command follows the run."""
    async with service(six, MIRROR_SCHEDULE="off") as listen:
        done = await mirror_syncer(six, "sync", "six", MIRROR_LISTEN=listen)

    assert done.code == 0
    assert json.loads(done.out)["trigger"] == "cli"
    six.assert_whole()


async def test_command_finds_a_service_by_its_socket(six: Site, pypi: fakepypi.FakePyPI, tmp_path: Path) -> None:
    """With `MIRROR_LISTEN=unix:…` a command finds the service, even after an earlier service was killed."""
    listen = f"unix:{tmp_path / 'syncer.sock'}"
    with socket(AF_UNIX) as killed:
        killed.bind(str(tmp_path / "syncer.sock"))
    async with service(six, listen, MIRROR_SCHEDULE="off"):
        done = await mirror_syncer(six, "sync", "six", MIRROR_LISTEN=listen)
        held = await mirror_syncer(six, "sync", "six", MIRROR_LISTEN=f"unix:{tmp_path / 'elsewhere.sock'}")

    assert (done.code, json.loads(done.out)["trigger"]) == (0, "cli")
    assert (held.code, "another syncer writes to" in held.err) == (1, True)
    assert not (tmp_path / "syncer.sock").exists()


async def test_first_start_syncs_at_once(six: Site, pypi: fakepypi.FakePyPI) -> None:
    """A first start syncs at once; a second one within the interval, with the same policy, waits for the schedule."""
    gate = pypi.faults.on_page("six").gate()
    async with service(six):
        async with asyncio.timeout(60):
            await gate.arrival()
        gate.open()
        await six.pages_become(["six"])
    pypi.log.forget()
    async with service(six):
        pass
    assert pypi.log.paths() == []

    pypi.index.project("idna").upload("1.0")
    six.select("six", "idna")
    async with service(six):
        await six.pages_become(["idna", "six"])


async def test_version_and_help_need_no_settings(six: Site) -> None:
    """`--version` and `--help` work without settings and without a tree."""
    version = await mirror_syncer(six, "--version")
    usage = await mirror_syncer(six, "--help")

    assert (version.code, version.out.split()[0]) == (0, "mirror-syncer")
    assert all(command in usage.out for command in ("serve", "sync", "verify", "plan", "adopt"))


async def test_plan_of_everything_counts_projects(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """With scope everything, `plan` counts projects by action and reason, and estimates only named projects."""
    for name in ("alpha", "beta"):
        pypi.index.project(name).upload("1.0")
    site.everything()
    await site.sync()
    site.sql("UPDATE project SET wanted_serial = wanted_serial + 9 WHERE name = 'beta'")

    whole, named = await mirror_syncer(site, "plan", "--json"), await mirror_syncer(site, "plan", "beta", "--json")
    numbers = {line["reason"]: line["projects"] for line in json.loads(whole.out)}
    assert (numbers["changed upstream"], numbers["no news"], numbers["not refreshed yet"]) == (1, 1, 0)
    (beta,) = json.loads(named.out)["projects"]
    assert (beta["project"], beta["reason"]) == ("beta", "nothing to download")


async def test_plan_of_everything_counts_what_other_rules_concern(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """With scope everything, `plan` counts the projects that changed rules concern, and the held and blocked files."""
    for name in ("alpha", "beta"):
        pypi.index.project(name).upload("1.0")
    site.everything()
    site.policy.write_text(f'{site.policy.read_text()}[block]\nprojects = ["alpha==1.0"]\n')
    await site.sync()
    site.everything("alpha")
    site.policy.write_text(f'{site.policy.read_text()}[block]\nprojects = ["alpha==1.0", "beta==2.0"]\n')

    done = await mirror_syncer(site, "plan")

    assert re.search(r"^1 +judge +mirror.toml has other rules for them", done.out, flags=re.MULTILINE)
    assert re.search(r"^1 +hold +0 files wait, 2 are blocked *$", done.out, flags=re.MULTILINE)


async def test_plan_of_everything_names_leaving_projects(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """With scope everything, `plan` names the projects that would leave or lose files."""
    for name in ("alpha", "beta", "gamma"):
        pypi.index.project(name).upload("1.0")
    site.everything()
    await site.sync()
    site.sql("UPDATE project SET absent_since = 0 WHERE name = 'beta'")
    site.sql("UPDATE project SET lost_files = 1 WHERE name = 'gamma'")

    as_json, as_text = await mirror_syncer(site, "plan", "--json"), await mirror_syncer(site, "plan")
    leaving = {
        line["action"]: (line["projects"], line["leaving"]) for line in json.loads(as_json.out) if line["leaving"]
    }
    assert leaving == {"withdraw": (1, ["beta"]), "shrink": (1, ["gamma"])}
    assert "withdraw (upstream no longer has it): beta\n" in as_text.out
    assert "shrink (upstream no longer has some files, or mirror.toml selects none): gamma\n" in as_text.out


async def test_forced_sync_of_everything_needs_a_confirmation(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """`sync --force` of the whole index prints the number of requests, and starts only with `--confirm`."""
    pypi.index.project("alpha").upload("1.0")
    site.everything()
    await site.sync()

    refused = await mirror_syncer(site, "sync", "--force")
    confirmed = await mirror_syncer(site, "sync", "--force", "--confirm")
    assert (refused.code, "2 requests" in refused.err, "--confirm" in refused.err) == (1, True, True)
    assert confirmed.code == 0, confirmed.err
