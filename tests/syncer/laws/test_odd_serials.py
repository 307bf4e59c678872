"""Upstreams whose serials are no counters: constants, dates, impossible numbers, and numbers that vanish or go back."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import fakepypi
from fakepypi.pages import Document
from mirror_contract import ProjectState, RunState
from mirror_syncer.config.judgement import older_pages
from mirror_syncer.runs.sync import upstream_list
from syncer.laws.test_downstream import JSON, plain_server, second
from syncer.runs.test_whole_index import publish
from syncer.site import Site

POISON = [2**63 - 1, 2**53, 2**53 - 1]


def renumber(pypi: fakepypi.FakePyPI, serial: Callable[[str, int], int]) -> None:
    """Give list, projects and pages other serials, computed from name and right serial; none in headers."""

    def change(document: Document) -> None:
        meta = document["meta"]
        meta["_last-serial"] = serial(document.get("name", ""), meta["_last-serial"])
        for project in document.get("projects", ()):
            project["_last-serial"] = serial(project["name"], project["_last-serial"])

    for target in (pypi.faults.on_root(), pypi.faults.on_page()):
        target.edit(change).without("X-PyPI-Last-Serial")


def list_serials(site: Site) -> list[int]:
    """Return the published list's own serial, then its projects' serials."""
    document = json.loads((site.web / "simple" / "index.v1_json").read_text())
    return [document["meta"]["_last-serial"], *(project["_last-serial"] for project in document["projects"])]


@pytest.mark.proves("reliability/upstream")
async def test_index_with_constant_serials_is_updated(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Each sync finds the changes of an index with one serial for everything, and our list's serial increases."""
    publish(pypi, "alpha", "beta")
    renumber(pypi, lambda _name, _serial: 1_000_000_000)
    site.everything()
    async with site.running() as running:
        await running.sync()
        before = list_serials(site)
        pypi.index.project("beta").upload("2.0")
        run = await running.sync()
        after = list_serials(site)

    assert run.state is RunState.SUCCEEDED
    assert "beta-2.0.tar.gz" in site.filenames("beta")
    assert before == [1_000_000_000] * 3
    assert after == [1_000_000_001, 1_000_000_000, 1_000_000_001]


@pytest.mark.proves("reliability/upstream")
async def test_index_with_daily_serials_is_updated(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A sync finds a second change under the day's serial, and a change just before the day ends."""
    publish(pypi, "alpha", "beta")
    days = {"alpha": 20261129, "beta": 20261129}
    renumber(pypi, lambda name, _serial: days.get(name, max(days.values())))
    site.everything()
    async with site.running() as running:
        await running.sync()
        for version, day in (("2.0", 20261130), ("3.0", 20261130)):
            days["beta"] = day
            pypi.index.project("beta").upload(version)
            await running.sync()
            assert f"beta-{version}.tar.gz" in site.filenames("beta")
        pypi.index.project("beta").upload("4.0")
        days["alpha"] = 20261201
        pypi.index.project("alpha").upload("2.0")
        await running.sync()

    assert "beta-4.0.tar.gz" in site.filenames("beta")
    assert "alpha-2.0.tar.gz" in site.filenames("alpha")


@pytest.mark.proves("reliability/upstream")
async def test_serial_that_stands_still_is_detected(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """If a project's files changed under the same serial, each sync requests its page until the serial moves."""
    publish(pypi, "alpha", "beta", "gamma", "delta")
    still = {"alpha": 11, "beta": 12, "gamma": 13, "delta": 14}
    renumber(pypi, lambda name, serial: still.get(name, 20))
    site.everything()
    async with site.running() as running:
        await running.sync()
        pypi.index.project("alpha").upload("2.0")
        await running.sync("alpha")  # as the weekly re-check does
        doubted = running.row("alpha").doubted
        pypi.index.project("alpha").upload("3.0")
        await running.sync()
        seen = site.filenames("alpha")
        still["alpha"] = 21
        pypi.index.project("alpha").upload("4.0")
        await running.sync()
        trusted = running.row("alpha")

    assert doubted
    assert "alpha-3.0.tar.gz" in seen
    assert (trusted.doubted, trusted.serial) == (False, 21)


@pytest.mark.proves("reliability/upstream", "security/upstream")
@pytest.mark.parametrize("wrong", POISON)
@pytest.mark.parametrize("everything", [True, False])
async def test_impossible_serial_hides_no_quarantine(
    site: Site, pypi: fakepypi.FakePyPI, *, wrong: int, everything: bool
) -> None:
    """After a page and a list with an impossible serial, the next release and the quarantine still arrive."""
    publish(pypi, "alpha", "bad", "beta")
    if everything:
        site.everything(guard="100%")
    else:
        site.select("alpha", "bad", "beta", guard="100%")
    async with site.running() as running:
        await running.sync()
        renumber(pypi, lambda name, serial: wrong if name == "bad" else serial)
        pypi.index.project("bad").upload("2.0")
        await running.sync()
        during = list_serials(site)
        pypi.faults.clear()
        pypi.index.project("bad").upload("3.0")
        await running.sync()
        filenames = site.filenames("bad")
        pypi.index.project("bad").quarantine()
        run = await running.sync()

    assert run.state is RunState.SUCCEEDED
    assert "bad-3.0.tar.gz" in filenames
    assert site.published("bad").page.status == "quarantined"
    assert max(during) < 10**9


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize("wrong", POISON)
async def test_impossible_list_serial_is_ignored(site: Site, pypi: fakepypi.FakePyPI, wrong: int) -> None:
    """The syncer reads a list with an impossible serial like any other, and does not take the next one for older."""
    publish(pypi, "alpha")
    site.everything()
    once = pypi.faults.on_root().edit(lambda document: document["meta"].update({"_last-serial": wrong}))
    async with site.running() as running:
        await running.sync()
        once.times(0)
        publish(pypi, "beta")
        run = await running.sync()

    assert (run.state, site.pages()) == (RunState.SUCCEEDED, ["alpha", "beta"])
    assert max(list_serials(site)) < 10**9


@pytest.mark.proves("reliability/upstream")
async def test_serial_that_vanishes_takes_nothing_back(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """If a page loses its serial, the syncer compares its content: it keeps newer content and accepts new files."""
    project = pypi.index.project("six")
    project.upload("1.0")
    site.select("six")
    async with site.running() as running:
        await running.sync()
        project.upload("2.0")
        await running.sync()
        pypi.faults.on_page("six").stale().without_serials().without("ETag")
        behind = await running.sync()
        kept = site.filenames("six")
        pypi.faults.clear()
        pypi.faults.everywhere().without_serials()
        project.upload("3.0")
        ahead = await running.sync()

    assert (behind.state, ahead.state) == (RunState.INCOMPLETE, RunState.SUCCEEDED)
    assert behind.failures[0].reason.startswith(
        "upstream shows a page without a serial, which may be older; ours is of"
    )
    assert "six-2.0.tar.gz" in kept
    assert {"six-2.0.tar.gz", "six-3.0.tar.gz"} <= site.filenames("six")


@pytest.mark.proves("reliability/upstream", "security/upstream")
@pytest.mark.parametrize("how", ["quarantine", "yank", "fewer files"])
async def test_older_page_restricts_at_once(site: Site, pypi: fakepypi.FakePyPI, how: str) -> None:
    """Quarantines, yanks and removals on a page with a lower serial apply at once; the guard limits removals."""
    project = pypi.index.project("six")
    project.upload("1.0")
    project.upload("2.0")
    site.select("six", guard="100%", grace="0m")
    async with site.running() as running:
        await running.sync()
        match how:
            case "quarantine":
                project.quarantine()
            case "yank":
                project.yank("1.0", reason="broken")
            case "fewer files":
                project.delete_release("1.0")
        renumber(pypi, lambda _name, serial: serial - 1_000)
        run = await running.sync()
        row = running.row("six")
    page = site.published("six").page

    assert (run.state, row.state) == (RunState.INCOMPLETE, ProjectState.BEHIND)
    assert "older page" in run.failures[0].reason
    match how:
        case "quarantine":
            assert page.status == "quarantined"
        case "yank":
            assert {file.filename for file in page.files if file.yanked} == {
                "six-1.0.tar.gz",
                "six-1.0-py3-none-any.whl",
            }
        case "fewer files":
            assert site.filenames("six") == {"six-2.0.tar.gz", "six-2.0-py3-none-any.whl"}


@pytest.mark.proves("reliability/upstream")
async def test_older_page_frees_nothing(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A page with a lower serial neither ends a quarantine nor takes back a yank."""
    six, idna = pypi.index.project("six"), pypi.index.project("idna")
    for project in (six, idna):
        project.upload("1.0")
    site.select("six", "idna")
    async with site.running() as running:
        six.quarantine()
        idna.yank("1.0")
        await running.sync()
        pypi.faults.on_page().stale().without("ETag")
        await running.sync()

    assert site.published("six").page.status == "quarantined"
    assert all(file.yanked for file in site.published("idna").page.files)


@pytest.mark.proves("reliability/upstream")
async def test_upstream_restored_from_a_backup_is_followed(
    site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If all serials suddenly drop, releases still arrive at once, and a day later syncs are normal again."""
    publish(pypi, "alpha", "beta")
    site.everything()
    async with site.running() as running:
        await running.sync()
        renumber(pypi, lambda _name, serial: serial - 10_000)
        pypi.index.project("beta").upload("2.0")
        first = await running.sync()
        released = site.filenames("beta")
        monkeypatch.setattr(upstream_list, "OLDER_SECONDS", 0)
        monkeypatch.setattr(older_pages, "OLDER_SECONDS", 0)
        day_later = await running.sync()
        pypi.log.forget()
        pypi.index.project("alpha").delete_release("1.0")
        pypi.index.project("alpha").upload("3.0")
        usual = await running.sync()
        known = running.mirror.catalog.listing.last()

    assert "beta-2.0.tar.gz" in released
    assert first.state is RunState.SUCCEEDED
    assert "accepted as it is" in (day_later.message or "")
    assert usual.state is not RunState.FAILED
    assert "alpha-3.0.tar.gz" in site.filenames("alpha")
    assert known is not None
    assert known.serial == pypi.index.serial - 10_000


@pytest.mark.proves("reliability/upstream", "security/upstream")
async def test_mirror_of_a_poisoned_mirror_recovers(tmp_path: Path, site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Impossible serials in one mirror's list and page do not spread to its mirror; a forced sync repairs the first."""
    publish(pypi, "alpha", "beta", "gamma")
    site.everything()
    async with site.running() as ours:
        await ours.sync()
        with plain_server(site.data, index=JSON) as (url, _):
            lower = second(tmp_path, url)
            async with lower.running() as theirs:
                # As a version without these checks left them: in the catalog, the list and a page.
                site.sql("UPDATE about SET value = '4000000000000' WHERE key = 'list_serial'")
                site.sql("UPDATE project SET serial = 4000000000000 WHERE name = 'alpha'")
                for path in (site.web / "simple" / "index.v1_json", site.web / "simple" / "alpha" / JSON):
                    text = json.loads(path.read_text())
                    text["meta"]["_last-serial"] = 4_000_000_000_000
                    path.write_text(json.dumps(text))
                await theirs.sync()
                await ours.sync(force=True, confirm=True)
                healed = list_serials(site)
                pypi.index.project("alpha").upload("2.0")
                pypi.index.project("beta").quarantine()
                await ours.sync()
                await theirs.sync()

    assert max(healed) < 10**9
    assert "alpha-2.0.tar.gz" in lower.filenames("alpha")
    assert lower.published("beta").page.status == "quarantined"
    assert max(list_serials(lower)) < 10**9
