"""What an upstream gone mad cannot do: empty the mirror, or make one bad project stop the others."""

import pytest

import fakepypi
from mirror_contract import ProjectState, RunKind, RunState
from syncer.observed import observe
from syncer.site import IMPATIENT, Running, Site

MANY = 120
SDIST = "bad-1.0.tar.gz"


@pytest.fixture
async def vanished(site: Site, pypi: fakepypi.FakePyPI) -> Site:
    """A mirror of 120 projects, before an upstream that answers 404 to each of them from now on."""
    names = [f"project-{number:03}" for number in range(MANY)]
    for name in names:
        pypi.index.project(name).create()
    site.select(*names)
    await site.sync()
    pypi.faults.on_page().status(404)
    return site


def begin(site: Site, pypi: fakepypi.FakePyPI, *, good: int, bad: int) -> list[str]:
    """Select bad projects first, then good ones; return the bad ones' names."""
    names = {kind: [f"{kind}-{number:03}" for number in range(count)] for kind, count in (("bad", bad), ("good", good))}
    for name in names["bad"] + names["good"]:
        pypi.index.project(name).create()
    site.select(*names["bad"], *names["good"])
    return names["bad"]


def asked(pypi: fakepypi.FakePyPI, kind: str) -> int:
    """Return how many projects of a kind were asked for since the log was forgotten."""
    return len({path for path in pypi.log.paths() if path.startswith(f"/simple/{kind}-")})


@pytest.mark.proves("security/upstream")
async def test_404_to_everything_empties_no_mirror(vanished: Site) -> None:
    """The guard keeps what upstream answers 404 to where that is too much, counts it, and names what confirms it."""
    run = await vanished.sync()

    assert run.state is RunState.INCOMPLETE
    assert (run.counts.projects_withdrawn, run.counts.projects_withheld) == (0, MANY)
    assert f"mirrorctl sync --allow-removals {MANY}" in (run.message or "")
    assert len(vanished.pages()) == MANY


async def test_404_to_everything_is_not_confirmed_by_repetition(vanished: Site) -> None:
    """What the guard kept stays in every later run, too, until a person confirms the removals; then it goes."""
    await vanished.sync()

    async with vanished.running() as running:
        again = await running.sync()
        row = running.row(vanished.pages()[0])
        confirmed = await running.sync(allow_removals=MANY)

    assert (again.state, again.counts.projects_withdrawn) == (RunState.INCOMPLETE, 0)
    assert again.counts.projects_withheld == MANY
    assert (row.state, row.published) == (ProjectState.BEHIND, True)
    assert (confirmed.counts.projects_withdrawn, confirmed.counts.projects_withheld) == (MANY, 0)
    assert vanished.pages() == []


async def test_what_is_withheld_is_shown_until_it_is_not(vanished: Site, pypi: fakepypi.FakePyPI) -> None:
    """What the guard keeps of what upstream took is in the metrics, also after a restart and one more plan."""

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

    assert (found, restarted, planned, healed) == (MANY, MANY, MANY, 0)


@pytest.mark.proves("reliability/status")
async def test_status_tells_since_when_removals_are_held_back(vanished: Site, pypi: fakepypi.FakePyPI) -> None:
    """Since when the guard holds removals back is when the first sync did; nothing, once a sync holds back none."""
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


async def test_guard_forgets_what_came_back(vanished: Site, pypi: fakepypi.FakePyPI) -> None:
    """An upstream that has its projects again has them all published again, and later removals need nobody."""
    await vanished.sync()
    pypi.faults.clear()
    healed = await vanished.sync()
    pypi.index.project("project-007").delete()

    run = await vanished.sync()

    assert (healed.state, run.counts.projects_withdrawn) == (RunState.SUCCEEDED, 1)
    assert len(vanished.pages()) == MANY - 1


async def test_no_removal_allowed_is_none(vanished: Site) -> None:
    """`--allow-removals 0` keeps every project that upstream has no more."""
    run = await vanished.sync(allow_removals=0)

    assert (run.counts.projects_withdrawn, run.counts.projects_withheld) == (0, MANY)
    assert len(vanished.pages()) == MANY


@pytest.mark.parametrize(
    ("left", "status", "words"),
    [
        pytest.param(2, 403, "every project failed", id="all refused"),
        pytest.param(2, 502, "upstream does not answer", id="all silent"),
        pytest.param(15, 502, "upstream does not answer", id="given up"),
    ],
)
async def test_failed_run_tells_of_the_guard(
    site: Site, pypi: fakepypi.FakePyPI, left: int, status: int, words: str
) -> None:
    """A run that failed at all that was left to do says so, and also that removals are withheld."""
    names = [f"project-{number:03}" for number in range(MANY)]
    for name in names:
        pypi.index.project(name).create()
    site.select(*names)
    await site.sync()
    site.select(*names[:left])
    pypi.faults.on_page().status(status)

    run = await site.sync()

    assert (run.state, run.counts.projects_withheld) == (RunState.FAILED, MANY - left)
    assert words in (run.message or "")
    assert f"mirrorctl sync --allow-removals {MANY - left}" in (run.message or "")
    assert len(site.pages()) == MANY


async def test_a_dozen_bad_projects_are_no_outage(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Twelve projects among a hundred, whose silences end together when all others are done, are twelve failures."""
    bad = begin(site, pypi, good=100, bad=12)
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


async def test_known_bad_projects_are_no_outage(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Twelve projects that got no answer before either, and end before any other, keep no other from being asked."""
    bad = begin(site, pypi, good=3, bad=12)
    silences = [pypi.faults.on_page(name).status(502).gate() for name in bad]
    for silence in silences:
        silence.open()
    async with site.running() as running:
        for name, silence in zip(bad, silences, strict=True):
            await running.sync(name)
            for _ in range(IMPATIENT.attempts):
                await silence.arrival()
        gates = [pypi.faults.on_page(f"good-{number:03}").gate() for number in range(3)]
        run = running.ask(RunKind.SYNC)
        for silence in silences * IMPATIENT.attempts:
            await silence.arrival()
        for gate in gates:
            gate.open()
        ended = await running.ended(run)

    assert (ended.state, ended.counts.projects_failed) == (RunState.INCOMPLETE, 12)
    assert len(site.pages()) == 3


async def test_outage_ends_the_run_early(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """An upstream that is down is not asked for every project: the run fails, and what was published stays."""
    begin(site, pypi, good=100, bad=0)
    await site.sync()
    pypi.log.forget()
    pypi.faults.everywhere().status(503)

    run = await site.sync()

    assert run.state is RunState.FAILED
    assert "upstream does not answer" in (run.message or "")
    assert asked(pypi, "good") < 50
    assert len(site.pages()) == 100


async def test_outage_leaves_no_grudge(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """One project without an answer, the first to end in the run after an outage, is one failure."""
    begin(site, pypi, good=30, bad=0)
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


async def test_bad_page_does_not_move_a_missing_file(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A file's next attempt stays where its own failures put it, however often the page fails meanwhile."""
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


async def test_small_mirror_is_never_emptied(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Of a mirror of eleven projects, no more than half leave in one run without a person's word."""
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


async def test_wrong_name_is_forgotten_once_it_is_mended(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A misspelt project is failing until mirror.toml is mended, and no longer."""
    pypi.index.project("six").upload("1.0")
    site.select("six", "sixx")
    await site.sync()
    site.select("six")

    async with site.running() as running:
        run = await running.sync()
        totals = running.mirror.catalog.projects.totals()

    assert run.state is RunState.SUCCEEDED
    assert totals.projects[ProjectState.FAILING] == 0


async def test_everything_failing_alike_is_the_upstream(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Where every project fails, the run is failed and points at the upstream; what was published stays."""
    for name in ("six", "idna"):
        pypi.index.project(name).upload("1.0")
    site.select("six", "idna")
    await site.sync()
    pypi.faults.on_page().login_page()

    run = await site.sync()

    assert run.state is RunState.FAILED
    assert "MIRROR_UPSTREAM" in (run.message or "")
    assert site.pages() == ["idna", "six"]
