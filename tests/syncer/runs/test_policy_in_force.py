"""What a change of mirror.toml does to the mirror, and when the deletion guard stops it."""

import pytest

import fakepypi
from mirror_contract import RunState
from mirror_control.client.issue import HealthLevel
from syncer.mounts import small_disk
from syncer.observed import observe
from syncer.site import Running, Site

PROJECT_COUNT = 12

pytestmark = pytest.mark.proves("reliability/removal")


def create(pypi: fakepypi.FakePyPI, *names: str) -> None:
    """Create projects with one release each upstream."""
    for name in names:
        pypi.index.project(name).upload("1.0")


def policy_valid_gauge(running: Running) -> float | None:
    """Return the gauge that an alert watches."""
    return running.mirror.metrics.registry.get_sample_value("pypi_mirror_policy_valid")


async def test_starter_selection_is_replaced_without_confirmation(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """An operator's first mirror.toml removes the projects that only the example file named, without confirmation."""
    starters = [f"starter-{number}" for number in range(PROJECT_COUNT)]
    create(pypi, *starters, "mine")
    site.select(*starters)
    site.policy.rename(site.policy.with_name("mirror.example.toml"))
    with small_disk(site.data, size=64 * 2**20):  # the verdict also speaks of a disk that is nearly full
        async with site.running() as running:
            first = await running.sync()
            shown = observe(running)
            site.select("mine", starters[0])
            second = await running.sync()
            pages = site.pages()

    assert (first.state, second.state) == (RunState.SUCCEEDED, RunState.SUCCEEDED)
    assert shown.status.policy is not None
    assert shown.status.policy.starter
    assert shown.verdict.level is HealthLevel.GOOD
    assert (second.counts.projects_withdrawn, second.counts.projects_withheld) == (PROJECT_COUNT - 1, 0)
    assert pages == ["mine", starters[0]]


async def test_policy_that_would_empty_the_mirror_is_withheld(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A mirror.toml that lost its lines removes nothing until an operator confirms the number that the run names."""
    names = [f"project-{number:02}" for number in range(PROJECT_COUNT)]
    create(pypi, *names, "other")
    site.select(*names)
    async with site.running() as running:
        await running.sync()
        site.select("other")
        emptied = await running.sync()
        kept = site.pages()
        confirmed = await running.sync(allow_removals=PROJECT_COUNT)

    assert (emptied.state, emptied.counts.projects_withheld) == (RunState.INCOMPLETE, PROJECT_COUNT)
    assert f"--allow-removals {PROJECT_COUNT}" in (emptied.message or "")
    assert kept == sorted([*names, "other"])
    assert (confirmed.state, site.pages()) == (RunState.SUCCEEDED, ["other"])


async def test_own_lines_also_in_the_example_meet_the_guard(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The guard protects projects that the operator has named, even if the example file named them first."""
    names = [f"project-{number:02}" for number in range(PROJECT_COUNT)]
    create(pypi, *names, "other")
    site.select(*names)
    site.policy.with_name("mirror.example.toml").write_text(site.policy.read_text())
    site.policy.unlink()
    await site.sync()
    site.select(*names, "other")
    await site.sync()
    site.select("other")
    run = await site.sync()

    assert (run.state, run.counts.projects_withheld) == (RunState.INCOMPLETE, PROJECT_COUNT)


async def test_invalid_policy_is_reported_everywhere_and_changes_nothing(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Run, status and page name the wrong line of mirror.toml, and the last good policy stays in force."""
    create(pypi, "six", "idna")
    site.select("six")
    await site.sync()
    site.policy.write_text('[mirror]\nprojects = ["six", "idna"]\nlatest = 0\n')
    problem_text = "line 3: mirror.latest = 0: must be a whole number of releases, 1 or more; omit it to keep all"
    pypi.index.project("six").upload("2.0")
    async with site.running() as running:
        run = await running.sync()
        shown = observe(running)
        gauge = policy_valid_gauge(running)
        site.select("six", "idna")
        corrected = await running.sync()
        after = observe(running)
        gauge_after = policy_valid_gauge(running)

    assert run.state is RunState.INCOMPLETE
    assert [failure.reason for failure in run.failures] == [
        f"mirror.toml, {problem_text}; the last good policy stays in force"
    ]
    assert "six-2.0.tar.gz" in site.filenames("six")
    assert shown.status.policy is not None
    assert [str(problem) for problem in shown.status.policy.problems] == [problem_text]
    assert (shown.verdict.level, shown.verdict.issues[0].detail) == (HealthLevel.WARNING, problem_text)
    assert gauge == 0
    assert corrected.state is RunState.SUCCEEDED
    assert after.status.policy is not None
    assert after.status.policy.problems == []
    assert gauge_after == 1
    assert site.pages() == ["idna", "six"]


async def test_each_line_keeps_its_own_newest_releases(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A line with its own `latest` keeps that many releases, beside an old release that another line pins."""
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
