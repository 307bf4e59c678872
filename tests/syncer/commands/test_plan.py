"""`plan`: what a sync would do and download, with each file of a named project."""

import io
import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import fakepypi
from mirror_contract import ProjectState, Run, RunState
from mirror_syncer.commands import planning
from mirror_syncer.commands.plan_report import Report
from syncer.planning import planned
from syncer.site import Site

SDIST, WHEEL = "six-1.0.tar.gz", "six-1.0-py3-none-any.whl"


def files(report: Report) -> dict[str, str]:
    """Return the decisions about the only project's files; "download" for kept files that are missing."""
    (project,) = report.document()["projects"]
    return {file["file"]: "download" if file["download"] else file["decision"] for file in project["files"]}


def totals(report: Report) -> dict[str, Any]:
    """Return the totals of the JSON output."""
    document: dict[str, Any] = json.loads(json.dumps(report.document()))["totals"]
    return document


def shown(report: Report) -> str:
    """Return the output on a terminal."""
    console = Console(file=io.StringIO(), width=160)
    report.show(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


async def test_plan_counts_the_bytes_that_a_sync_downloads(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The next sync downloads the bytes that a plan counts; the following plan counts none."""
    for name in ("idna", "six"):
        pypi.index.project(name).upload("1.0", padding=10_000)
    site.select("idna", "six")
    before = await planned(site)
    run = await site.sync()
    after = await planned(site)

    assert (before.sums.fetch_files, before.sums.fetch_bytes) == (run.counts.files_fetched, run.counts.bytes_fetched)
    assert totals(before)["free_bytes_after"] == totals(before)["free_bytes"] - run.counts.bytes_fetched
    assert (after.sums.fetch_files, after.sums.have_files) == (0, 4)
    assert {project.action for project in after.projects} == {"keep"}


async def test_plan_measures_the_guard_share_like_a_sync(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Plan and sync both compute the guard's share from the number of projects before today's removals."""
    names = [f"project-{number}" for number in range(10)]
    for name in names:
        pypi.index.project(name).create()
    site.select(*names)
    await site.sync()
    for name in names[:4]:
        pypi.index.project(name).delete()
    await site.sync()
    site.select(*names[:6])
    plan = await planned(site)
    run = await site.sync()

    assert [project.action for project in plan.projects if project.name in names[6:]] == ["withdraw"] * 4
    assert (run.counts.projects_withdrawn, run.counts.projects_withheld) == (4, 0)


async def test_plan_sends_the_same_credentials_as_a_sync(site: Site, pypi: fakepypi.FakePyPI, tmp_path: Path) -> None:
    """A plan sends the same user and password as a sync."""
    pypi.index.project("six").upload("1.0")
    pypi.faults.everywhere().require_login("reader", "secret")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login reader password secret\n")
    site.select("six")
    assert totals(await planned(site, upstream_netrc=netrc))["fetch_files"] == 2
    assert (await planned(site)).failed


async def test_plan_of_a_named_project_lists_its_files(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A plan of a named project lists each file as to download, kept, dropped (by which line) or leaving."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    await site.sync()
    pypi.index.project("six").upload("1.1")
    pypi.index.project("six").upload("2.0", wheel=False)
    pypi.index.project("six").delete_file(WHEEL)
    site.select("six<2")

    report = await planned(site, "six")

    assert files(report) == {
        SDIST: "keep",
        WHEEL: "leaving",
        "six-1.1.tar.gz": "download",
        "six-1.1-py3-none-any.whl": "download",
        "six-2.0.tar.gz": "drop",
    }
    (project,) = report.document()["projects"]
    (dropped,) = [file for file in project["files"] if file["decision"] == "drop"]
    assert dropped["reason"] == "its version does not match 'six<2' in mirror.toml"
    text = shown(report)
    assert "does not match 'six<2'" in text
    assert "2 files to download" in text
    assert "1 files leave" in text


async def test_plan_applies_a_changed_policy_to_a_304(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A plan requests a page with its validators; after a 304 it applies the current policy to the kept page."""
    for version in ("1.0", "2.0"):
        pypi.index.project("six").upload(version, wheel=False)
    site.select("six<2")
    await site.sync()
    site.select("six")
    pypi.log.forget()

    report = await planned(site, "six")

    assert [exchange.status for exchange in pypi.log.to("/simple/six/")] == [304]
    assert files(report) == {"six-1.0.tar.gz": "keep", "six-2.0.tar.gz": "download"}


async def test_plan_shows_an_unknown_size_as_unknown(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A plan counts and shows a file whose size upstream does not give as unknown."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    pypi.faults.on_page("six").edit(lambda page: page["files"][0].pop("size"))

    report = await planned(site, "six")

    assert (report.sums.fetch_files, report.sums.unknown_sizes) == (2, 1)
    assert report.sums.fetch_bytes > 0
    assert "and 1 of unknown size" in shown(report)
    assert "at most" in shown(report)


async def test_plan_warns_about_the_disk_reserve(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A plan that would use the disk reserve says so, and says what to do."""
    pypi.index.project("six").upload("1.0")
    site.select("six")

    report = await planned(site, reserve=1.0)

    assert "MIRROR_DISK_RESERVE" in shown(report)
    assert totals(report)["reserve_bytes"] > totals(report)["free_bytes_after"]


async def test_plan_counts_leaving_projects_and_files(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A plan counts projects that leave: removed from mirror.toml, deleted upstream, or quarantined."""
    for name in ("dropped", "gone", "held"):
        pypi.index.project(name).upload("1.0", wheel=False)
    site.select("dropped", "gone", "held", guard="100%")
    await site.sync()
    site.select("gone", "held", guard="100%")
    pypi.index.project("gone").delete()
    pypi.index.project("held").quarantine()

    report = await planned(site)

    assert {project.name: project.action for project in report.projects} == {
        "gone": "withdraw",
        "held": "refresh",
        "dropped": "withdraw",
    }
    assert (report.sums.leaving_files, report.sums.fetch_files) == (3, 0)
    assert report.sums.leaving_bytes > 0


async def test_plan_lists_a_failing_project_and_estimates_the_others(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A plan lists a project whose page fails with the reason, and estimates the others."""
    for name in ("bad", "six"):
        pypi.index.project(name).upload("1.0")
    site.select("bad", "six")
    pypi.faults.on_page("bad").status(403)

    report = await planned(site)

    assert report.failed
    assert totals(report)["failed"] == 1
    (bad,) = [project for project in report.projects if project.name == "bad"]
    assert (bad.action, bad.sums) == ("failing", None)
    assert "403" in bad.reason
    assert report.sums.fetch_files == 2


async def test_plan_of_too_many_projects_sends_no_request(
    site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan of too many projects sends no request, and says how to estimate some of them."""
    for name in ("idna", "six"):
        pypi.index.project(name).upload("1.0")
    site.select("idna", "six")
    monkeypatch.setattr(planning, "MAX_ESTIMATED_PROJECTS", 1)

    whole, named = await planned(site), await planned(site, "six")

    assert totals(whole)["not_estimated"] == 2
    assert "name some projects" in (whole.not_estimated or "")
    assert named.sums.fetch_files == 2
    assert pypi.log.paths() == ["/simple/six/"]


async def test_plan_shows_what_is_held_and_blocked(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A plan says why each file is held or blocked, and until when; its sums count these files."""
    pypi.index.project("six").upload("1.0", wheel=False)
    pypi.index.project("six").upload("2.0", wheel=False)
    site.select("six")
    await site.sync()
    young = datetime.now(UTC)
    pypi.index.project("six").upload("3.0", wheel=False, uploaded_at=young)
    rules = '[age]\nmin = "7d"\n[block]\nprojects = [{ name = "six==2.0", because = "CVE-2026-1" }]\n'
    site.policy.write_text(f"{site.policy.read_text()}{rules}")

    report = await planned(site, "six")
    (project,) = report.document()["projects"]
    found = {file["file"]: file for file in project["files"]}
    text = shown(report)

    assert project["action"] == "refresh"
    assert (project["held_files"], project["blocked_files"], project["leaving_files"]) == (1, 1, 1)
    assert {name: file["decision"] for name, file in found.items()} == {
        SDIST: "keep",
        "six-2.0.tar.gz": "block",
        "six-3.0.tar.gz": "hold",
    }
    assert found["six-2.0.tar.gz"]["reason"] == "CVE-2026-1"
    assert "this mirror waits 7 days" in found["six-3.0.tar.gz"]["reason"]
    until = datetime.fromisoformat(found["six-3.0.tar.gz"]["until"])
    assert timedelta(0) < until - young - timedelta(days=7) <= timedelta(seconds=2)
    assert "until" not in found[SDIST]
    assert "1 files are held, 1 are blocked" in text
    assert re.search(r"six-2\.0\.tar\.gz +block +\d+ bytes +CVE-2026-1", text)


async def test_plan_of_a_blocked_project_says_why_it_leaves(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project that is blocked as a whole leaves in the plan as in the sync, with the reason of its line."""
    for name in ("idna", "six"):
        pypi.index.project(name).upload("1.0")
    site.select("idna", "six")
    await site.sync()
    site.policy.write_text(f'{site.policy.read_text()}[block]\nprojects = [{{ name = "six", because = "stolen" }}]\n')

    report, named = await planned(site), await planned(site, "six")
    run = await site.sync()

    assert [(one.action, one.reason) for one in report.projects if one.name == "six"] == [
        ("withdraw", "blocked in mirror.toml: stolen")
    ]
    assert [(one.action, one.reason) for one in named.projects] == [("none", "blocked in mirror.toml: stolen")]
    assert run.counts.projects_withdrawn == 1


async def test_plan_warns_about_contradictory_rules(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A plan shows the warnings about mirror.toml, in text and JSON."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    warning = "'six' is selected and blocked (bad\x1b[2J): it is not mirrored"

    report = await planned(site, warnings=(warning,))

    assert "warning: 'six' is selected and blocked (bad\ufffd[2J): it is not mirrored" in shown(report)
    assert report.document()["warnings"] == [warning]


# What a plan and the sync after it agree about


async def both(site: Site, *projects: str) -> tuple[Report, Run]:
    """Return the plan of a sync, and the sync's run."""
    return await planned(site, *projects), await site.sync(*projects)


def action(report: Report, name: str = "six") -> str:
    """Return the plan's action for a project."""
    return next(project.action for project in report.projects if project.name == name)


@pytest.mark.proves("reliability/removal")
async def test_line_without_a_match_fails_in_plan_and_sync(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A line that matches no release fails in plan and sync; the published files stay."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    await site.sync()
    site.select("six==99")

    report, run = await both(site)

    assert (action(report), report.failed, report.sums.fetch_files, report.sums.leaving_files) == (
        "failing",
        True,
        0,
        0,
    )
    assert (run.state, run.counts.projects_failed) == (RunState.INCOMPLETE, 1)
    assert report.projects[0].reason == run.failures[0].reason
    assert "'six==99' selects none of its 2 files" in run.failures[0].reason
    assert site.filenames("six") == {SDIST, WHEEL}


@pytest.mark.proves("reliability/removal")
async def test_line_without_a_match_fails_with_scope_everything(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """With scope everything, too, a line that matches no release fails in plan and sync; the published files stay."""
    pypi.index.project("six").upload("1.0")
    site.everything()
    await site.sync()
    site.everything("six<0.1")

    report, run = await both(site, "six")

    assert (action(report), report.sums.leaving_files) == ("failing", 0)
    assert set(files(report).values()) == {"keep"}
    assert run.counts.projects_failed == 1
    assert site.filenames("six") == {SDIST, WHEEL}


@pytest.mark.proves("reliability/removal")
async def test_other_content_under_a_published_name_is_guarded(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """In plan and sync, the deletion guard keeps a published file when upstream has other content under its name."""
    six = pypi.index.project("six")
    six.upload("1.0", wheel=False)
    site.select("six", grace="0h")
    await site.sync()
    ours = site.content("six", SDIST)
    six.upload_file(SDIST, b"other", version="1.0", replace=True)
    # Another project lost something today, and of one project the guard lets one go.
    site.sql(f"UPDATE about SET value = '{{\"idna\": {int(time.time())}}}' WHERE key = 'taken'")
    site.sql(f"INSERT OR IGNORE INTO about (key, value) VALUES ('taken', '{{\"idna\": {int(time.time())}}}')")

    report, named = await planned(site), await planned(site, "six")
    run = await site.sync()

    assert (action(report), report.sums.fetch_files, report.sums.leaving_bytes) == ("withheld", 0, 0)
    assert report.sums.lost_files == run.counts.projects_withheld == 1
    assert site.content("six", SDIST) == ours
    document = named.document()["projects"][0]
    assert [(file["decision"], file["size"]) for file in document["files"]] == [("lost", len(ours)), ("drop", 5)]


async def test_other_content_that_the_guard_allows_is_downloaded(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Within the guard's limit, plan and sync replace our file with upstream's other content."""
    six = pypi.index.project("six")
    six.upload("1.0", wheel=False)
    site.select("six", grace="0h")
    await site.sync()
    ours = site.content("six", SDIST)
    six.upload_file(SDIST, b"other", version="1.0", replace=True)

    report, run = await both(site)

    assert (report.sums.fetch_files, report.sums.fetch_bytes) == (1, 5)
    assert (report.sums.leaving_files, report.sums.leaving_bytes) == (1, len(ours))
    assert (run.counts.files_fetched, run.counts.bytes_fetched, run.counts.files_removed) == (1, 5, 1)
    assert site.content("six", SDIST) == b"other"


@pytest.mark.parametrize("gone", [True, False], ids=["gone upstream", "lost its files"])
@pytest.mark.proves("reliability/removal")
async def test_plan_keeps_what_the_guard_keeps(site: Site, pypi: fakepypi.FakePyPI, *, gone: bool) -> None:
    """A plan keeps what the deletion guard keeps, and counts no leaving bytes for it."""
    names = [f"project-{number}" for number in range(4)]
    for name in names:
        pypi.index.project(name).upload("1.0", wheel=False)
    site.select(*names)
    await site.sync()
    for name in names[:3]:
        if gone:
            pypi.index.project(name).delete()
        else:
            pypi.index.project(name).delete_release("1.0")

    report, run = await both(site)

    assert [action(report, name) for name in names] == [*["withheld"] * 3, "keep"]
    assert (report.sums.lost_files, report.sums.leaving_files, report.sums.leaving_bytes) == (3, 0, 0)
    assert (run.counts.projects_withheld, run.counts.projects_withdrawn) == (3, 0)
    assert site.pages() == names


async def test_plan_counts_no_leaving_files_of_guarded_projects(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A plan counts no leaving files or bytes of projects that the guard keeps after their line was removed."""
    names = [f"project-{number}" for number in range(4)]
    for name in names:
        pypi.index.project(name).upload("1.0", wheel=False)
    site.select(*names)
    await site.sync()
    site.select(names[0])

    report, run = await both(site)

    assert [action(report, name) for name in names] == ["keep", *["withheld"] * 3]
    assert (report.sums.leaving_files, report.sums.leaving_bytes) == (0, 0)
    assert (run.counts.projects_withheld, run.counts.projects_withdrawn) == (3, 0)


async def test_plan_ignores_an_older_page(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """An older page from a CDN edge changes nothing in plan and sync."""
    pypi.index.project("six").upload("1.0", wheel=False)
    pypi.index.project("six").upload("1.1", wheel=False)
    site.select("six")
    await site.sync()
    pypi.faults.on_page("six").stale()

    report, run = await both(site)

    assert (action(report), report.sums.fetch_files, report.sums.leaving_files) == ("behind", 0, 0)
    assert report.projects[0].reason == run.failures[0].reason
    assert site.filenames("six") == {"six-1.0.tar.gz", "six-1.1.tar.gz"}


@pytest.mark.proves("reliability/upstream")
async def test_refused_entries_count_as_failed_files_once(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The run, the metrics and the project's row each count an invalid entry of a page as one failed file."""

    def spoil(page: dict[str, Any]) -> None:
        page["files"][0]["hashes"] = {"sha256": "none"}

    for name in ("idna", "six"):
        pypi.index.project(name).upload("1.0")
        pypi.faults.on_page(name).edit(spoil)
    pypi.faults.on_page("six").edit(lambda page: page["files"].pop())
    site.select("idna", "six")
    report = await planned(site)
    async with site.running() as running:
        run = await running.sync()
        metrics = running.mirror.metrics.exposition()
        rows = running.row("idna"), running.row("six")

    assert [(project.action, project.sums and project.sums.refused_files) for project in report.projects] == [
        ("refresh", 1),
        ("failing", 1),
    ]
    assert run.counts.files_failed == 2
    assert sorted(failure.project or "" for failure in run.failures if failure.file) == ["idna", "six"]
    assert b'pypi_mirror_transfers_total{kind="file",outcome="failed"} 2.0' in metrics
    assert [(row.state, row.missing_files) for row in rows] == [(ProjectState.PARTIAL, 1), (ProjectState.FAILING, 0)]
