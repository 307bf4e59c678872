"""What a sync would weigh: told before it is fetched, file by file where a project is named."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import fakepypi
from mirror_contract import RunKind, RunRequest
from mirror_syncer.catalog import Catalog
from mirror_syncer.commands import plan_report as report
from mirror_syncer.commands import weighing
from mirror_syncer.commands.plan_report import Report, make_report
from mirror_syncer.config import read_policy
from mirror_syncer.config.settings import Settings
from syncer.site import Site

SDIST, WHEEL = "six-1.0.tar.gz", "six-1.0-py3-none-any.whl"


async def weighed(site: Site, *projects: str, offline: bool = False, reserve: float = 0.0, **more: object) -> Report:
    """Return the plan of a sync, weighed; ``more`` are settings."""
    settings = Settings.model_validate(
        {"data": site.data, "state": site.state, "upstream": site.upstream, "disk_reserve": reserve, **more}
    ).model_copy(update={"file_hosts": ("127.0.0.1",)})
    catalog = Catalog.in_directory(site.state)
    try:
        request = RunRequest(kind=RunKind.SYNC, projects=projects or None)
        return await make_report(settings, request, policy=read_policy(site.policy), catalog=catalog, offline=offline)
    finally:
        catalog.close()


def files(report: Report) -> dict[str, str]:
    """Return the fates of the only project's files."""
    (project,) = report.document()["projects"]
    return {file["file"]: file["fate"] for file in project["files"]}


def totals(report: Report) -> dict[str, Any]:
    """Return the totals, as a program reads them."""
    document: dict[str, Any] = json.loads(json.dumps(report.document()))["totals"]
    return document


def shown(report: Report) -> str:
    """Return what a person sees."""
    console = Console(file=io.StringIO(), width=160)
    report.show(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


async def test_plan_weighs_what_a_sync_fetches(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The bytes that a plan tells are the bytes that the sync after it fetches; the plan after that has none left."""
    for name in ("idna", "six"):
        pypi.index.project(name).upload("1.0", padding=10_000)
    site.select("idna", "six")
    before = await weighed(site)
    run = await site.sync()
    after = await weighed(site)

    assert (before.sums.fetch_files, before.sums.fetch_bytes) == (run.counts.files_fetched, run.counts.bytes_fetched)
    assert totals(before)["free_bytes_after"] == totals(before)["free_bytes"] - run.counts.bytes_fetched
    assert (after.sums.fetch_files, after.sums.have_files) == (0, 4)
    assert {weight.action for weight in after.weights} == {"keep"}


async def test_plan_withholds_what_a_sync_withholds(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The guard's share is of what was there before upstream took some of it today, in a plan as in a sync."""
    names = [f"project-{number}" for number in range(10)]
    for name in names:
        pypi.index.project(name).create()
    site.select(*names)
    await site.sync()
    for name in names[:4]:
        pypi.index.project(name).delete()
    await site.sync()
    site.select(*names[:6])
    planned = await weighed(site)
    run = await site.sync()

    assert [weight.action for weight in planned.weights if weight.name in names[6:]] == ["withdraw"] * 4
    assert (run.counts.projects_withdrawn, run.counts.projects_withheld) == (4, 0)


async def test_upstream_that_wants_a_login_is_weighed(site: Site, pypi: fakepypi.FakePyPI, tmp_path: Path) -> None:
    """A plan says the same user and password as the sync after it."""
    pypi.index.project("six").upload("1.0")
    pypi.faults.everywhere().require_login("reader", "secret")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login reader password secret\n")
    site.select("six")
    assert totals(await weighed(site, upstream_netrc=netrc))["fetch_files"] == 2
    assert (await weighed(site)).failed


async def test_named_project_is_told_file_by_file(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Of a named project each file is told: to fetch, there already, withheld and by which line, or leaving."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    await site.sync()
    pypi.index.project("six").upload("1.1")
    pypi.index.project("six").upload("2.0", wheel=False)
    pypi.index.project("six").delete_file(WHEEL)
    site.select("six<2")

    report = await weighed(site, "six")

    assert files(report) == {
        SDIST: "have",
        WHEEL: "leaves",
        "six-1.1.tar.gz": "fetch",
        "six-1.1-py3-none-any.whl": "fetch",
        "six-2.0.tar.gz": "withheld",
    }
    (project,) = report.document()["projects"]
    (held,) = [file for file in project["files"] if file["fate"] == "withheld"]
    assert held["why"] == "mirror.toml: 'six<2'"
    text = shown(report)
    assert "mirror.toml: 'six<2'" in text
    assert "2 files to fetch" in text
    assert "1 leave" in text


async def test_policy_that_changed_is_weighed_behind_a_304(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A page that did not change is asked for with its validators, and judged by the policy as it is now."""
    for version in ("1.0", "2.0"):
        pypi.index.project("six").upload(version, wheel=False)
    site.select("six<2")
    await site.sync()
    site.select("six")
    pypi.log.forget()

    report = await weighed(site, "six")

    assert [exchange.status for exchange in pypi.log.to("/simple/six/")] == [304]
    assert files(report) == {"six-1.0.tar.gz": "have", "six-2.0.tar.gz": "fetch"}


async def test_unknown_size_is_not_nothing(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A file whose size upstream does not tell counts as unknown, in the totals and in words."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    pypi.faults.on_page("six").edit(lambda page: page["files"][0].pop("size"))

    report = await weighed(site, "six")

    assert (report.sums.fetch_files, report.sums.unknown_sizes) == (2, 1)
    assert report.sums.fetch_bytes > 0
    assert "and 1 of unknown size" in shown(report)
    assert "at most" in shown(report)


async def test_reserve_is_watched(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A plan that would leave less than the reserve says so, and what to do about it."""
    pypi.index.project("six").upload("1.0")
    site.select("six")

    report = await weighed(site, reserve=0.99)

    assert "MIRROR_DISK_RESERVE" in shown(report)
    assert totals(report)["reserve_bytes"] > totals(report)["free_bytes_after"]


async def test_withdrawals_and_quarantine_are_weighed(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """What leaves is weighed, too: projects taken from mirror.toml, gone upstream, or quarantined."""
    for name in ("dropped", "gone", "held"):
        pypi.index.project(name).upload("1.0", wheel=False)
    site.select("dropped", "gone", "held")
    await site.sync()
    site.select("gone", "held")
    pypi.index.project("gone").delete()
    pypi.index.project("held").quarantine()

    report = await weighed(site)

    assert {weight.name: weight.action for weight in report.weights} == {
        "gone": "withdraw",
        "held": "refresh",
        "dropped": "withdraw",
    }
    assert (report.sums.leaving_files, report.sums.fetch_files) == (3, 0)
    assert report.sums.leaving_bytes > 0


async def test_one_bad_project_does_not_spoil_the_plan(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project whose page cannot be had is told with its reason, and the others are weighed."""
    for name in ("bad", "six"):
        pypi.index.project(name).upload("1.0")
    site.select("bad", "six")
    pypi.faults.on_page("bad").status(403)

    report = await weighed(site)

    assert report.failed
    assert totals(report)["failed"] == 1
    (bad,) = [weight for weight in report.weights if weight.name == "bad"]
    assert (bad.action, bad.sums) == ("failing", None)
    assert "403" in bad.reason
    assert report.sums.fetch_files == 2


async def test_large_plan_is_not_weighed(site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan of too many projects asks nobody, and says how to weigh some of them."""
    for name in ("idna", "six"):
        pypi.index.project(name).upload("1.0")
    site.select("idna", "six")
    monkeypatch.setattr(report, "WEIGHED_MOST", 1)
    assert weighing.WEIGHED_MOST > 1

    whole, named = await weighed(site), await weighed(site, "six")

    assert totals(whole)["not_weighed"] == 2
    assert "name the projects to weigh" in (whole.unweighed or "")
    assert named.sums.fetch_files == 2
    assert pypi.log.paths() == ["/simple/six/"]
