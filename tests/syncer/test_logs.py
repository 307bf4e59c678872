"""The log: lines for machines, as docs/operations.md says they are."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

import fakepypi
from mirror_contract import Counts, RunKind, RunState
from syncer.site import Site
from syncer.test_cli import mirror_syncer

DOCUMENT = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
ROWS = re.findall(r"^\| `([a-z ]+)` \| ([^|]+) \|", DOCUMENT.partition("## The log")[2], re.MULTILINE)
FIELDS = {message: set(re.findall(r"`(\w+)`", fields)) for message, fields in ROWS[:4]}


async def lines(site: Site, *arguments: str) -> list[dict[str, Any]]:
    """Return the log of a command."""
    done = await mirror_syncer(site, *arguments, MIRROR_LOG_FORMAT="auto")
    return [json.loads(line) for line in done.err.splitlines()]


async def test_the_document_tells_what_is_logged(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Each line of a run begins with time, level, message, run and kind, and has the fields that are documented."""
    for name in ("six", "idna"):
        pypi.index.project(name).upload("1.0")
    pypi.faults.on_page("idna").status(500)
    site.select("six", "idna")
    logged = await lines(site, "sync")
    known = {line["message"]: set(line) for line in logged if "run" in line}

    assert set(FIELDS) == {"plan", "progress", "failed", "run ended"}
    assert set(known) == {"plan", "failed", "run ended"}, "a short run makes no progress"
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


async def test_a_run_that_never_began_is_told_by_its_id(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """One that is cancelled while it waits has its line, with its id, too."""
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
async def test_a_level_is_where_the_log_begins(site: Site, pypi: fakepypi.FakePyPI, level: str, *, told: bool) -> None:
    """What is below MIRROR_LOG_LEVEL is not there."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    done = await mirror_syncer(site, "sync", MIRROR_LOG_LEVEL=level)

    assert ("run ended" in done.err) is told
