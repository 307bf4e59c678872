"""
What the status claims, held against the tree that clients read.

The headline is control's, the facts are the syncer's; here both are judged together, after any story.
"""

import asyncio
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from packaging.utils import NormalizedName

import fakepypi
from mirror_contract import ProjectState
from mirror_control.client.issue import HealthLevel
from mirror_syncer.config.crontab import crontab
from mirror_syncer.service.status import StatusReader
from mirror_syncer.service.timetable import Timetable
from syncer.observed import Observed, observe
from syncer.site import Site

NAMES = ("ant", "bee", "cow")


def claims(told: Observed) -> str:
    """Return all that the verdict says of what can be installed."""
    return " ".join([told.verdict.summary, *(issue.still_works for issue in told.verdict.issues)])


def installable(site: Site) -> tuple[int, int]:
    """Return how many projects name a file, and how many files they name, of which each is there."""
    counts = [len(site.filenames(name)) for name in site.pages()]
    site.assert_right()
    return sum(count > 0 for count in counts), sum(counts)


# Events

Event = Callable[[fakepypi.FakePyPI, Site, str], None]


def upload(pypi: fakepypi.FakePyPI, _site: Site, name: str) -> None:
    """A release is uploaded."""
    project = pypi.index.project(name)
    if project.status is not fakepypi.Status.QUARANTINED:
        project.upload(f"1.{len(project.releases)}")


def quarantine(pypi: fakepypi.FakePyPI, _site: Site, name: str) -> None:
    """A project is quarantined."""
    if pypi.index.project(name).status is fakepypi.Status.ACTIVE:
        pypi.index.project(name).quarantine()


def delete(pypi: fakepypi.FakePyPI, _site: Site, name: str) -> None:
    """A project is deleted."""
    if pypi.index.project(name).status is not fakepypi.Status.ABSENT:
        pypi.index.project(name).delete()


def break_page(pypi: fakepypi.FakePyPI, _site: Site, name: str) -> None:
    """A project's page is an error."""
    pypi.faults.on_page(name).status(400)


def break_file(pypi: fakepypi.FakePyPI, _site: Site, name: str) -> None:
    """A project's files are not what its page says."""
    pypi.faults.on_file(project=name).corrupt()


def away(pypi: fakepypi.FakePyPI, _site: Site, _name: str) -> None:
    """Upstream refuses everything."""
    pypi.faults.everywhere().status(403)


def heal(pypi: fakepypi.FakePyPI, _site: Site, _name: str) -> None:
    """All goes well again."""
    pypi.faults.clear()


def select_one(_pypi: fakepypi.FakePyPI, site: Site, name: str) -> None:
    """The operator wants one project alone."""
    site.select(name, guard="1%")


def select_all(_pypi: fakepypi.FakePyPI, site: Site, _name: str) -> None:
    """The operator wants all projects."""
    site.select(*NAMES, guard="1%")


def everything(_pypi: fakepypi.FakePyPI, site: Site, _name: str) -> None:
    """The operator wants all that upstream lists."""
    site.everything(guard="1%")


def lose_catalog(_pypi: fakepypi.FakePyPI, site: Site, _name: str) -> None:
    """The state's disk is replaced by an empty one."""
    for path in site.state.iterdir():
        path.unlink()


EVENTS: dict[str, Event] = {
    event.__name__: event
    for event in (
        *(upload, quarantine, delete),
        *(break_page, break_file, away, heal),
        *(select_one, select_all, everything, lose_catalog),
    )
}
CHAPTER = st.lists(st.tuples(st.sampled_from(sorted(EVENTS)), st.sampled_from(NAMES)), min_size=1, max_size=3)
# A chapter is a sync of 0.3 s: to look for a shorter story that fails would take minutes.
TOLD_ONCE = settings(max_examples=8, phases=(Phase.explicit, Phase.generate))


@pytest.mark.proves("reliability/status")
@TOLD_ONCE
@given(st.lists(CHAPTER, min_size=1, max_size=4))
def test_headline_is_true_of_the_tree(story: list[list[tuple[str, str]]]) -> None:
    """
    Whatever happened, the projects and files that are said to be installable are those of the tree.

    And what is called fresh and complete is what upstream has.
    """
    asyncio.run(tell(story))


@pytest.mark.proves("reliability/status")
@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(TOLD_ONCE, max_examples=40)
@given(st.lists(CHAPTER, min_size=1, max_size=6))
def test_headline_stays_true_of_the_tree(story: list[list[tuple[str, str]]]) -> None:
    """The same, of five times as many stories."""
    asyncio.run(tell(story))


async def tell(story: list[list[tuple[str, str]]]) -> None:
    """Let a story happen, with a sync after each chapter, and look at what is claimed before and after it."""
    with tempfile.TemporaryDirectory() as directory:
        async with fakepypi.serve() as pypi:
            site = Site(Path(directory), upstream=pypi.url)
            site.select(*NAMES)
            for name in NAMES:
                pypi.index.project(name).upload("0.1")
            for chapter in [[], *story]:
                for event, name in chapter:
                    EVENTS[event](pypi, site, name)
                async with site.running() as running:
                    check(observe(running), site)
                    await running.sync()
                    told = observe(running)
                check(told, site)
                if told.verdict.level is HealthLevel.GOOD and told.verdict.title == "Fresh and complete":
                    assert_fresh(told, site, pypi)


def check(told: Observed, site: Site) -> None:
    """Hold what is claimed of the tree against it."""
    projects, files = installable(site)
    assert (told.status.installable, told.status.files) == (projects, files)
    claimed = re.findall(r"(\d+) projects? with (\d+) files? can be installed", claims(told))
    assert set(claimed) <= {(str(projects), str(files))}
    if "Nothing can be installed" in claims(told) or told.verdict.title == "Nothing has been mirrored yet":
        assert projects == 0
    amiss = sum(told.status.projects[state] for state in (ProjectState.FAILING, ProjectState.PARTIAL))
    assert (told.status.needs_attention_since is not None) == (amiss > 0)
    if told.status.needs_attention_since is not None:
        assert told.status.needs_attention_since <= told.status.as_of


def assert_fresh(told: Observed, site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Hold the tree against upstream: each project that is wanted has just the files that upstream offers."""
    wanted = (
        NAMES if told.status.scope == "everything" else re.findall(r'"(\w+)"', site.policy.read_text().split("]")[1])
    )
    for name in wanted:
        project = pypi.index.project(name)
        if project.status is fakepypi.Status.ABSENT:
            assert name not in site.pages()
        else:
            offered = {listed.file.filename for listed in project.listing().files}
            assert site.filenames(name) == (offered if project.status is fakepypi.Status.ACTIVE else set())


@pytest.mark.proves("reliability/status")
async def test_unknown_name_is_unknown_with_everything(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """With everything, a name that upstream does not list is not behind but unknown, unless mirror.toml has it."""
    pypi.index.project("ant").upload("0.1")
    site.everything("named")
    async with site.running() as running:
        observer = observe(running).observer
        before = [observer.whole_project(NormalizedName(name)) for name in ("ant", "nobody", "named")]
        await running.sync()
        after = observer.whole_project(NormalizedName("ant"))

    assert [found and found.name for found in before] == [None, None, "named"]
    assert after is not None
    assert after.state is ProjectState.CURRENT


@pytest.mark.proves("reliability/status")
async def test_damage_stays_told_until_a_verify_finds_it_mended(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """What a verify found damaged keeps the mirror from being called fresh and complete, since when it was found."""
    for name in ("ant", "bee"):
        pypi.index.project(name).upload("0.1")
    site.select("ant", "bee")
    async with site.running() as running:
        await running.sync()
        (site.web / site.published("ant").places["ant-0.1.tar.gz"]).write_bytes(b"rotten")
        (site.web / "simple/index.html").write_bytes(b"rotten, too")
        well = observe(running)
        await running.verify()
        found = observe(running)
        await running.verify("ant")
        await running.sync()
        still = observe(running)
        await running.verify(repair=True)
        mended = observe(running)

    assert well.verdict.title == "Fresh and complete"
    assert (found.status.damaged_files, found.verdict.level) == (2, HealthLevel.WARNING)
    assert "damaged" in found.verdict.title
    assert (still.status.damaged_files, still.status.damaged_since) == (2, found.status.damaged_since)
    assert (mended.status.damaged_files, mended.status.damaged_since) == (0, None)
    assert mended.verdict.title == "Fresh and complete"


@pytest.mark.proves("reliability/status")
async def test_damage_leaves_with_its_project(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """What is no longer published is no longer damaged."""
    for name in ("ant", "bee"):
        pypi.index.project(name).upload("0.1")
    site.select("ant", "bee")
    async with site.running() as running:
        await running.sync()
        (site.web / site.published("ant").places["ant-0.1.tar.gz"]).unlink()
        await running.verify("ant")
        found = observe(running).status.damaged_files
        site.select("bee")
        await running.sync(allow_removals=1)
        after = observe(running).status.damaged_files

    assert (found, after) == (1, 0)


@pytest.mark.proves("reliability/status")
async def test_pause_tells_since_when(site: Site) -> None:
    """Since when the schedule is paused is when somebody paused it first, across restarts."""
    site.select("ant")
    async with site.running() as running:
        timetable = Timetable(crontab("*/30 * * * *", time_zone="UTC"), sync=lambda: None, paused=False)
        timetable.start()
        observer = StatusReader(running.mirror, timetable)
        first = observer.pause(paused=True).paused_since
        again = observer.pause(paused=True).paused_since
        after = observer.pause(paused=False).paused_since
        timetable.stop()

    assert first is not None
    assert (again, after) == (first, None)
