"""The log's lines for machines match docs/logs.md."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

import fakepypi
from mirror_contract import Counts, Failure, ProjectState, RunKind, RunState
from mirror_contract.failure import cause
from mirror_syncer.runs import failure_log
from mirror_syncer.runs.failure_log import FailureLog
from syncer.commands.test_cli import mirror_syncer
from syncer.site import Site

DOCUMENT = (Path(__file__).parents[2] / "docs" / "logs.md").read_text()
ROWS = re.findall(r"^\| `([a-z ]+)` \| ([^|]+) \|", DOCUMENT.partition("## The syncer's log")[2], re.MULTILINE)
FIELDS = {message: set(re.findall(r"`(\w+)`", fields)) for message, fields in ROWS[:7]}


async def lines(site: Site, *arguments: str) -> list[dict[str, Any]]:
    """Return the log of a command."""
    done = await mirror_syncer(site, *arguments, MIRROR_LOG_FORMAT="auto")
    return [json.loads(line) for line in done.err.splitlines()]


async def test_log_lines_match_the_document(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Each line of a run begins with time, level, message, run and kind, and has the documented fields."""
    for name in ("six", "idna"):
        pypi.index.project(name).upload("1.0")
    pypi.faults.on_page("idna").status(500)
    site.select("six", "idna", follow=True)
    logged = await lines(site, "sync")
    known = {line["message"]: set(line) for line in logged if "run" in line}

    always = {"plan", "dependencies resolved", "failed", "run ended"}
    assert set(FIELDS) == always | {"list", "progress", "more failures with the same cause"}
    assert set(known) - {"progress"} == always  # which comes every ten seconds, and no sooner
    assert len({line["run"] for line in logged if "run" in line}) == 1
    for line in logged:
        assert list(line)[:3] == ["time", "level", "message"]
        if "run" in line:
            assert list(line)[3:5] == ["run", "kind"]
            more = set(Counts.model_fields) if line["message"] == "run ended" else set()
            assert set(list(line)[5:]) <= FIELDS[line["message"]] | more, line
    (end,) = (line for line in logged if line["message"] == "run ended")
    assert (end["state"], end["trigger"], end["projects_failed"]) == ("incomplete", "cli", 1)
    assert FIELDS["run ended"] - {"counts"} <= set(end)
    assert "plan" in end["phases"]


async def test_failures_with_one_cause_are_summarized(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """If 30 projects fail for one cause, the log names five and counts the rest; run and catalog name all."""
    names = [f"project-{number:02}" for number in range(30)]
    for name in [*names, "other"]:
        pypi.index.project(name).upload("1.0")
    pypi.faults.on_page().status(403)
    pypi.faults.on_page("other").status(410)
    site.select(*names, "other")
    async with site.running() as running:
        with capture_logs() as logged:
            run = await running.sync()
        states = {running.row(name).state for name in names}

    failed = [line for line in logged if line["event"] == "failed"]
    alike = [line for line in logged if line["event"] == "more failures with the same cause"]
    assert ([line["project"] for line in failed].count("other"), len(failed)) == (1, 6)
    assert [(line["reason"], line["count"]) for line in alike] == [(f"{pypi.url}/… answered 403", 30)]
    assert logged.index(alike[0]) == logged.index(logged[-1]) - 1
    assert logged[-1]["event"] == "run ended"
    assert (len(run.failures), states) == (31, {ProjectState.FAILING})


@pytest.mark.proves("security/project-owners")
async def test_many_bad_files_of_one_project_hide_no_other_project(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Run and log name twenty of a project's 300 bad files and count the rest; every other project has its line."""
    for name in ("aaa", "six"):
        pypi.index.project(name).upload("1.0")

    def spoil(document: dict[str, Any]) -> None:
        [entry, *_] = document["files"]
        document["files"] += [{**entry, "filename": f"word{number}/ {'x' * number} .zip"} for number in range(300)]

    pypi.faults.on_page("aaa").edit(spoil)
    pypi.faults.on_page("six").status(403)
    site.select("aaa", "six")
    async with site.running() as running:
        with capture_logs() as logged:
            run = await running.sync()

    [*named, more] = (failure for failure in run.failures if failure.project == "aaa")
    assert (len(named), more.reason) == (20, "280 more failures of this project are not listed")
    assert [failure.project for failure in run.failures if failure.project != "aaa"] == ["six"]
    told = [line["project"] for line in logged if line["event"] == "failed"]
    assert (told.count("six"), told.count("aaa") <= 21) == (1, True)


def test_long_run_repeats_its_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log repeats the summary of a cause after five minutes if more projects have failed."""
    lines = FailureLog()
    counts = []
    for more, passed in ((7, 0.0), (2, 300.0), (0, 600.0), (1, 900.0)):
        monkeypatch.setattr(failure_log, "_SUMMARY_SECONDS", -1.0 if passed else 300.0)
        with capture_logs() as logged:
            for number in range(more):
                lines.record(Failure(project=f"a{number}", reason="no answer in time"))
            lines.summarize_periodically()
        counts.append([line["count"] for line in logged if line["event"] == "more failures with the same cause"])

    assert counts == [[], [9], [], [10]]


def test_failures_with_different_reasons_do_not_fill_the_log() -> None:
    """From the hundredth failure with its own reason on, the log only counts them."""
    lines = FailureLog()
    with capture_logs() as logged:
        for number in range(5_000):
            lines.record(Failure(project="evil", reason="x" * (number % 900) + "y" * (number // 900)))
        lines.summarize()

    assert len(logged) < 700
    assert [line["count"] for line in logged if line["reason"] == "other causes"][-1] > 4_000


def test_verify_logs_every_finding(site: Site) -> None:
    """Each finding of a verify has its line, since it is recorded nowhere else."""
    lines = FailureLog(fold=False)
    with capture_logs() as logged:
        for number in range(20):
            lines.record(Failure(file=f"{number}.whl", reason="missing on disk"))
        lines.summarize()

    assert [line["event"] for line in logged] == ["failed"] * 20


@pytest.mark.parametrize(
    ("reasons", "told"),
    [
        (
            ("https://pypi.org/simple/six/: timed out", "https://pypi.org/simple/idna/: timed out"),
            "https://pypi.org/… timed out",
        ),
        (
            ("2 file(s) missing; six-1.0.whl: 30 bytes, not 31", "9 file(s) missing; idna-2.tar.gz: 1 bytes, not 2"),
            "… file(s) missing; … … bytes, not …",
        ),
        (("'six>=2' matches none", "'idna' matches none"), "… matches none"),
        (("https://pypi.org: answered 404 Not Found",), "https://pypi.org:/… answered 404 Not Found"),
        (("",), ""),
    ],
)
def test_reasons_are_grouped_by_cause(reasons: tuple[str, ...], told: str) -> None:
    """Reasons that differ only in paths, names and numbers are one cause; other hosts or statuses are another."""
    assert {cause(reason) for reason in reasons} == {told}


async def test_run_cancelled_in_the_queue_is_logged(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A run that is cancelled while it is queued has its line, with its id."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    gate = pypi.faults.on_page("six").gate()
    async with site.running() as running:
        first = running.ask(RunKind.SYNC)
        await gate.arrival()
        waiting = running.ask(RunKind.SYNC, force=True)
        active = running.mirror.runs.active(waiting.id)
        assert active is not None
        with capture_logs() as logged:
            await running.mirror.engine.cancel(active)
        gate.open()
        await running.ended(first)

    (line,) = logged
    assert (line["event"], line["run"], line["state"]) == ("run ended", waiting.id, RunState.CANCELLED)


@pytest.mark.parametrize(("level", "told"), [("info", True), ("error", False)])
async def test_lines_below_the_log_level_are_omitted(
    site: Site, pypi: fakepypi.FakePyPI, level: str, *, told: bool
) -> None:
    """The log contains no line below MIRROR_LOG_LEVEL."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    done = await mirror_syncer(site, "sync", MIRROR_LOG_LEVEL=level)

    assert ("run ended" in done.err) is told


@pytest.mark.proves("security/project-owners")
def test_traceback_contains_no_terminal_controls() -> None:
    """The traceback of a defect, whose message may come from upstream, contains no terminal control."""
    script = """
from mirror_syncer.logs import configure_logging
import structlog
configure_logging(level="info", form="console")
try:
    raise ValueError("six\\x1b[2J\\u202e.whl")
except ValueError:
    structlog.get_logger().exception("file failed")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)

    assert "ValueError: six\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}.whl" in done.stderr
    assert "Traceback (most recent call last)" in done.stderr
