"""`plan` with dependencies: the closure as the next sync resolves it, while nothing is stored."""

import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import fakepypi
from mirror_contract import RunState
from mirror_syncer.catalog import Catalog
from mirror_syncer.commands.plan_report import Report
from syncer.planning import planned
from syncer.requiring import upload
from syncer.site import Site


def document(report: Report) -> dict[str, Any]:
    """Return the JSON output."""
    found: dict[str, Any] = json.loads(json.dumps(report.document()))
    return found


def shown(report: Report) -> str:
    """Return the output in a pipe."""
    console = Console(file=io.StringIO(), width=1_000)
    report.show(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def actions(report: Report) -> dict[str, str]:
    """Return what a sync would do to each project."""
    return {project.name: project.action for project in report.projects}


def catalog_dump(site: Site) -> list[str]:
    """Return all that the catalog holds."""
    with closing(sqlite3.connect(site.state / "catalog.sqlite")) as catalog:
        return list(catalog.iterdump())


def tree(site: Site) -> dict[Path, bytes]:
    """Return the content of each file in the tree."""
    return {path: path.read_bytes() for path in site.data.rglob("*") if path.is_file()}


@pytest.fixture
def app(site: Site, pypi: fakepypi.FakePyPI) -> Site:
    """Return a mirror that selects one project, which needs two others."""
    upload(pypi, "app 1.0: lib>=2", "lib 1.0", "lib 2.0: base", "lib 3.0: base", "base 1.0", "other 1.0")
    site.select("app", guard="100%", follow=True)
    return site


async def test_plan_downloads_what_the_first_sync_does(app: Site) -> None:
    """The plan of a first sync names the projects that the sync brings, and counts its files and bytes."""
    report = await planned(app)
    run = await app.sync()
    after = await planned(app)

    assert actions(report) == {"app": "refresh", "base": "refresh", "lib": "refresh"}
    assert (report.sums.fetch_files, report.sums.fetch_bytes) == (run.counts.files_fetched, run.counts.bytes_fetched)
    assert app.pages() == ["app", "base", "lib"]
    assert set(actions(after).values()) == {"keep"}
    assert not report.failed


async def test_plan_asks_for_each_page_once(app: Site, pypi: fakepypi.FakePyPI) -> None:
    """A plan requests each page once, for its dependencies and its estimate together."""
    await planned(app)

    pages = [path for path in pypi.log.paths() if path.startswith("/simple/")]
    assert sorted(pages) == ["/simple/app/", "/simple/base/", "/simple/lib/"]


async def test_plan_stores_nothing(app: Site, pypi: fakepypi.FakePyPI) -> None:
    """A plan beside the service changes neither the catalog nor the tree, though it finds new projects."""
    await app.sync()
    upload(pypi, "app 2.0: lib, news, nobody", "news 1.0")
    before = catalog_dump(app), tree(app)
    report = await planned(app)

    assert actions(report)["news"] == "refresh"
    assert (catalog_dump(app), tree(app)) == before


async def test_plan_sees_a_new_release_and_what_it_needs(app: Site, pypi: fakepypi.FakePyPI) -> None:
    """A plan follows what a release requires that upstream has had since the last sync, as the next sync does."""
    await app.sync()
    upload(pypi, "app 2.0: lib, news", "news 1.0")
    report = await planned(app)
    run = await app.sync()

    assert actions(report) == {"app": "refresh", "base": "keep", "lib": "keep", "news": "refresh"}
    assert report.sums.fetch_files == run.counts.files_fetched == 2
    assert "required: app → news" in shown(report)


async def test_plan_of_a_removed_line_shows_its_closure_leave(app: Site) -> None:
    """What only a removed line needed leaves in the plan, with the reason, and what others need stays."""
    await app.sync()
    app.select("base", guard="100%", follow=True)
    report = await planned(app)
    run = await app.sync()

    assert actions(report) == {"base": "keep", "app": "withdraw", "lib": "withdraw"}
    reasons = {str(project.name): project.reason for project in report.projects}
    assert (reasons["app"], reasons["lib"]) == ("no longer selected", "nothing requires it any more")
    assert (run.counts.projects_withdrawn, app.pages()) == (2, ["base"])


async def test_plan_counts_by_why(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A plan counts releases, files and bytes of lines, requirements, proofs and locks."""
    upload(
        pypi,
        "app 1.0: lib, old<2",
        "lib 1.0",
        "lib 2.0: old>=2",
        "old 1.0",
        "old 2.0",
        "pinned 1.0",
        "pinned 2.0",
    )
    site.select("app", guard="100%", follow=True)
    (site.policy.parent / "web.lock").write_text("pinned==1.0\nlib==1.0\n")
    site.policy.write_text(site.policy.read_text().replace("follow = true", 'follow = true\nlocks = ["web.lock"]'))
    found = document(await planned(site))["dependencies"]

    kinds = {name: (one["projects"], one["releases"], one["files"]) for name, one in found["by"].items()}
    assert kinds["lines"] == (1, 1, 1)
    assert kinds["required"] == (2, 3, 3)
    assert kinds["locks"][:2] == (1, 2)
    assert found["by"]["lines"]["bytes"] > 0


async def test_plan_counts_the_release_that_only_a_proof_needs(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A release beyond the newest that a proof needs is counted as a witness."""
    upload(pypi, "app 1.0: lib, old<2", "lib 1.0", "lib 2.0: old>=2", "old 1.0", "old 2.0")
    site.select("app", guard="100%", follow=True)
    found = document(await planned(site, "lib"))

    assert found["dependencies"]["by"]["witnesses"]["releases"] == 1
    (lib,) = found["projects"]
    chains = {release["version"]: release["chain"] for release in lib["releases"]}
    assert chains["2.0"] == "app → lib"
    assert chains["1.0"].startswith("witness of app on ")


async def test_plan_of_a_named_project_shows_chain_and_requirements(app: Site, pypi: fakepypi.FakePyPI) -> None:
    """A plan of a named project tells why each release is kept, and what it requires: here, coming, or why not."""
    await app.sync()
    upload(pypi, "lib 4.0: base, news, nobody>=1", "news 1.0")
    report = await planned(app, "lib")
    (lib,) = document(report)["projects"]

    (newest,) = lib["releases"][:1]
    assert (newest["version"], newest["chain"]) == ("4.0", "app → lib>=2")
    assert [(one["requirement"], one["met_by"], one["here"]) for one in newest["requires"]] == [
        ("base", ["1.0"], True),
        ("news", ["1.0"], False),
        ("nobody>=1", [], False),
    ]
    assert newest["requires"][2]["missing"] == ["upstream has no project nobody"]
    text = shown(report)
    assert "1.0 (here)" in text
    assert "1.0 (comes with the sync)" in text
    assert "not met: upstream has no project nobody" in text


async def test_plan_reports_a_line_without_a_proof(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A plan fails like the sync where a line cannot be installed, and gives the solver's words and the machines."""
    upload(pypi, "app 1.0: lib<2, other", "lib 1.0", "other 1.0: lib>=2", "lib 2.0")
    site.select("app", guard="100%", follow=True)
    report = await planned(site)
    run = await site.sync()

    (unproved,) = document(report)["dependencies"]["unproved"]
    assert (unproved["project"], unproved["requirement"]) == ("app", "app")
    assert "lib<2" in unproved["message"]
    assert "app cannot be installed" in shown(report)
    assert report.failed
    assert run.state is RunState.INCOMPLETE


async def test_plan_names_the_group_that_conflicts(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A plan reports a group whose lines cannot be installed together in the words of the sync, with its name."""
    upload(pypi, "a 1.0: lib<2", "b 1.0: lib>=2", "lib 1.0", "lib 2.0")
    site.select("a", "b", guard="100%", follow=True)
    group = 'follow = true\ngroups = { web = ["a", "b"] }\n'
    site.policy.write_text(site.policy.read_text().replace("follow = true\n", group))
    report = await planned(site)
    (failure,) = (await site.sync()).failures

    assert "group web: a and b cannot be installed together" in shown(report)
    assert failure.reason.splitlines()[0] in shown(report)


async def test_unmet_requirement_is_reported_without_failing(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A requirement that upstream cannot meet stands in the plan, with the release that has it."""
    upload(pypi, "app 1.0: lib; python_version < '3'", "lib 1.0", "app 2.0: nobody")
    site.select("app==1.0", "app==2.0", guard="100%", follow=True)
    report = await planned(site)

    (unmet,) = document(report)["dependencies"]["unmet"]
    assert (unmet["project"], unmet["version"], unmet["requirement"]) == ("app", "2.0", "nobody")
    assert unmet["reason"] == "no_project"
    assert "app 2.0 requires nobody" in shown(report)


@pytest.mark.parametrize("limit", ["projects = 2", 'size = "1kB"'])
async def test_plan_beyond_a_limit_says_so_and_fails(app: Site, pypi: fakepypi.FakePyPI, limit: str) -> None:
    """A plan of more than ``[limits]`` lists the projects, names the limit, fails, and requests no more than pages."""
    app.policy.write_text(app.policy.read_text() + f"[limits]\n{limit}\n")
    report = await planned(app)

    assert report.failed
    assert set(actions(report)) == {"app", "base", "lib"}
    (problem,) = document(report)["dependencies"]["exceeded"]
    assert limit.partition(" ")[0] in problem
    assert "A sync downloads nothing: [limits]" in shown(report)
    assert ("raise the limit" in shown(report), "no estimate" in shown(report)) == (True, False)
    assert not [path for path in pypi.log.paths() if path.endswith(".whl")]


async def test_offline_plan_stands_on_what_is_stored(app: Site, pypi: fakepypi.FakePyPI) -> None:
    """Without upstream, a plan knows the dependencies of the last sync, and of a line that left since."""
    await app.sync()
    pypi.log.forget()
    same = await planned(app, offline=True)
    app.select("lib", guard="100%", follow=True)
    changed = await planned(app, offline=True)

    assert actions(same) == {"app": "refresh", "base": "refresh", "lib": "refresh"}
    assert document(same)["dependencies"]["by"]["required"]["releases"] == 2
    assert actions(changed) == {"base": "refresh", "lib": "refresh", "app": "withdraw"}
    assert [same.failed, changed.failed] == [False, False]
    assert pypi.log.paths() == []


async def test_offline_plan_of_a_new_line_says_that_it_is_unknown(app: Site) -> None:
    """Without upstream, what a new line needs is unknown: the plan says so, and calls nothing missing or failed."""
    await app.sync()
    app.select("app", "other", guard="100%", follow=True)
    report = await planned(app, offline=True)

    assert actions(report)["other"] == "refresh"
    assert not report.failed
    text = shown(report)
    assert "unknown here; a sync asks upstream" in text
    assert "cannot be installed" not in text


async def test_plan_of_an_upstream_that_fails_for_one_project(app: Site, pypi: fakepypi.FakePyPI) -> None:
    """A dependency whose page upstream does not give is named, and the plan fails like the sync."""
    pypi.faults.on_page("base").status(500)
    report = await planned(app)

    (unknown, *_) = document(report)["dependencies"]["unknown"]
    assert "500" in unknown["message"]
    assert report.failed


async def test_plan_without_followed_dependencies_has_none(app: Site) -> None:
    """With ``follow = false`` a plan names only what lines select, and counts nothing by why."""
    app.policy.write_text(app.policy.read_text().replace("follow = true", "follow = false"))
    report = await planned(app)

    assert actions(report) == {"app": "refresh"}
    assert "dependencies" not in document(report)


async def test_published_dependency_is_wanted_by_commands(app: Site) -> None:
    """A command beside the service knows the closure: dependencies that are here do not look unwanted."""
    await app.sync()
    catalog = Catalog.in_directory(app.state)
    try:
        assert set(catalog.closures.in_force().required) == {"base", "lib"}
    finally:
        catalog.close()
