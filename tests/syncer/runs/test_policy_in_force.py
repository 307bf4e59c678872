"""What a change of mirror.toml does to the mirror, and what it does not do without the guard."""

import pytest

import fakepypi
from mirror_contract import RunState
from mirror_control.client.issue import HealthLevel
from syncer.observed import observe
from syncer.site import Running, Site

MANY = 12

pytestmark = pytest.mark.proves("reliability/removal")


def create(pypi: fakepypi.FakePyPI, *names: str) -> None:
    """Let upstream have these projects."""
    for name in names:
        pypi.index.project(name).upload("1.0")


def valid(running: Running) -> float | None:
    """Return the gauge that an alert looks at."""
    return running.mirror.metrics.registry.get_sample_value("pypi_mirror_policy_valid")


async def test_starter_selection_is_replaced_without_the_guard(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The first mirror.toml of the operator's own takes out all that only the example named, unasked."""
    starters = [f"starter-{number}" for number in range(MANY)]
    create(pypi, *starters, "mine")
    site.select(*starters)
    site.policy.rename(site.policy.with_name("mirror.example.toml"))
    async with site.running() as running:
        first = await running.sync()
        shown = observe(running)
        site.select("mine", starters[0])
        second = await running.sync()

    assert (first.state, second.state) == (RunState.SUCCEEDED, RunState.SUCCEEDED)
    assert shown.status.policy is not None
    assert shown.status.policy.starter
    assert shown.verdict.level is HealthLevel.GOOD
    assert (second.counts.projects_withdrawn, second.counts.projects_withheld) == (MANY - 1, 0)
    assert site.pages() == ["mine", starters[0]]


async def test_policy_that_would_empty_the_mirror_meets_the_guard(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A list that lost its lines removes nothing, says how many it would, and how to confirm; with the word it does."""
    names = [f"project-{number:02}" for number in range(MANY)]
    create(pypi, *names, "other")
    site.select(*names)
    async with site.running() as running:
        await running.sync()
        site.select("other")
        emptied = await running.sync()
        kept = site.pages()
        meant = await running.sync(allow_removals=MANY)

    assert (emptied.state, emptied.counts.projects_withheld) == (RunState.INCOMPLETE, MANY)
    assert f"--allow-removals {MANY}" in (emptied.message or "")
    assert kept == sorted([*names, "other"])
    assert (meant.state, site.pages()) == (RunState.SUCCEEDED, ["other"])


async def test_own_lines_meet_the_guard_also_where_the_example_has_them(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """What the operator has named is the operator's, though the example named it first."""
    names = [f"project-{number:02}" for number in range(MANY)]
    create(pypi, *names, "other")
    site.select(*names)
    site.policy.with_name("mirror.example.toml").write_text(site.policy.read_text())
    site.policy.unlink()
    await site.sync()
    site.select(*names, "other")
    await site.sync()
    site.select("other")
    run = await site.sync()

    assert (run.state, run.counts.projects_withheld) == (RunState.INCOMPLETE, MANY)


async def test_unusable_policy_is_told_everywhere_and_changes_nothing(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Run, status, page and metrics name line and key; the last good policy syncs on, over a restart as well."""
    create(pypi, "six", "idna")
    site.select("six")
    await site.sync()
    site.policy.write_text('[mirror]\nprojects = ["six", "idna"]\nlatest = 0\n')
    told = "line 3: mirror.latest = 0: must be a whole number of releases, 1 or more; omit it to keep all"
    pypi.index.project("six").upload("2.0")
    async with site.running() as running:
        run = await running.sync()
        shown = observe(running)
        gauge = valid(running)
        site.select("six", "idna")
        mended = await running.sync()
        after = observe(running)
        gauge_after = valid(running)

    assert run.state is RunState.INCOMPLETE
    assert [failure.reason for failure in run.failures] == [f"mirror.toml, {told}; the last good policy stays in force"]
    assert "six-2.0.tar.gz" in site.filenames("six")
    assert shown.status.policy is not None
    assert [str(problem) for problem in shown.status.policy.problems] == [told]
    assert (shown.verdict.level, shown.verdict.issues[0].detail) == (HealthLevel.WARNING, told)
    assert gauge == 0
    assert mended.state is RunState.SUCCEEDED
    assert after.status.policy is not None
    assert after.status.policy.problems == []
    assert gauge_after == 1
    assert site.pages() == ["idna", "six"]


async def test_each_line_keeps_its_own_newest_releases(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A latest of a line's own counts for that line, beside an old release that another line pins."""
    for name in ("six", "idna"):
        for version in ("1.0", "2.0", "3.0", "4.0"):
            pypi.index.project(name).upload(version)
    site.policy.write_text(
        '[mirror]\nlatest = 1\nprojects = ["idna", { name = "six", latest = 2 }, { name = "six==1.0" }]\n'
    )
    run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    kept = {
        name: {file.split("-")[1].removesuffix(".tar.gz") for file in site.filenames(name)} for name in ("six", "idna")
    }
    assert kept == {"six": {"4.0", "3.0", "1.0"}, "idna": {"4.0"}}
