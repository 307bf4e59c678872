"""What a broken upstream cannot do: empty the mirror, or let a bad project stop the others."""

import pytest

import fakepypi
from mirror_contract import ProjectState, RunKind, RunState
from syncer.observed import observe
from syncer.site import IMPATIENT, Running, Site

PROJECT_COUNT = 120
SDIST = "bad-1.0.tar.gz"


@pytest.fixture
async def vanished(site: Site, pypi: fakepypi.FakePyPI) -> Site:
    """A mirror of 120 projects whose upstream answers 404 for each of them."""
    names = [f"project-{number:03}" for number in range(PROJECT_COUNT)]
    for name in names:
        pypi.index.project(name).create()
    site.select(*names)
    await site.sync()
    pypi.faults.on_page().status(404)
    return site


def select_projects(site: Site, pypi: fakepypi.FakePyPI, *, good: int, bad: int) -> list[str]:
    """Select bad projects first, then good ones; return the bad ones' names."""
    names = {kind: [f"{kind}-{number:03}" for number in range(count)] for kind, count in (("bad", bad), ("good", good))}
    for name in names["bad"] + names["good"]:
        pypi.index.project(name).create()
    site.select(*names["bad"], *names["good"])
    return names["bad"]


def count_requested(pypi: fakepypi.FakePyPI, kind: str) -> int:
    """Return how many projects of a kind were requested since the log was cleared."""
    return len({path for path in pypi.log.paths() if path.startswith(f"/simple/{kind}-")})


@pytest.mark.proves("security/upstream")
async def test_404_for_every_page_keeps_every_project(vanished: Site) -> None:
    """The guard keeps projects if upstream answers 404 for too many, and names the command that removes them."""
    run = await vanished.sync()

    assert run.state is RunState.INCOMPLETE
    assert (run.counts.projects_withdrawn, run.counts.projects_withheld) == (0, PROJECT_COUNT)
    assert sorted(run.withheld) == sorted(vanished.pages())[:100]
    assert f"mirrorctl sync --allow-removals {PROJECT_COUNT}" in (run.message or "")
    assert len(vanished.pages()) == PROJECT_COUNT


async def test_repeated_404_for_every_page_needs_confirmation(vanished: Site) -> None:
    """Withheld removals stay withheld in every later run until an operator confirms them."""
    await vanished.sync()

    async with vanished.running() as running:
        again = await running.sync()
        row = running.row(vanished.pages()[0])
        confirmed = await running.sync(allow_removals=PROJECT_COUNT)

    assert (again.state, again.counts.projects_withdrawn) == (RunState.INCOMPLETE, 0)
    assert again.counts.projects_withheld == PROJECT_COUNT
    assert (row.state, row.published) == (ProjectState.BEHIND, True)
    assert (confirmed.counts.projects_withdrawn, confirmed.counts.projects_withheld) == (PROJECT_COUNT, 0)
    assert vanished.pages() == []


async def test_withheld_removals_stay_in_the_metrics(vanished: Site, pypi: fakepypi.FakePyPI) -> None:
    """The metrics show withheld removals, also after a restart, until a sync withholds none."""

    def withheld(running: Running) -> float | None:
        registry = running.mirror.metrics.registry
        return registry.get_sample_value("pypi_mirror_plan_projects", {"action": "withheld"})

    async with vanished.running() as running:
        await running.sync()
        found = withheld(running)
    async with vanished.running() as running:
        restarted = withheld(running)
        gate = pypi.faults.on_page().gate()
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        planned = withheld(running)
        gate.open()
        await running.ended(run)
        pypi.faults.clear()
        await running.sync()
        healed = withheld(running)

    assert (found, restarted, planned, healed) == (PROJECT_COUNT, PROJECT_COUNT, PROJECT_COUNT, 0)


@pytest.mark.proves("reliability/status")
async def test_status_shows_since_when_removals_are_withheld(vanished: Site, pypi: fakepypi.FakePyPI) -> None:
    """The status shows when the guard first withheld removals, until a sync withholds none."""
    async with vanished.running() as running:
        first = await running.sync()
        await running.sync()
        held = observe(running).status.withheld_since
        pypi.faults.clear()
        await running.sync()
        after = observe(running).status.withheld_since

    assert first.finished_at is not None
    assert held == first.finished_at.replace(microsecond=0)
    assert after is None


async def test_guard_after_upstream_recovers_allows_a_removal(vanished: Site, pypi: fakepypi.FakePyPI) -> None:
    """Once upstream has its projects again, a later removal needs no confirmation."""
    await vanished.sync()
    pypi.faults.clear()
    healed = await vanished.sync()
    pypi.index.project("project-007").delete()

    run = await vanished.sync()

    assert (healed.state, run.counts.projects_withdrawn) == (RunState.SUCCEEDED, 1)
    assert len(vanished.pages()) == PROJECT_COUNT - 1


async def test_zero_allowed_removals_keep_every_project(vanished: Site) -> None:
    """`--allow-removals 0` keeps every project that upstream no longer has."""
    run = await vanished.sync(allow_removals=0)

    assert (run.counts.projects_withdrawn, run.counts.projects_withheld) == (0, PROJECT_COUNT)
    assert len(vanished.pages()) == PROJECT_COUNT


@pytest.mark.parametrize(
    ("left", "status", "words"),
    [
        pytest.param(2, 403, "every project failed", id="all refused"),
        pytest.param(2, 502, "upstream does not answer", id="all silent"),
        pytest.param(15, 502, "upstream does not answer", id="many silent"),
    ],
)
async def test_failed_run_also_reports_withheld_removals(
    site: Site, pypi: fakepypi.FakePyPI, left: int, status: int, words: str
) -> None:
    """A run in which every remaining project failed reports that, and also that removals are withheld."""
    names = [f"project-{number:03}" for number in range(PROJECT_COUNT)]
    for name in names:
        pypi.index.project(name).create()
    site.select(*names)
    await site.sync()
    site.select(*names[:left])
    pypi.faults.on_page().status(status)

    run = await site.sync()

    assert (run.state, run.counts.projects_withheld) == (RunState.FAILED, PROJECT_COUNT - left)
    assert words in (run.message or "")
    assert f"mirrorctl sync --allow-removals {PROJECT_COUNT - left}" in (run.message or "")
    assert len(site.pages()) == PROJECT_COUNT


async def test_dozen_failing_projects_are_no_outage(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Twelve failing projects among a hundred are twelve failures, even if they all fail at the end."""
    bad = select_projects(site, pypi, good=100, bad=12)
    for name in bad:
        pypi.faults.on_page(name).status(502)
    gates = [pypi.faults.on_page(name).gate() for name in bad]
    async with site.running(connections=20) as running:
        run = running.ask(RunKind.SYNC)
        await site.pages_become([f"good-{number:03}" for number in range(100)])
        for gate in gates:
            gate.open()
        ended = await running.ended(run)

    assert (ended.state, ended.counts.projects_failed) == (RunState.INCOMPLETE, 12)


async def test_projects_that_failed_before_are_no_outage(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Twelve projects that failed before do not stop the others, even if they fail first again."""
    bad = select_projects(site, pypi, good=3, bad=12)
    bad_gates = [pypi.faults.on_page(name).status(502).gate() for name in bad]
    for bad_gate in bad_gates:
        bad_gate.open()
    async with site.running() as running:
        for name, bad_gate in zip(bad, bad_gates, strict=True):
            await running.sync(name)
            for _ in range(IMPATIENT.attempts):
                await bad_gate.arrival()
        gates = [pypi.faults.on_page(f"good-{number:03}").gate() for number in range(3)]
        run = running.ask(RunKind.SYNC)
        for bad_gate in bad_gates * IMPATIENT.attempts:
            await bad_gate.arrival()
        for gate in gates:
            gate.open()
        ended = await running.ended(run)

    assert (ended.state, ended.counts.projects_failed) == (RunState.INCOMPLETE, 12)
    assert len(site.pages()) == 3


async def test_outage_ends_the_run_early(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A run fails early when upstream is down, without requesting every project, and published projects stay."""
    select_projects(site, pypi, good=100, bad=0)
    await site.sync()
    pypi.log.forget()
    pypi.faults.everywhere().status(503)

    run = await site.sync()

    assert run.state is RunState.FAILED
    assert "upstream does not answer" in (run.message or "")
    assert count_requested(pypi, "good") < 50
    assert len(site.pages()) == 100


async def test_first_failure_after_an_outage_is_no_outage(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """In the run after an outage, a project that fails first counts as one failure."""
    select_projects(site, pypi, good=30, bad=0)
    async with site.running() as running:
        await running.sync()
        pypi.faults.everywhere().status(503)
        outage = await running.sync()
        pypi.faults.clear()
        silent = pypi.faults.on_page("good-029").status(503).gate()
        silent.open()
        gate = pypi.faults.on_page("good-000").gate()
        run = running.ask(RunKind.SYNC, "good-029", "good-000")
        for _ in range(IMPATIENT.attempts):
            await silent.arrival()
        gate.open()
        ended = await running.ended(run)

    assert outage.state is RunState.FAILED
    assert (ended.state, ended.counts.projects_done) == (RunState.INCOMPLETE, 2)
    assert [failure.project for failure in ended.failures] == ["good-029"]


async def test_failing_page_does_not_delay_a_file_retry(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Failures of a project's page do not change when its missing file is retried."""
    pypi.index.project("bad").upload("1.0")
    pypi.index.project("idna").create()
    site.select("bad", "idna")
    pypi.faults.on_file(SDIST).corrupt()
    async with site.running() as running:
        await running.sync()
        before = running.row("bad")
        pypi.faults.on_page("bad").status(500)
        for _ in range(3):
            await running.sync()
        after = running.row("bad")

    assert before.due_at is not None
    assert (after.state, after.due_at, after.attempts) == (ProjectState.FAILING, before.due_at, before.attempts)


async def test_small_mirror_keeps_half_its_projects(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Without confirmation, a run removes no more than half the projects of a small mirror."""
    names = [f"p{number}" for number in range(11)]
    for name in names:
        pypi.index.project(name).upload("1.0", sdist=False)
    site.select(*names)
    await site.sync()

    pypi.faults.on_page().status(404)
    upstream_gone = await site.sync()
    pypi.faults.clear()
    site.select(*names[:5])
    list_cut = await site.sync()

    assert (upstream_gone.counts.projects_withheld, list_cut.counts.projects_withheld) == (11, 6)
    assert len(site.pages()) == 11


async def test_misspelt_project_is_failing_until_it_is_corrected(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A misspelt project counts as failing only until mirror.toml is corrected."""
    pypi.index.project("six").upload("1.0")
    site.select("six", "sixx")
    await site.sync()
    site.select("six")

    async with site.running() as running:
        run = await running.sync()
        totals = running.mirror.catalog.projects.totals()

    assert run.state is RunState.SUCCEEDED
    assert totals.projects[ProjectState.FAILING] == 0


async def test_run_with_every_project_failing_names_upstream(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """If every project fails, the run fails and names MIRROR_UPSTREAM, and published projects stay."""
    for name in ("six", "idna"):
        pypi.index.project(name).upload("1.0")
    site.select("six", "idna")
    await site.sync()
    pypi.faults.on_page().login_page()

    run = await site.sync()

    assert run.state is RunState.FAILED
    assert "MIRROR_UPSTREAM" in (run.message or "")
    assert site.pages() == ["idna", "six"]
