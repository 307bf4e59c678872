"""Scope everything: upstream's list says what there is, what changed and what is gone."""

from dataclasses import replace

import pytest

import fakepypi
from mirror_contract import ProjectState, RunKind, RunState
from mirror_syncer.model.project import NO_VALIDATORS
from mirror_syncer.runs.sync import upstream_list
from syncer.site import Running, Site, same_directory


def publish(pypi: fakepypi.FakePyPI, *names: str) -> None:
    """Have upstream publish a release of each."""
    for name in names:
        pypi.index.project(name).upload("1.0")


def stubs(pypi: fakepypi.FakePyPI, count: int) -> list[str]:
    """Have upstream create projects without files; return their names."""
    names = [f"stub-{number:05}" for number in range(count)]
    for name in names:
        pypi.index.project(name).create()
    return names


def asked(pypi: fakepypi.FakePyPI) -> list[str]:
    """Return the projects whose pages were asked for since the log was forgotten, by name."""
    pages = [path.split("/")[2] for path in pypi.log.paths() if path.startswith("/simple/")]
    return sorted(name for name in pages if name)


async def test_first_sync_brings_all_that_is_listed(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """
    Every project of the list is mirrored under its normalized name.

    The next sync asks for the list, and for its newest project, which may have changed under the same serial.
    """
    publish(pypi, "Foo.Bar", "six", "zope_interface")
    site.everything()
    async with site.running() as running:
        first = await running.sync()
        pypi.log.forget()
        second = await running.sync()

    assert (first.state, first.counts.projects_done, first.counts.projects_planned) == (RunState.SUCCEEDED, 3, 3)
    assert site.pages() == ["foo-bar", "six", "zope-interface"]
    assert second.state is RunState.SUCCEEDED
    assert [(one.path, one.status) for one in pypi.log] == [("/simple/", 304), ("/simple/zope-interface/", 304)]
    site.assert_whole()


async def test_changes_alone_are_asked_for(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """After a release and a new project these two pages are asked for, and the one that was the newest before."""
    publish(pypi, "alpha", "beta", "gamma")
    site.everything()
    async with site.running() as running:
        await running.sync()
        pypi.index.project("beta").upload("2.0")
        pypi.index.project("delta").upload("1.0")
        pypi.log.forget()
        run = await running.sync()
        row = running.row("beta")

    assert asked(pypi) == ["beta", "delta", "gamma"]
    assert (run.state, run.counts.projects_done) == (RunState.SUCCEEDED, 3)
    assert row.state is ProjectState.CURRENT
    assert "beta-2.0.tar.gz" in site.filenames("beta")


async def test_no_news_still_does_what_is_due(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A 304 on the list is no news, not no work: what failed and is due is tried again."""
    publish(pypi, "good", "bad")
    pypi.faults.on_page("bad").status(403).times(1)
    site.everything()
    async with site.running() as running:
        first = await running.sync()
        row = running.row("bad")
        pypi.log.forget()
        early = await running.sync()
        asked_early = asked(pypi)
        site.sql("UPDATE project SET due_at = 1 WHERE name = 'bad'")
        late = await running.sync()

    assert (first.state, first.counts.projects_failed) == (RunState.INCOMPLETE, 1)
    assert (row.state, row.attempts) == (ProjectState.FAILING, 1)
    assert row.due_at is not None
    assert (early.state, asked_early) == (RunState.SUCCEEDED, [])
    assert (late.state, late.counts.projects_done) == (RunState.SUCCEEDED, 1)
    assert site.pages() == ["bad", "good"]


async def test_bad_projects_alone_are_no_failed_run(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A sync that has nothing to do but to try a few bad projects again, in vain, is incomplete: upstream is well."""
    publish(pypi, "good", "bad", "worse")
    pypi.faults.on_page("bad").status(503)
    pypi.faults.on_page("worse").status(403)
    site.everything()
    async with site.running() as running:
        await running.sync()
        site.sql("UPDATE project SET due_at = 1 WHERE due_at IS NOT NULL")
        run = await running.sync()

    assert (run.state, run.counts.projects_failed, run.counts.projects_done) == (RunState.INCOMPLETE, 2, 2)


async def test_change_is_not_kept_waiting_by_an_earlier_failure(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project that waits for another attempt, and changes upstream, is looked at in the next sync."""
    publish(pypi, "bad")
    pypi.faults.on_page("bad").status(403).times(1)
    site.everything()
    async with site.running() as running:
        await running.sync()
        pypi.index.project("bad").upload("2.0")
        run = await running.sync()

    assert (run.state, site.pages()) == (RunState.SUCCEEDED, ["bad"])


# What leaves


async def test_absence_needs_two_lists(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project that the list lacks is withdrawn when a newer list lacks it, too; a 304 does not count."""
    publish(pypi, "gone", "stays", "other")
    site.everything()
    async with site.running() as running:
        await running.sync()
        pypi.faults.on_root().edit(lambda document: document["projects"].pop(0))
        pypi.index.project("other").upload("2.0")
        first = await running.sync()
        again = await running.sync()
        pages = site.pages()
        pypi.index.project("other").upload("3.0")
        second = await running.sync()

    assert (first.counts.projects_withdrawn, again.counts.projects_withdrawn, pages[0]) == (0, 0, "gone")
    assert (second.state, second.counts.projects_withdrawn) == (RunState.SUCCEEDED, 1)
    assert site.pages() == ["other", "stays"]
    assert ">gone<" not in (site.web / "simple" / "index.html").read_text()


async def test_absence_from_one_list_is_forgotten(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project that one list lacks and the next names stays, and a later absence begins anew."""
    publish(pypi, "flickers", "other")
    site.everything()
    async with site.running() as running:
        await running.sync()
        for number in range(2, 6):
            pypi.index.project("other").upload(f"{number}.0")
            if number % 2 == 0:
                pypi.faults.on_root().edit(lambda document: document["projects"].pop(0)).times(1)
            await running.sync()

    assert site.pages() == ["flickers", "other"]


async def test_404_is_withdrawn_at_once(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project whose page is a 404 leaves in the same run, whatever the list says; listed again, it comes back."""
    publish(pypi, "alpha", "beta", "gamma")
    site.everything()
    async with site.running() as running:
        await running.sync()
        pypi.index.project("beta").upload("2.0")
        rule = pypi.faults.on_page("beta").status(404)
        run = await running.sync()
        left = site.pages()
        rule.times(0)
        pypi.index.project("beta").upload("3.0")
        await running.sync()

    assert (run.state, run.counts.projects_withdrawn, left) == (RunState.SUCCEEDED, 1, ["alpha", "gamma"])
    assert site.pages() == ["alpha", "beta", "gamma"]


async def test_quarantine_is_believed_at_once(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """
    What upstream quarantines it lists no more, and its page tells why: the files leave in the same run.

    Out of quarantine they come back without a download; whatever later list lacks it, its empty page stays.
    """
    publish(pypi, "bad", "good", "other")
    site.everything()
    async with site.running() as running:
        await running.sync()
        pypi.index.project("bad").quarantine()
        pypi.log.forget()
        run = await running.sync()
        looked, left = asked(pypi), [path.name for path in site.web.rglob("bad-*")]
        status = site.published("bad").page.status
        pypi.index.project("bad").clear_quarantine()
        pypi.log.forget()
        await running.sync()
        fetched, back = pypi.log.to(".whl"), site.filenames("bad")
        pypi.index.project("bad").quarantine()
        await running.sync()
        pypi.index.project("other").upload("2.0")
        await running.sync()

    assert (run.state, looked, left, status) == (
        RunState.SUCCEEDED,
        ["bad", "other"],
        [],
        "quarantined",
    )
    assert (run.counts.projects_planned, run.counts.projects_done) == (2, 2)
    assert (fetched, back) == ([], {"bad-1.0-py3-none-any.whl", "bad-1.0.tar.gz"})
    assert (site.pages(), site.filenames("bad")) == (["bad", "good", "other"], set())
    assert list(site.web.rglob("bad-*")) == []


@pytest.mark.proves("reliability/crash")
@pytest.mark.parametrize("serials", [True, False], ids=["serials", "none"])
async def test_quarantined_project_leaves_once_it_is_deleted(
    site: Site, pypi: fakepypi.FakePyPI, *, serials: bool
) -> None:
    """No list tells of the end of a project in quarantine, so each sync asks for its page; a 404 takes it."""
    publish(pypi, "bad", "good", "other")
    if not serials:
        pypi.faults.everywhere().without_serials()
    site.everything(guard="100%")
    async with site.running() as running:
        await running.sync()
        pypi.index.project("bad").quarantine()
        await running.sync()
        site.sql("UPDATE project SET checked_at = checked_at - 1")
        still = await running.sync()
        kept = site.published("bad").page.status
        pypi.index.project("bad").delete()
        site.sql("UPDATE project SET checked_at = checked_at - 1")
        run = await running.sync()

    assert (still.counts.projects_withdrawn, kept) == (0, "quarantined")
    assert (run.state, run.counts.projects_withdrawn) == (RunState.SUCCEEDED, 1)
    assert site.pages() == ["good", "other"]


@pytest.mark.proves("reliability/crash")
@pytest.mark.parametrize("what", ["a lost catalog", "another upstream"])
async def test_quarantine_that_nobody_remembers_is_asked_after(site: Site, pypi: fakepypi.FakePyPI, what: str) -> None:
    """A quarantined project is asked for in each sync, also where the catalog does not know when it last was."""
    publish(pypi, "bad", "good")
    site.everything(guard="100%")
    async with site.running() as running:
        await running.sync()
        pypi.index.project("bad").quarantine()
        await running.sync()
    async with fakepypi.serve(pypi.index) as moved:
        if what == "a lost catalog":
            for path in site.state.iterdir():
                path.unlink()
        else:
            site.upstream = moved.url
        async with site.running() as running:
            await running.sync()
            kept = site.published("bad").page.status
            pypi.index.project("bad").delete()
            await running.sync()
            await running.sync()

    assert kept == "quarantined"
    assert site.pages() == ["good"]


@pytest.mark.proves("reliability/crash")
async def test_quarantined_projects_ask_no_guard(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """What is quarantined stays, so the deletion guard counts none of it, however many lists lack it."""
    publish(pypi, "bad", "worse", "good")
    site.everything(guard="0%")
    async with site.running() as running:
        await running.sync()
        for name in ("bad", "worse"):
            pypi.index.project(name).quarantine()
        await running.sync()
        pypi.index.project("good").upload("2.0")
        run = await running.sync()

    assert (run.state, run.counts.projects_withheld) == (RunState.SUCCEEDED, 0)
    assert site.pages() == ["bad", "good", "worse"]


@pytest.mark.proves("reliability/crash")
async def test_quarantine_whose_page_was_not_to_be_had_is_asked_after(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Before a second list takes a project, its page is asked: the first time it may not have answered."""
    publish(pypi, "bad", "good")
    site.everything(guard="100%")
    async with site.running() as running:
        await running.sync()
        pypi.index.project("bad").quarantine()
        pypi.faults.on_page("bad").times(3).status(503)
        first = await running.sync()
        pypi.index.project("good").upload("2.0")
        second = await running.sync()

    assert (first.counts.projects_failed, second.counts.projects_withdrawn) == (1, 0)
    assert (site.published("bad").page.status, site.filenames("bad")) == ("quarantined", set())


@pytest.mark.proves("reliability/crash")
async def test_files_leave_though_no_list_is_to_be_had(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Files whose time has come are removed without upstream: a list that fails, or names nothing, keeps none."""
    publish(pypi, "one", "two")
    site.everything(grace="0m", guard="100%")
    async with site.running() as running:
        await running.sync()
        pypi.index.project("one").delete_file("one-1.0.tar.gz")
        site.everything(grace="24h", guard="100%")
        await running.sync()
        waiting = list(site.web.rglob("one-1.0.tar.gz"))
        site.sql("UPDATE retired SET due_at = 1 WHERE due_at IS NOT NULL")
        pypi.faults.on_root().status(500)
        run = await running.sync()

    assert (len(waiting), run.state, run.counts.files_removed) == (1, RunState.FAILED, 1)
    assert list(site.web.rglob("one-1.0.tar.gz")) == []


@pytest.mark.proves("reliability/crash")
async def test_file_that_never_came_leaves_no_directory(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A full path's directory, made for a file that could not be had, does not stay behind empty."""
    project = pypi.index.project("six").create()
    first = b"six-1.0.tar.gz"
    project.upload_file("six-1.0.tar.gz", first, version="1.0")
    site.select("six", grace="0m")
    await site.sync()
    project.upload_file("six-1.0.tar.gz", same_directory(first), version="1.0", replace=True)
    pypi.faults.on_file(project="six").status(404)

    run = await site.sync()

    assert run.counts.files_failed == 1
    assert list(site.web.glob("packages/??/??/*")) == []


async def test_deletion_is_believed_at_once(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project that the list lacks and whose page is a 404 leaves in the same run."""
    publish(pypi, "gone", "stays", "other")
    site.everything()
    async with site.running() as running:
        await running.sync()
        pypi.index.project("gone").delete()
        run = await running.sync()

    assert (run.state, run.counts.projects_withdrawn) == (RunState.SUCCEEDED, 1)
    assert site.pages() == ["other", "stays"]


async def test_deleted_since_the_list_is_no_failure(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project that the list names and that has no page, never had here, is passed over, and not asked for again."""
    publish(pypi, "alpha", "beta", "newest")
    pypi.faults.on_page("beta").status(404)
    site.everything()
    async with site.running() as running:
        first = await running.sync()
        pypi.log.forget()
        await running.sync()

    assert (first.state, site.pages()) == (RunState.SUCCEEDED, ["alpha", "newest"])
    assert asked(pypi) == ["newest"]


async def test_list_shrunk_to_a_tenth_empties_nothing(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Of two lists with a tenth of all, changes are fetched, removals withheld and told; confirmed, they go."""
    names = stubs(pypi, 150)
    site.everything()
    async with site.running() as running:
        await running.sync()
        pypi.faults.on_root().edit(lambda document: document.update(projects=document["projects"][-15:]))
        runs = []
        for version in ("1.0", "2.0"):
            pypi.index.project(names[-1]).upload(version)
            runs.append(await running.sync())
        kept = len(site.pages())
        confirmed = await running.sync(allow_removals=135)

    assert [run.state for run in runs] == [RunState.SUCCEEDED, RunState.INCOMPLETE]
    assert (runs[1].counts.projects_withheld, runs[1].counts.projects_changed, kept) == (135, 1, 150)
    assert "--allow-removals 135" in (runs[1].message or "")
    assert (confirmed.state, len(site.pages())) == (RunState.SUCCEEDED, 15)


async def test_404_to_everything_empties_nothing(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """An upstream that answers 404 to every page is withheld from, and when it is well again all is as it was."""
    names = stubs(pypi, 120)
    site.everything()
    async with site.running() as running:
        await running.sync()
        for name in names:
            pypi.index.project(name).upload("1.0", wheel=False)
        rule = pypi.faults.on_page().status(404)
        bad = await running.sync()
        rule.times(0)
        site.sql("UPDATE project SET due_at = 1 WHERE due_at IS NOT NULL")
        well = await running.sync()

    assert (bad.state, bad.counts.projects_withheld) == (RunState.INCOMPLETE, 120)
    assert (well.state, well.counts.projects_changed, well.counts.projects_withheld) == (RunState.SUCCEEDED, 120, 0)
    assert len(site.pages()) == 120


# Lists that are none


@pytest.mark.parametrize("fault", ["shortened", "login_page", "corrupt", "status", "cut"])
async def test_bad_list_is_an_error_and_removes_nothing(site: Site, pypi: fakepypi.FakePyPI, fault: str) -> None:
    """A list that breaks off, is HTML of a portal, no JSON or a refusal fails the run; nothing is taken for absent."""
    publish(pypi, "alpha", "beta", "gamma")
    site.everything()
    async with site.running() as running:
        await running.sync()
        for version in ("2.0", "3.0", "4.0"):
            pypi.index.project("gamma").upload(version)
            rule = pypi.faults.on_root()
            getattr(rule, fault)(*((403,) if fault == "status" else ()))
            run = await running.sync()
            assert run.state is RunState.FAILED
            assert run.message
            pypi.faults.clear()
        healed = await running.sync()

    assert (healed.state, healed.counts.projects_done) == (RunState.SUCCEEDED, 1)
    assert site.pages() == ["alpha", "beta", "gamma"]


@pytest.mark.proves("reliability/upstream")
async def test_older_list_is_no_news(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Of a list with a lower serial than the last, only what it has otherwise is asked for; nothing is absent."""
    publish(pypi, "alpha", "beta")
    site.everything()
    async with site.running() as running:
        await running.sync()
        known = running.mirror.catalog.listing.known()
        stale = pypi.faults.on_root().stale()
        pypi.log.forget()
        run = await running.sync()
        looked, statuses = asked(pypi), [one.status for one in pypi.log.to("/simple/")]
        after = running.mirror.catalog.listing.known()
        stale.times(0)
        pypi.index.project("beta").upload("2.0")
        await running.sync()

    assert (run.state, looked, statuses) == (RunState.SUCCEEDED, ["beta"], [200])
    assert known is not None
    # Without validators: the last list, shown again, is merged again.
    assert after == replace(known, validators=NO_VALIDATORS)
    assert site.pages() == ["alpha", "beta"]
    assert "beta-2.0.tar.gz" in site.filenames("beta")


@pytest.mark.proves("reliability/upstream")
async def test_list_that_stays_older_is_taken(
    site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After one list ahead of all others new projects arrive at once; a day later that is told, and all is as usual."""
    publish(pypi, "alpha")
    site.everything()
    once = pypi.faults.on_root().edit(lambda document: document["meta"].update({"_last-serial": 25_900_000}))
    async with site.running() as running:
        await running.sync()
        once.times(0)
        publish(pypi, "beta")
        early = await running.sync()
        pages = site.pages()
        monkeypatch.setattr(upstream_list, "OLDER_SECONDS", 0)
        late = await running.sync()
        usual = await running.sync()

    assert (early.state, late.state, usual.state) == (RunState.SUCCEEDED,) * 3
    assert pages == ["alpha", "beta"]
    assert "from now on it is accepted as it is" in (late.message or "")
    assert usual.message is None


@pytest.mark.proves("reliability/upstream")
async def test_project_whose_serial_goes_back_is_looked_at_once(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A newer list that gives a project a lower serial than before makes the mirror ask for it once, and no more."""
    publish(pypi, "alpha", "beta")
    site.everything()
    async with site.running() as running:
        await running.sync()
        pypi.faults.on_root().edit(lambda document: document["projects"][0].update({"_last-serial": 5}))
        pypi.log.forget()
        for version in ("2.0", "3.0"):
            pypi.index.project("beta").upload(version)
            assert (await running.sync()).state is RunState.SUCCEEDED

    assert asked(pypi) == ["alpha", "beta", "beta"]


async def test_names_that_are_none_are_told(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Names that are none, and one with two serials, are told in the run; all others are mirrored."""
    publish(pypi, "alpha", "beta")
    names = ["../etc", "", "Beta", "K\u212b", "x" * 300, "a\nb"]
    pypi.faults.on_root().edit(
        lambda document: document["projects"].extend({"name": name, "_last-serial": 7} for name in names)
    )
    site.everything()
    run = await site.sync()

    assert (run.state, site.pages()) == (RunState.INCOMPLETE, ["alpha", "beta"])
    reasons = " ".join(failure.reason for failure in run.failures)
    assert all(word in reasons for word in ("'../etc'", "'beta' is listed twice", "too long"))
    assert len(run.failures) == len(names)


# Upstreams of other kinds


async def test_upstream_without_serials(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Without serials each project is looked at by its validators in each sync, and removals need two lists, too."""
    publish(pypi, "alpha", "beta", "gamma")
    pypi.faults.everywhere().without_serials()
    site.everything()
    async with site.running() as running:
        await running.sync()
        site.sql("UPDATE project SET checked_at = 1")
        pypi.index.project("beta").upload("2.0")
        pypi.log.forget()
        run = await running.sync()
        looked = asked(pypi)

    assert (run.state, looked, run.counts.projects_changed) == (RunState.SUCCEEDED, ["alpha", "beta", "gamma"], 1)
    assert (run.counts.projects_planned, run.counts.projects_done) == (3, 3)
    assert "_last-serial" not in (site.web / "simple" / "index.v1_json").read_text()


async def test_upstream_without_json(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A list in HTML is as good: names from its links, serials where its header has one."""
    publish(pypi, "Alpha.One", "beta")
    pypi.faults.everywhere().html_only()
    site.everything()
    run = await site.sync()

    assert (run.state, site.pages()) == (RunState.SUCCEEDED, ["alpha-one", "beta"])


async def test_page_that_lags_behind_the_list(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A page older than the list says is taken and asked for again later: no failure, and no hot loop."""
    publish(pypi, "six", "other")
    site.everything()
    async with site.running() as running:
        await running.sync()
        pypi.index.project("six").invite("somebody")
        rule = pypi.faults.on_page("six").stale()
        pypi.log.forget()
        lagging = await running.sync()
        row = running.row("six")
        requests = asked(pypi).count("six")
        rule.times(0)
        site.sql("UPDATE project SET due_at = 1 WHERE name = 'six'")
        later = await running.sync()
        settled = running.row("six")

    assert (lagging.state, row.state, requests) == (RunState.SUCCEEDED, ProjectState.BEHIND, 2)
    assert row.due_at is not None
    assert (later.state, settled.state, settled.due_at) == (RunState.SUCCEEDED, ProjectState.CURRENT, None)


# The policy


async def test_lines_are_overrides(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A line wants its project otherwise; when the lines change, those concerned are looked at, and no others."""
    for name in ("alpha", "beta", "gamma"):
        for version in ("1.0", "2.0"):
            pypi.index.project(name).upload(version, wheel=False)
    site.everything("alpha<2")
    async with site.running() as running:
        await running.sync()
        before = site.filenames("alpha"), site.filenames("beta")
        site.everything("beta<2")
        pypi.log.forget()
        await running.sync()
        changed = asked(pypi)
        pypi.log.forget()
        await running.sync()

    assert before == ({"alpha-1.0.tar.gz"}, {"beta-1.0.tar.gz", "beta-2.0.tar.gz"})
    assert (changed, asked(pypi)) == (["alpha", "beta", "gamma"], ["gamma"])
    assert site.filenames("alpha") == {"alpha-1.0.tar.gz", "alpha-2.0.tar.gz"}
    assert site.filenames("beta") == {"beta-1.0.tar.gz"}


async def test_project_that_nobody_listed_is_fetched_when_named(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A person may name a project that the catalog does not know yet."""
    publish(pypi, "six", "other")
    site.everything()
    run = await site.sync("six")

    assert (run.state, site.pages()) == (RunState.SUCCEEDED, ["six"])


async def test_force_forgets_validators_of_everything(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A forced sync asks for the list and for each page without validators."""
    publish(pypi, "alpha", "beta")
    site.everything()
    async with site.running() as running:
        await running.sync()
        site.sql("UPDATE project SET checked_at = 1")
        pypi.log.forget()
        run = await running.sync(force=True, confirm=True)

    assert (run.state, asked(pypi), run.counts.projects_done) == (RunState.SUCCEEDED, ["alpha", "beta"], 2)
    assert {one.status for one in pypi.log} == {200}


def gauges(running: Running) -> dict[str, float]:
    """Return the metrics without labels."""
    lines = running.mirror.metrics.exposition().decode().splitlines()
    return {
        name: float(value) for name, _, value in (line.partition(" ") for line in lines) if not name.startswith("#")
    }


async def test_serials_are_shown(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The mirror's serial is upstream's when all is done, and before that of the oldest change that is not."""
    publish(pypi, "alpha", "beta")
    site.everything()
    async with site.running() as running:
        assert "pypi_mirror_serial" not in gauges(running)
        await running.sync()
        done = gauges(running)
        pypi.index.project("beta").upload("2.0")
        gate = pypi.faults.on_page("beta").gate()
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        during = gauges(running)
        gate.open()
        await running.ended(run)

    upstream = pypi.index.serial
    assert done["pypi_mirror_serial"] == done["pypi_mirror_upstream_serial"] < upstream
    assert (during["pypi_mirror_serial"], during["pypi_mirror_upstream_serial"]) == (upstream - 1, upstream)
    assert done['pypi_mirror_upstream_requests_total{code="2xx",endpoint="list"}'] == 1
