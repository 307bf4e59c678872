"""A catalog that fails or is written late: runs end all the same, and no write reopens a run."""

import pytest

import fakepypi
from mirror_contract import RunKind, RunState
from syncer.site import Site


@pytest.fixture
def six(site: Site, pypi: fakepypi.FakePyPI) -> Site:
    """A host that is to mirror one small project."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    return site


async def test_late_progress_does_not_reopen_a_run(six: Site, pypi: fakepypi.FakePyPI) -> None:
    """Progress that is stored after a run's end does not change the end."""
    gate = pypi.faults.on_page("six").gate()
    async with six.running() as running:
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        under_way = run.model_copy(deep=True)
        gate.open()
        await running.ended(run)
        running.mirror.catalog.runs.update(under_way)
        kept = running.mirror.catalog.runs.get(run.id)

    assert under_way.state is RunState.RUNNING
    assert kept is not None
    assert kept.state is RunState.SUCCEEDED


def refuse(event: str) -> str:
    """Return the SQL of a catalog that cannot write something."""
    return f"CREATE TRIGGER broken BEFORE {event} BEGIN SELECT RAISE(ABORT, 'disk is ill'); END"


@pytest.mark.parametrize(
    ("broken", "mended", "state", "words"),
    [
        pytest.param(
            "ALTER TABLE retired RENAME TO hidden",
            "ALTER TABLE hidden RENAME TO retired",
            RunState.FAILED,
            "no such table",
            id="the run",
        ),
        pytest.param(
            refuse("INSERT ON pending"), "DROP TRIGGER broken", RunState.INCOMPLETE, "disk is ill", id="a transfer"
        ),
        pytest.param(
            refuse("INSERT ON project"), "DROP TRIGGER broken", RunState.INCOMPLETE, "disk is ill", id="a publication"
        ),
    ],
)
async def test_failing_catalog_ends_the_run(six: Site, broken: str, mended: str, state: RunState, words: str) -> None:
    """If the catalog fails during a run, that run ends with the reason, and the next one starts."""
    async with six.running() as running:
        six.sql(broken)
        first = await running.sync()
        six.sql(mended)
        second = await running.sync()

    assert first.state is state
    assert words in f"{first.message} {[failure.reason for failure in first.failures]}"
    assert second.state is RunState.SUCCEEDED
    six.assert_whole()


async def test_unstored_end_blocks_no_later_run(six: Site, pypi: fakepypi.FakePyPI) -> None:
    """A run whose end cannot be stored has ended for its clients, and the next one starts."""
    gate = pypi.faults.on_page("six").times(1).gate()
    async with six.running() as running:
        first = running.ask(RunKind.SYNC)
        await gate.arrival()
        second = running.ask(RunKind.SYNC)
        six.sql(refuse(f"UPDATE ON run WHEN new.id = '{first.id}'"))
        gate.open()
        await running.ended(first)
        ended = await running.ended(second)

    assert ended.state is RunState.SUCCEEDED


@pytest.mark.proves("reliability/power-loss")
async def test_file_quarantined_again_is_removed_again(six: Site, pypi: fakepypi.FakePyPI) -> None:
    """A file that was quarantined, restored and quarantined again is removed, even if its row was lost."""
    project = pypi.index.project("six")
    async with six.running() as running:
        await running.sync()
        project.quarantine()
        await running.sync()
        project.clear_quarantine()
        await running.sync()
        assert list(six.web.glob("packages/*/six-*"))
        project.quarantine()
        six.sql(refuse("INSERT ON project"))
        await running.sync()
    six.sql("DROP TRIGGER broken")

    run = await six.sync()

    assert run.state is RunState.SUCCEEDED
    assert list(six.web.glob("packages/*/six-*")) == []


@pytest.mark.proves("reliability/power-loss")
async def test_missing_page_is_published_again_on_a_304(six: Site, pypi: fakepypi.FakePyPI) -> None:
    """A page that is missing under a row restored by a power cut is published again by an ordinary sync."""
    await six.sync()
    for form in six.web.glob("simple/six/*"):
        form.unlink()
    (six.web / "simple/six").rmdir()
    pypi.log.forget()

    run = await six.sync()

    assert run.state is RunState.SUCCEEDED
    assert six.pages() == ["six"]
    assert not [path for path in pypi.log.paths() if "packages" in path]
    six.assert_whole()
