"""What a release requires may be missing for a while: the run says so, nothing good is lost, and it heals by itself."""

from http import HTTPStatus

import pytest
from aiohttp import hdrs, web

import fakepypi
from fakepypi.answer import Answer
from fakepypi.distributions import Recipe, build_wheel
from mirror_contract import RunState, UnmetReason
from mirror_syncer.config.policy.closure import Unmet
from mirror_syncer.runs.sync.unmet_report import describe
from syncer.indexes import choose, upload
from syncer.site import IMPATIENT, Running, Site

_WITHHOLD = '[dependencies]\nunmet = "withhold"\n'


def closure_unmet(running: Running) -> tuple[Unmet, ...]:
    """Return what the closure in force does not meet."""
    closure = running.mirror.policy.current.closure
    assert closure is not None
    return closure.unmet


def unmet_reasons(running: Running) -> list[tuple[str, UnmetReason]]:
    """Return the unmet requirements of the closure in force."""
    return [(one.requirement, one.reason) for one in closure_unmet(running)]


async def test_file_that_fails_is_reported_with_the_requirement(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A release whose dependency cannot be downloaded is published, and the run names what it requires."""
    upload(pypi, "app 1.0: lib", "lib 1.0")
    choose(site, "app")
    async with site.running() as running:
        await running.sync()
        upload(pypi, "app 2.0: lib>=2", "lib 2.0")
        pypi.faults.on_file("lib-2.0-py3-none-any.whl").status(404)
        run = await running.sync()

        assert run.state is RunState.INCOMPLETE
        assert "app 2.0 requires lib>=2 on any machine: lib 2.0 could not be downloaded" in [
            one.reason for one in run.failures
        ]
        assert site.filenames("app") == {"app-2.0-py3-none-any.whl"}
        assert site.filenames("lib") == {"lib-1.0-py3-none-any.whl"}  # nothing has replaced it
        assert unmet_reasons(running) == [("lib>=2", UnmetReason.FAILED)]
        assert len([path for path in pypi.log.paths() if path.endswith("lib-2.0-py3-none-any.whl")]) == 1

        pypi.faults.clear()
        assert (await running.sync("lib")).state is RunState.SUCCEEDED
        assert unmet_reasons(running) == []
    assert site.filenames("lib") == {"lib-2.0-py3-none-any.whl"}


async def test_old_release_stays_until_the_new_one_is_whole(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A release that lacks one of its files takes the place of no other; it does once it is whole."""
    upload(pypi, "app 1.0: lib", "lib 1.0")
    choose(site, "app")
    async with site.running() as running:
        await running.sync()
        pypi.index.project("lib").upload("2.0")
        pypi.faults.on_file("lib-2.0.tar.gz").status(404)
        assert (await running.sync()).state is RunState.INCOMPLETE
        assert site.filenames("lib") == {"lib-1.0-py3-none-any.whl", "lib-2.0-py3-none-any.whl"}

        pypi.faults.clear()
        assert (await running.sync()).state is RunState.SUCCEEDED
    assert site.filenames("lib") == {"lib-2.0-py3-none-any.whl", "lib-2.0.tar.gz"}


@pytest.mark.parametrize("circle", [False, True])
async def test_release_is_withheld_until_its_dependency_is_here(
    site: Site, pypi: fakepypi.FakePyPI, *, circle: bool
) -> None:
    """With ``unmet = "withhold"`` a release waits for a dependency that cannot be downloaded, and comes with it."""
    back = "app>=2" if circle else ""
    upload(pypi, "app 1.0: lib", "lib 1.0")
    choose(site, "app", more=_WITHHOLD)
    async with site.running() as running:
        await running.sync()
        upload(pypi, "app 2.0: lib>=2", f"lib 2.0: {back}")
        pypi.faults.on_file("lib-2.0-py3-none-any.whl").status(404)
        run = await running.sync()

        assert run.state is RunState.INCOMPLETE
        assert site.filenames("app") == {"app-1.0-py3-none-any.whl"}
        assert site.filenames("lib") == {"lib-1.0-py3-none-any.whl"}

        pypi.faults.clear()
        run = await running.sync("lib", "app")
    assert run.state is RunState.SUCCEEDED
    assert site.filenames("app") == {"app-2.0-py3-none-any.whl"}


async def test_page_that_fails_leaves_everything_published(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A dependency whose page cannot be read makes the run incomplete; the next run brings it."""
    upload(pypi, "app 1.0: lib", "lib 1.0: base", "base 1.0")
    choose(site, "app")
    async with site.running() as running:
        await running.sync()
        upload(pypi, "app 2.0: lib, news", "news 1.0")
        for name in ("lib", "news"):
            pypi.faults.on_page(name).status(500)
        run = await running.sync()

        assert run.state is RunState.INCOMPLETE
        assert any("requires news on any machine: its page could not be" in one.reason for one in run.failures)
        assert site.pages() == ["app", "base", "lib"]

        pypi.faults.clear()
        run = await running.sync()
    assert run.state is RunState.SUCCEEDED
    assert site.pages() == ["app", "base", "lib", "news"]


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize("status", [HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.FORBIDDEN])
async def test_page_that_failed_is_not_requested_again_in_the_run(
    site: Site, pypi: fakepypi.FakePyPI, status: HTTPStatus
) -> None:
    """A line's page that fails costs one request with its retries and is reported once; the next run asks again."""
    upload(pypi, "app 1.0: lib, news", "lib 1.0", "news 1.0", "other 1.0")
    choose(site, "app", "lib", "other")
    for name in ("lib", "news"):
        pypi.faults.on_page(name).status(status)
    attempts = IMPATIENT.attempts if status is HTTPStatus.INTERNAL_SERVER_ERROR else 1
    async with site.running() as running:
        run = await running.sync()

        assert [pypi.log.paths().count(f"/simple/{name}/") for name in ("lib", "news")] == [attempts, attempts]
        assert (run.state, run.counts.projects_failed) == (RunState.INCOMPLETE, 1)
        assert [failure.project for failure in run.failures].count("lib") == 1
        assert site.pages() == ["app", "other"]

        pypi.faults.clear()
        run = await running.sync()
    assert run.state is RunState.SUCCEEDED
    assert site.pages() == ["app", "lib", "news", "other"]


@pytest.mark.proves("reliability/upstream")
async def test_metadata_that_failed_is_not_requested_again_in_the_run(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Metadata that fails costs one request with its retries, though the run resolves again after it published."""
    upload(pypi, "app 1.0: lib", "lib 1.0", "other 1.0")
    choose(site, "app", "other")
    pypi.faults.on_metadata(project="lib").status(500)
    run = await site.sync()

    asked = [path for path in pypi.log.paths() if path.endswith("lib-1.0-py3-none-any.whl.metadata")]
    assert len(asked) == IMPATIENT.attempts
    assert run.state is RunState.INCOMPLETE
    assert site.pages() == ["app", "other"]


async def test_unreadable_page_keeps_published_dependencies(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A dependency whose page is neither at hand nor answered keeps its published files, and what they require."""
    upload(pypi, "app 1.0: lib", "lib 1.0: base", "base 1.0")
    choose(site, "app")
    await site.sync()
    site.sql("DELETE FROM kept_page")
    site.sql("UPDATE project SET lost_files = 1, page_sha256 = NULL WHERE name = 'lib'")  # not whole
    site.sql("DELETE FROM closure")
    pypi.faults.on_page("lib").status(500)
    run = await site.sync()

    assert run.state is RunState.INCOMPLETE
    assert site.pages() == ["app", "base", "lib"]


async def test_metadata_that_fails_is_read_by_the_next_run(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A release whose metadata cannot be read waits, also if only a proof looks at it; the next run brings it."""
    upload(pypi, "app 1.0")
    choose(site, "app")
    async with site.running() as running:
        await running.sync()
        upload(pypi, "app 2.0: lib", "lib 1.0")
        for rule in (pypi.faults.on_metadata(project="app"), pypi.faults.on_file(project="app")):
            rule.status(500)
        run = await running.sync()

        assert run.state is RunState.INCOMPLETE
        assert site.filenames("app") == {"app-1.0-py3-none-any.whl"}

        pypi.faults.clear()
        run = await running.sync()
    assert run.state is RunState.SUCCEEDED
    assert site.filenames("app") == {"app-2.0-py3-none-any.whl"}
    assert site.pages() == ["app", "lib"]


async def test_absent_dependency_is_not_requested_again_for_a_day(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A required project that upstream lacks is named as unmet, and requested once a day; ``force`` requests it."""
    upload(pypi, "app 1.0: nowhere, lib", "lib 1.0")
    choose(site, "app")
    async with site.running() as running:
        run = await running.sync()
        upload(pypi, "lib 2.0")
        again = await running.sync()

        assert (run.state, again.state) == (RunState.INCOMPLETE, RunState.INCOMPLETE)
        assert run.message is not None
        assert "1 requirement is not met" in run.message
        assert ("nowhere", UnmetReason.NO_PROJECT) in unmet_reasons(running)
        assert pypi.log.paths().count("/simple/nowhere/") == 1

        upload(pypi, "nowhere 1.0")
        await running.sync(force=True)
    assert site.pages() == ["app", "lib", "nowhere"]


async def test_line_for_an_absent_project_is_named(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A line whose project upstream lacks makes the run incomplete and is named once."""
    upload(pypi, "app 1.0")
    choose(site, "app", "nowhere")
    run = await site.sync()

    assert run.state is RunState.INCOMPLETE
    assert [one.project for one in run.failures] == ["nowhere"]
    assert "upstream has no such project" in run.failures[0].reason


async def test_deleted_dependency_is_unmet_at_once(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A dependency that upstream deleted is unmet in the run that withdraws it."""
    upload(pypi, "app 1.0: lib", "lib 1.0", "other 1.0")
    choose(site, "app", "other")
    async with site.running() as running:
        await running.sync()
        pypi.index.project("lib").delete()
        await running.sync()

        assert site.pages() == ["app", "other"]
        assert ("lib", UnmetReason.NO_PROJECT) in unmet_reasons(running)


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize("older", [(), ("app 1.0",)], ids=["whole page", "kept page"])
async def test_other_metadata_than_that_of_the_file_is_not_believed(
    site: Site, pypi: fakepypi.FakePyPI, older: tuple[str, ...]
) -> None:
    """What a server said about a wheel before its download counts no longer once the wheel is here."""
    upload(pypi, *older, "lib 1.0")
    real, other = (build_wheel(Recipe(name="app", version="2.0", requires_dist=lines)) for lines in (("lib",), ()))
    pypi.index.project("app").upload_file(real.filename, real.content, version="2.0")

    def lie(request: web.Request, answer: Answer) -> None:
        if hdrs.RANGE in request.headers:
            answer.headers.popall(hdrs.CONTENT_RANGE, None)
            answer.status, answer.body = HTTPStatus.OK, other.content

    pypi.faults.on_file(project="app").change(lie)
    choose(site, "app")
    run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    assert site.pages() == ["app", "lib"]


@pytest.mark.parametrize("more", ["", _WITHHOLD])
async def test_line_with_an_extra_that_does_not_exist_is_named(site: Site, pypi: fakepypi.FakePyPI, more: str) -> None:
    """A line whose extra no kept release offers is mirrored without it, and named as unmet; the run succeeds."""
    upload(pypi, "app 1.0: lib", "lib 1.0")
    choose(site, "app[fats]", more=more)
    async with site.running() as running:
        run = await running.sync()
        (unmet,) = closure_unmet(running)

    assert (run.state, site.pages()) == (RunState.SUCCEEDED, ["app", "lib"])
    assert run.message is not None
    assert "1 requirement is not met" in run.message
    assert describe(unmet) == (
        "app[fats] on any machine: app 1.0 has no extra 'fats': installers ignore it; correct the line"
    )


async def test_upstream_that_is_down_is_explained_once(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """If upstream is down and a dependency is missing, the message is one failed request; what is published stays."""
    upload(pypi, "app 1.0: lib", "lib 1.0")
    choose(site, "app")
    async with site.running() as running:
        pypi.faults.on_page("lib").status(503)
        await running.sync()
        before = site.filenames("app")
        pypi.faults.everywhere().status(503)
        run = await running.sync()

    assert run.state is RunState.FAILED
    assert run.message is not None
    assert run.message.startswith("upstream does not answer: http")
    assert any("lib" in failure.reason for failure in run.failures)
    assert site.filenames("app") == before
