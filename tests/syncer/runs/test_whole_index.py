"""A sync of the whole index: upstream's list says what exists, what changed and what is gone."""

from dataclasses import replace

import pytest

import fakepypi
from mirror_contract import ProjectState, RunKind, RunState
from mirror_syncer.model.project import NO_VALIDATORS
from mirror_syncer.runs.sync import upstream_list
from syncer.site import Running, Site, same_directory


def publish(pypi: fakepypi.FakePyPI, *names: str) -> None:
    """Publish a release of each project upstream."""
    for name in names:
        pypi.index.project(name).upload("1.0")


def create_empty_projects(pypi: fakepypi.FakePyPI, count: int) -> list[str]:
    """Create projects without files upstream, and return their names."""
    names = [f"stub-{number:05}" for number in range(count)]
    for name in names:
        pypi.index.project(name).create()
    return names


def requested_projects(pypi: fakepypi.FakePyPI) -> list[str]:
    """Return the projects whose pages were requested since the log was cleared, by name."""
    pages = [path.split("/")[2] for path in pypi.log.paths() if path.startswith("/simple/")]
    return sorted(name for name in pages if name)


async def test_first_sync_mirrors_every_listed_project(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """
    The first sync mirrors every listed project under its normalized name.

    The next sync requests the list and its newest project, which may have changed under the same serial.
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


async def test_later_sync_requests_only_changed_projects(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A later sync requests the pages of changed and new projects, and of the project that was the newest before."""
    publish(pypi, "alpha", "beta", "gamma")
    site.everything()
    async with site.running() as running:
        await running.sync()
        pypi.index.project("beta").upload("2.0")
        pypi.index.project("delta").upload("1.0")
        pypi.log.forget()
        run = await running.sync()
        row = running.row("beta")

    assert requested_projects(pypi) == ["beta", "delta", "gamma"]
    assert (run.state, run.counts.projects_done) == (RunState.SUCCEEDED, 3)
    assert row.state is ProjectState.CURRENT
    assert "beta-2.0.tar.gz" in site.filenames("beta")


async def test_unchanged_list_still_retries_due_projects(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A sync retries a failed project that is due, even if the list answers 304."""
    publish(pypi, "good", "bad")
    pypi.faults.on_page("bad").status(403).times(1)
    site.everything()
    async with site.running() as running:
        first = await running.sync()
        row = running.row("bad")
        pypi.log.forget()
        early = await running.sync()
        requested_early = requested_projects(pypi)
        site.sql("UPDATE project SET due_at = 1 WHERE name = 'bad'")
        late = await running.sync()

    assert (first.state, first.counts.projects_failed) == (RunState.INCOMPLETE, 1)
    assert (row.state, row.attempts) == (ProjectState.FAILING, 1)
    assert row.due_at is not None
    assert (early.state, requested_early) == (RunState.SUCCEEDED, [])
    assert (late.state, late.counts.projects_done) == (RunState.SUCCEEDED, 1)
    assert site.pages() == ["bad", "good"]


async def test_sync_of_failing_projects_alone_is_incomplete(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A sync whose only projects are a few that fail again is incomplete, not failed."""
    publish(pypi, "good", "bad", "worse")
    pypi.faults.on_page("bad").status(503)
    pypi.faults.on_page("worse").status(403)
    site.everything()
    async with site.running() as running:
        await running.sync()
        site.sql("UPDATE project SET due_at = 1 WHERE due_at IS NOT NULL")
        run = await running.sync()

    assert (run.state, run.counts.projects_failed, run.counts.projects_done) == (RunState.INCOMPLETE, 2, 2)


async def test_failed_project_with_a_change_is_synced_at_once(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project that waits for a retry is synced in the next run if it changes upstream."""
    publish(pypi, "bad")
    pypi.faults.on_page("bad").status(403).times(1)
    site.everything()
    async with site.running() as running:
        await running.sync()
        pypi.index.project("bad").upload("2.0")
        run = await running.sync()

    assert (run.state, site.pages()) == (RunState.SUCCEEDED, ["bad"])


# Removals


async def test_project_missing_from_two_lists_is_withdrawn(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project is withdrawn once two different lists lack it; a 304 does not count as a second list."""
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


async def test_project_listed_again_stays(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project missing from one list stays if the next list names it, however often that happens."""
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


async def test_project_with_a_404_is_withdrawn_at_once(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A listed project whose page answers 404 is withdrawn in the same run, and returns with its page."""
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


async def test_quarantined_project_loses_its_files_at_once(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """
    A quarantined project's files leave in the same run, although the list no longer names the project.

    After the quarantine they return without a download. The empty page stays, whatever later list lacks the project.
    """
    publish(pypi, "bad", "good", "other")
    site.everything()
    async with site.running() as running:
        await running.sync()
        pypi.index.project("bad").quarantine()
        pypi.log.forget()
        run = await running.sync()
        requested, left = requested_projects(pypi), [path.name for path in site.web.rglob("bad-*")]
        status = site.published("bad").page.status
        pypi.index.project("bad").clear_quarantine()
        pypi.log.forget()
        await running.sync()
        fetched, back = pypi.log.to(".whl"), site.filenames("bad")
        pypi.index.project("bad").quarantine()
        await running.sync()
        pypi.index.project("other").upload("2.0")
        await running.sync()

    assert (run.state, requested, left, status) == (
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
async def test_deleted_quarantined_project_is_withdrawn(site: Site, pypi: fakepypi.FakePyPI, *, serials: bool) -> None:
    """Each sync requests the page of a quarantined project, and a 404 withdraws the project."""
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
@pytest.mark.parametrize("cause", ["a lost catalog", "another upstream"])
async def test_quarantined_project_unknown_to_the_catalog_is_checked(
    site: Site, pypi: fakepypi.FakePyPI, cause: str
) -> None:
    """Each sync requests a quarantined project's page, even after the catalog is lost or the upstream changes."""
    publish(pypi, "bad", "good")
    site.everything(guard="100%")
    async with site.running() as running:
        await running.sync()
        pypi.index.project("bad").quarantine()
        await running.sync()
    async with fakepypi.serve(pypi.index) as moved:
        if cause == "a lost catalog":
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
async def test_quarantined_projects_do_not_count_for_the_guard(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The deletion guard does not count quarantined projects, however many lists lack them."""
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
async def test_project_whose_page_failed_is_checked_before_withdrawal(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Before a second list withdraws a project, its page is requested again: the first request may have failed."""
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
async def test_due_files_are_removed_although_the_list_fails(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Files whose grace period is over are removed even if upstream's list fails."""
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
async def test_failed_file_leaves_no_directory(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A failed download to a file's full path leaves no empty directory."""
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


async def test_deleted_project_is_withdrawn_at_once(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project that is missing from the list and whose page answers 404 is withdrawn in the same run."""
    publish(pypi, "gone", "stays", "other")
    site.everything()
    async with site.running() as running:
        await running.sync()
        pypi.index.project("gone").delete()
        run = await running.sync()

    assert (run.state, run.counts.projects_withdrawn) == (RunState.SUCCEEDED, 1)
    assert site.pages() == ["other", "stays"]


async def test_listed_project_without_a_page_is_skipped(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A new project whose page answers 404 is skipped without a failure, and the next sync does not request it."""
    publish(pypi, "alpha", "beta", "newest")
    pypi.faults.on_page("beta").status(404)
    site.everything()
    async with site.running() as running:
        first = await running.sync()
        pypi.log.forget()
        await running.sync()

    assert (first.state, site.pages()) == (RunState.SUCCEEDED, ["alpha", "newest"])
    assert requested_projects(pypi) == ["newest"]


async def test_list_shrunk_to_a_tenth_removes_nothing(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """If lists lack nine tenths of the projects, the guard withholds the removals until an operator confirms them."""
    names = create_empty_projects(pypi, 150)
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


async def test_404_for_every_page_removes_nothing(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A 404 for every page removes nothing, and the projects are synced once upstream recovers."""
    names = create_empty_projects(pypi, 120)
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


# Invalid lists


@pytest.mark.parametrize("fault", ["shortened", "login_page", "corrupt", "status", "cut"])
async def test_invalid_list_fails_the_run_and_removes_nothing(site: Site, pypi: fakepypi.FakePyPI, fault: str) -> None:
    """A list that is cut off, refused, a login page or invalid JSON fails the run and removes no project."""
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
async def test_older_list_withdraws_nothing(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """For a list with a lower serial, a sync requests only the projects whose entries differ, and withdraws none."""
    publish(pypi, "alpha", "beta")
    site.everything()
    async with site.running() as running:
        await running.sync()
        known = running.mirror.catalog.listing.last()
        stale = pypi.faults.on_root().stale()
        pypi.log.forget()
        run = await running.sync()
        requested, statuses = requested_projects(pypi), [one.status for one in pypi.log.to("/simple/")]
        after = running.mirror.catalog.listing.last()
        stale.times(0)
        pypi.index.project("beta").upload("2.0")
        await running.sync()

    assert (run.state, requested, statuses) == (RunState.SUCCEEDED, ["beta"], [200])
    assert known is not None
    # No validators are kept, so that the last list is merged again if upstream returns to it.
    assert after == replace(known, validators=NO_VALIDATORS)
    assert site.pages() == ["alpha", "beta"]
    assert "beta-2.0.tar.gz" in site.filenames("beta")


@pytest.mark.proves("reliability/upstream")
async def test_list_that_stays_older_is_accepted(
    site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After one list with too high a serial, new projects still arrive; a day later, the lower serial is accepted."""
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
async def test_project_with_a_lower_serial_is_requested_once(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project whose serial is lower in a newer list is requested once."""
    publish(pypi, "alpha", "beta")
    site.everything()
    async with site.running() as running:
        await running.sync()
        pypi.faults.on_root().edit(lambda document: document["projects"][0].update({"_last-serial": 5}))
        pypi.log.forget()
        for version in ("2.0", "3.0"):
            pypi.index.project("beta").upload(version)
            assert (await running.sync()).state is RunState.SUCCEEDED

    assert requested_projects(pypi) == ["alpha", "beta", "beta"]


async def test_invalid_names_in_the_list_are_reported(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The run reports each invalid name and each name listed twice, and mirrors all other projects."""
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


# Other kinds of upstream


async def test_upstream_without_serials_is_compared_by_validators(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """If upstream has no serials, each sync requests every page with its validators."""
    publish(pypi, "alpha", "beta", "gamma")
    pypi.faults.everywhere().without_serials()
    site.everything()
    async with site.running() as running:
        await running.sync()
        site.sql("UPDATE project SET checked_at = 1")
        pypi.index.project("beta").upload("2.0")
        pypi.log.forget()
        run = await running.sync()
        requested = requested_projects(pypi)

    assert (run.state, requested, run.counts.projects_changed) == (RunState.SUCCEEDED, ["alpha", "beta", "gamma"], 1)
    assert (run.counts.projects_planned, run.counts.projects_done) == (3, 3)
    assert "_last-serial" not in (site.web / "simple" / "index.v1_json").read_text()


async def test_upstream_with_html_only_is_mirrored(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """An upstream that serves only HTML is mirrored completely."""
    publish(pypi, "Alpha.One", "beta")
    pypi.faults.everywhere().html_only()
    site.everything()
    run = await site.sync()

    assert (run.state, site.pages()) == (RunState.SUCCEEDED, ["alpha-one", "beta"])


async def test_page_older_than_the_list_is_retried_later(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A page with a lower serial than in the list is accepted and requested again later, without a failure."""
    publish(pypi, "six", "other")
    site.everything()
    async with site.running() as running:
        await running.sync()
        pypi.index.project("six").invite("somebody")
        rule = pypi.faults.on_page("six").stale()
        pypi.log.forget()
        lagging = await running.sync()
        row = running.row("six")
        requests = requested_projects(pypi).count("six")
        rule.times(0)
        site.sql("UPDATE project SET due_at = 1 WHERE name = 'six'")
        later = await running.sync()
        settled = running.row("six")

    assert (lagging.state, row.state, requests) == (RunState.SUCCEEDED, ProjectState.BEHIND, 2)
    assert row.due_at is not None
    assert (later.state, settled.state, settled.due_at) == (RunState.SUCCEEDED, ProjectState.CURRENT, None)


# The policy


async def test_changed_policy_line_refreshes_only_its_projects(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """
    A change of mirror.toml's lines concerns only the projects that they name.

    A page with files that were left out is stored; one that was published whole is requested when a rule narrows it.
    """
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
        changed = requested_projects(pypi)
        pypi.log.forget()
        await running.sync()

    assert before == ({"alpha-1.0.tar.gz"}, {"beta-1.0.tar.gz", "beta-2.0.tar.gz"})
    assert (changed, requested_projects(pypi)) == (["beta", "gamma"], ["gamma"])
    assert site.filenames("alpha") == {"alpha-1.0.tar.gz", "alpha-2.0.tar.gz"}
    assert site.filenames("beta") == {"beta-1.0.tar.gz"}


async def test_named_project_before_the_first_list_is_mirrored(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A sync of a named project mirrors it even if the catalog does not know it yet."""
    publish(pypi, "six", "other")
    site.everything()
    run = await site.sync("six")

    assert (run.state, site.pages()) == (RunState.SUCCEEDED, ["six"])


async def test_forced_sync_sends_no_validators(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A forced sync requests the list and every page without validators."""
    publish(pypi, "alpha", "beta")
    site.everything()
    async with site.running() as running:
        await running.sync()
        site.sql("UPDATE project SET checked_at = 1")
        pypi.log.forget()
        run = await running.sync(force=True, confirm=True)

    assert (run.state, requested_projects(pypi), run.counts.projects_done) == (RunState.SUCCEEDED, ["alpha", "beta"], 2)
    assert {one.status for one in pypi.log} == {200}


def gauges(running: Running) -> dict[str, float]:
    """Return the value of each metric, by name and labels."""
    lines = running.mirror.metrics.exposition().decode().splitlines()
    return {
        name: float(value) for name, _, value in (line.partition(" ") for line in lines) if not name.startswith("#")
    }


async def test_mirror_serial_stays_below_pending_changes(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The mirror's serial stays below the oldest pending change, and equals upstream's when everything is synced."""
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
