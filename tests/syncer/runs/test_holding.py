"""Held and blocked files: what clients, upstream and the disk see of them, from run to run."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

import fakepypi
from mirror_contract import ProjectState, RunState
from mirror_syncer.catalog import Fact
from mirror_syncer.runs.sync.closure_step import ClosureStep
from mirror_syncer.runs.sync.maturity import Maturity
from syncer.site import Running, Site

pytestmark = [pytest.mark.proves("reliability/cooldown"), pytest.mark.proves("reliability/blocks")]
DAY = 86_400
WHEEL, SDIST = "six-1.0-py3-none-any.whl", "six-1.0.tar.gz"


class Host:
    """A host whose time a test controls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wall, steady = time.time, time.clock_gettime
        self._set = self._passed = 0.0
        monkeypatch.setattr(time, "time", lambda: wall() + self._set + self._passed)
        monkeypatch.setattr(time, "clock_gettime", lambda clock: steady(clock) + self._passed)

    def set_clock(self, *, by: float) -> None:
        """Set the clock, as an operator or NTP does."""
        self._set += by

    def wait(self, *, days: float = 0, seconds: float = 0) -> None:
        """Advance the time."""
        self._passed += days * DAY + seconds


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    """The host that the mirror runs on."""
    return Host(monkeypatch)


def ago(*, days: float = 0, seconds: float = 0) -> datetime:
    """Return a time in the past."""
    return datetime.now(UTC) - timedelta(days=days, seconds=seconds)


def write(site: Site, rest: str, *, projects: str = '"six"', mirror: str = "") -> None:
    """Write a mirror.toml with these tables after the first."""
    site.policy.write_text(f"[mirror]\nprojects = [{projects}]\n{mirror}\n{rest}\n")


def raw(site: Site, name: str = "six") -> dict[str, object]:
    """Return a published JSON page as a client reads it."""
    found: dict[str, object] = json.loads((site.web / "simple" / name / "index.v1_json").read_bytes())
    return found


def on_disk(site: Site, filename: str) -> list[str]:
    """Return where a file is in the document root."""
    return [str(path) for path in site.web.rglob(filename) if path.is_file() and ".held" not in path.parts]


def markers(site: Site) -> set[str]:
    """Return the names of the files that nginx answers with 403."""
    return {path.name for path in site.web.rglob(".held/*")}


async def mature(running: Running) -> float:
    """Run one round of the background work for expired decisions; return how long it would then pause."""
    pauses: list[float] = []

    async def stop(seconds: float) -> None:
        pauses.append(seconds)
        raise _RoundEndedError

    work = Maturity(
        running.mirror.engine.context, ClosureStep(running.mirror.engine.context), clock=time.time, sleep=stop
    )
    with pytest.raises(_RoundEndedError):
        await work.run()
    return pauses[0]


class _RoundEndedError(BaseException):
    pass


async def test_young_file_waits_and_everybody_is_told(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project whose files are all too young has an empty page that says what waits, and until when."""
    pypi.index.project("six").upload("1.0", uploaded_at=ago(days=3))
    write(site, '[age]\nmin = "7d"')
    async with site.running() as running:
        run = await running.sync()
        row = running.row("six")
    page = raw(site)

    assert (run.state, run.failures, run.counts.files_fetched) == (RunState.SUCCEEDED, [], 0)
    assert (row.state, row.published, row.held_files) == (ProjectState.WAITING, True, 2)
    assert "all its files wait" in (row.error or "")
    assert page["files"] == []
    assert {one["filename"] for one in page["_held"]} == {WHEEL, SDIST}  # type: ignore[attr-defined]
    assert "1.0" not in page["versions"]  # type: ignore[operator]
    assert WHEEL in (site.web / "simple/six/index.html").read_text()
    assert "six" in (site.web / "simple/index.v1_json").read_text()
    assert pypi.log.to(WHEEL) == pypi.log.to(SDIST) == []
    assert markers(site) == {WHEEL, SDIST}


async def test_waiting_project_still_waits_after_a_sync_without_news(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A waiting project is still reported as waiting after a sync in which upstream's page did not change."""
    pypi.index.project("six").upload("1.0", uploaded_at=ago(days=3))
    write(site, '[age]\nmin = "7d"')
    async with site.running() as running:
        await running.sync()
        before = running.row("six")
        await running.sync()
        after = running.row("six")

    assert (after.state, after.error) == (before.state, before.error) == (ProjectState.WAITING, before.error)


async def test_file_matures_without_a_request_for_its_page(site: Site, pypi: fakepypi.FakePyPI, host: Host) -> None:
    """A file whose time has come is published within a minute; upstream is asked for the file alone."""
    pypi.index.project("six").upload("1.0", uploaded_at=ago(days=6.5))
    write(site, '[age]\nmin = "7d"')
    async with site.running() as running:
        await running.sync()
        early = await mature(running)
        before = site.filenames("six")
        pypi.log.forget()
        host.wait(days=0.51)
        await mature(running)
        row = running.row("six")
        asked = sorted(path.rpartition("/")[2] for path in pypi.log.paths())

    assert before == set()
    assert early <= 20
    assert site.filenames("six") == {WHEEL, SDIST}
    assert asked == sorted([WHEEL, f"{WHEEL}.metadata", SDIST]), "the metadata says what it requires"
    assert (row.state, row.held_files, row.expires_at) == (ProjectState.CURRENT, 0, None)
    assert markers(site) == set()
    site.assert_whole()


async def test_paused_schedule_pauses_what_matures(site: Site, pypi: fakepypi.FakePyPI, host: Host) -> None:
    """While the schedule is paused nothing matures; what is due by the end of the pause is published then."""
    pypi.index.project("six").upload("1.0", uploaded_at=ago(days=6.5))
    write(site, '[age]\nmin = "7d"')
    async with site.running() as running:
        await running.sync()
        running.mirror.catalog.remember(Fact.PAUSED, "1")
        host.wait(days=0.51)
        pause = await mature(running)
        paused = site.filenames("six")
        running.mirror.catalog.remember(Fact.PAUSED, "")
        await mature(running)

    assert (paused, site.filenames("six")) == (set(), {WHEEL, SDIST})
    assert pause <= 20, "the end of the pause is noticed"


async def test_file_matures_while_upstream_is_down(site: Site, pypi: fakepypi.FakePyPI, host: Host) -> None:
    """A file that is on the disk is published when its time comes, though upstream is down."""
    pypi.index.project("six").upload("1.0", uploaded_at=ago(days=3))
    write(site, "")
    async with site.running() as running:
        await running.sync()
        write(site, '[age]\nmin = "7d"')
        await running.sync()
        hidden = site.filenames("six"), on_disk(site, WHEEL), markers(site)
        pypi.faults.everywhere().status(503)
        pypi.log.forget()
        host.wait(days=4.1)
        await mature(running)

    assert hidden == (set(), [], {WHEEL, SDIST})
    assert site.filenames("six") == {WHEEL, SDIST}
    assert len(pypi.log) == 0
    assert markers(site) == set()
    site.assert_whole()


async def test_lowered_age_shows_what_a_raised_one_hid(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Raising the age hides young files in the run that reads it; lowering it shows them without a download."""
    pypi.index.project("six").upload("1.0", uploaded_at=ago(days=3))
    write(site, '[age]\nmin = "1d"')
    async with site.running() as running:
        await running.sync()
        shown = site.filenames("six")
        write(site, '[age]\nmin = "7d"')
        run = await running.sync()
        hidden = site.filenames("six"), on_disk(site, WHEEL), on_disk(site, SDIST)
        pypi.log.forget()
        write(site, '[age]\nmin = "1d"')
        await running.sync()

    assert run.state is RunState.SUCCEEDED
    assert shown == site.filenames("six") == {WHEEL, SDIST}
    assert hidden == (set(), [], [])
    assert pypi.log.to(WHEEL) == pypi.log.to(SDIST) == []
    assert markers(site) == set()
    site.assert_whole()


BLOCKS: dict[str, Callable[[str], str]] = {
    "version": lambda _: '[block]\nprojects = [{name = "six==1.0", because = "malware"}]',
    "hash": lambda sha256: f'[block]\nhashes = ["sha256:{sha256}"]',
}


@pytest.mark.parametrize("by", BLOCKS)
@pytest.mark.parametrize("upstream", ["well", "down", "older"])
async def test_published_file_that_is_blocked_leaves_in_the_same_run(
    site: Site, pypi: fakepypi.FakePyPI, by: str, upstream: str
) -> None:
    """
    A published file leaves in the run that reads its block, whatever grace, guard and upstream say.

    Once unblocked, it comes back from the disk.
    """
    project = pypi.index.project("six")
    project.upload("1.0", sdist=False)
    project.upload("0.9", sdist=False)
    write(site, '[removal]\ngrace = "24h"\nguard = "0%"')
    async with site.running() as running:
        await running.sync()
        sha256 = site.published("six").files[WHEEL].sha256
        if upstream == "down":
            pypi.faults.everywhere().status(503)
        elif upstream == "older":
            pypi.faults.on_page("six").stale()
        write(site, BLOCKS[by](sha256) + '\n[removal]\ngrace = "24h"\nguard = "0%"')
        await running.sync()
        left = site.filenames("six"), on_disk(site, WHEEL), markers(site)
        pypi.faults.clear()
        pypi.log.forget()
        write(site, '[removal]\ngrace = "24h"\nguard = "0%"')
        await running.sync()

    assert left == ({"six-0.9-py3-none-any.whl"}, [], {WHEEL})
    assert site.filenames("six") == {WHEEL, "six-0.9-py3-none-any.whl"}
    assert pypi.log.to(WHEEL) == []
    assert markers(site) == set()
    site.assert_whole()


@pytest.mark.parametrize("fault", ["file", "down", "claims more than the disk has"])
async def test_blocked_file_leaves_though_what_replaces_it_cannot_be_had(
    site: Site, pypi: fakepypi.FakePyPI, fault: str
) -> None:
    """A blocked release leaves at once, even if no file of the release that takes its place can be downloaded."""
    project = pypi.index.project("six")
    project.upload("0.9", sdist=False)
    project.upload("1.0", sdist=False)
    write(site, "", mirror="latest = 1")
    async with site.running() as running:
        await running.sync()
        if fault == "down":
            pypi.faults.everywhere().status(503)
        elif fault == "file":
            pypi.faults.on_file("six-0.9-py3-none-any.whl").status(404)
        else:
            pypi.faults.on_page("six").edit(lambda page: [one.update(size=10**15) for one in page["files"]])
            await running.sync(force=True)
        write(site, BLOCKS["version"](""), mirror="latest = 1")
        await running.sync()

    assert site.filenames("six") == set()
    assert on_disk(site, WHEEL) == []
    assert markers(site) == {WHEEL}


async def test_blocked_project_leaves_whole_and_is_never_asked_for(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A blocked project loses page, place in the list and files at once; upstream never hears its name again."""
    pypi.index.project("six").upload("1.0")
    pypi.index.project("idna").upload("1.0")
    rest = '[removal]\ngrace = "24h"\nguard = "0%"'
    write(site, rest, projects='"six", "idna"')
    async with site.running() as running:
        await running.sync()
        write(site, f'[block]\nprojects = [{{name = "s?x", because = "malware"}}]\n{rest}', projects='"six", "idna"')
        pypi.log.forget()
        run = await running.sync()
        left = site.pages(), on_disk(site, WHEEL), markers(site)
        named = [path for path in pypi.log.paths() if "six" in path]
        row = running.row("six")
        write(site, rest, projects='"six", "idna"')
        pypi.log.forget()
        await running.sync()

    assert run.state is RunState.SUCCEEDED
    assert left == (["idna"], [], {WHEEL, SDIST})
    assert named == []
    assert (row.state, row.error) == (ProjectState.WITHDRAWN, "blocked in mirror.toml: malware")
    assert site.filenames("six") == {WHEEL, SDIST}
    assert pypi.log.to(WHEEL) == []
    assert markers(site) == set()
    site.assert_whole()


@pytest.mark.parametrize("by", [*BLOCKS, "name"])
async def test_file_in_its_grace_period_is_blocked_too(site: Site, pypi: fakepypi.FakePyPI, by: str) -> None:
    """A file that left its page, and that people could still download, cannot be downloaded once it is blocked."""
    project = pypi.index.project("six")
    project.upload("1.0")
    project.upload("2.0")
    rest = '[removal]\ngrace = "24h"\nguard = "100%"'
    write(site, rest)
    async with site.running() as running:
        await running.sync()
        sha256 = site.published("six").files[WHEEL].sha256
        if by == "name":
            project.delete()
        else:
            project.delete_release("1.0")
        await running.sync()
        before = len(on_disk(site, WHEEL))
        blocks: dict[str, Callable[[str], str]] = {**BLOCKS, "name": lambda _: '[block]\nprojects = ["six"]'}
        write(site, f"{blocks[by](sha256)}\n{rest}", projects='"six", "idna"')
        await running.sync()

    assert before == 1
    assert on_disk(site, WHEEL) == []
    assert WHEEL in markers(site)


async def test_sync_of_one_project_applies_blocks_of_others(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A run that names projects reads the policy as well, so what it blocks leaves in that run."""
    for name in ("six", "idna", "toml"):
        pypi.index.project(name).upload("1.0")
    write(site, "", projects='"six", "idna", "toml"')
    async with site.running() as running:
        await running.sync()
        write(site, '[block]\nprojects = ["six==1.0", "idna"]', projects='"six", "idna", "toml"')
        await running.sync("toml")

    assert site.pages() == ["six", "toml"]
    assert site.filenames("six") == set()
    assert markers(site) == {WHEEL, SDIST, "idna-1.0-py3-none-any.whl", "idna-1.0.tar.gz"}


async def test_older_page_does_not_forget_what_waits(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """If upstream shows an older page, its restrictions apply, and held files are still listed as held."""
    project = pypi.index.project("six")
    project.upload("0.8", uploaded_at=ago(days=90), sdist=False)
    project.upload("0.9", uploaded_at=ago(days=80), sdist=False)
    project.yank("0.8")
    project.unyank("0.8")
    project.upload("1.0", uploaded_at=ago(days=3))
    write(site, '[age]\nmin = "7d"')
    async with site.running() as running:
        await running.sync()
        before = raw(site)["_held"]
        serial = next(listing.serial for listing in project._history if any(f.yanked for f in listing.files))
        old = project.as_of(serial)
        pypi.faults.on_page("six").edit(
            lambda page: page.update(
                files=[
                    {**one, "yanked": one["filename"].startswith("six-0.8")}
                    for one in page["files"]
                    if one["filename"] in {listed.file.filename for listed in old.files}
                ],
                meta={**page["meta"], "_last-serial": serial},
            )
        )
        pypi.faults.on_page("six").change(lambda _, answer: answer.headers.update({"X-PyPI-Last-Serial": str(serial)}))
        await running.sync()

    assert {one.filename for one in site.published("six").page.files if one.yanked} == {"six-0.8-py3-none-any.whl"}
    assert raw(site)["_held"] == before
    assert markers(site) == {WHEEL, SDIST}


async def test_verify_finds_nothing_wrong_with_what_is_held(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Held files, their markers and files that were moved aside are no damage and no orphans, even with --upstream."""
    project = pypi.index.project("six")
    project.upload("0.9", uploaded_at=ago(days=30))
    project.upload("1.0", uploaded_at=ago(days=3))
    project.upload("1.1", uploaded_at=ago(days=1))
    write(site, '[age]\nmin = "2d"', projects='"six"')
    async with site.running() as running:
        await running.sync()
        write(site, '[age]\nmin = "7d"\n[block]\nprojects = ["six==0.9"]')
        await running.sync()
        runs = [await running.verify(), await running.verify(upstream=True, repair=True)]

    assert [(run.state, run.failures, run.counts.files_damaged) for run in runs] == [(RunState.SUCCEEDED, [], 0)] * 2
    assert site.filenames("six") == set()
    assert len(markers(site)) == 6
    assert on_disk(site, "*.whl") == []


async def test_legacy_document_names_nothing_that_is_held(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The legacy JSON names the files of the page alone: neither what waits nor what is blocked."""
    project = pypi.index.project("six")
    for version, days in (("0.8", 30), ("0.9", 30), ("1.0", 3)):
        project.upload(version, uploaded_at=ago(days=days))
    write(site, '[age]\nmin = "7d"\n[block]\nprojects = ["six==0.8"]\n[serve]\nlegacy_json = true')
    await site.sync()
    document = (site.web / "pypi/six/json").read_text()

    assert "six-0.9.tar.gz" in document
    assert "six-1.0" not in document
    assert "six-0.8" not in document


@pytest.mark.parametrize("by", [-DAY, 30 * DAY], ids=["a day back", "a month forward"])
async def test_clock_that_was_wrong_publishes_nothing_for_good(
    site: Site, pypi: fakepypi.FakePyPI, host: Host, by: int
) -> None:
    """Whichever way the clock is set, once it is right the page offers what is old enough by then, and nothing else."""
    project = pypi.index.project("six")
    project.upload("0.9", uploaded_at=ago(days=7.5), sdist=False)
    project.upload("1.0", uploaded_at=ago(days=3), sdist=False)
    write(site, '[age]\nmin = "7d"')
    async with site.running() as running:
        await running.sync()
        host.set_clock(by=by)
        await mature(running)
        await running.sync()
        host.set_clock(by=-by)
        await running.sync()
        await mature(running)
        right = site.filenames("six")
        host.wait(days=4.1)
        await mature(running)

    assert right == {"six-0.9-py3-none-any.whl"}
    assert site.filenames("six") == {"six-0.9-py3-none-any.whl", WHEEL}
    site.assert_whole()


async def test_restart_changes_nothing_and_forgets_nothing(site: Site, pypi: fakepypi.FakePyPI, host: Host) -> None:
    """After a restart what waits still waits, and matures at its time."""
    pypi.index.project("six").upload("1.0", uploaded_at=ago(days=6.5), sdist=False)
    write(site, '[age]\nmin = "7d"')
    await site.sync()
    before = raw(site)
    async with site.running() as running:
        await mature(running)
        run = await running.sync()
        assert run.counts.projects_changed == 0
    assert raw(site) == before
    host.wait(days=0.51)
    async with site.running() as running:
        await mature(running)
    assert site.filenames("six") == {WHEEL}


async def test_file_that_cannot_be_had_holds_up_no_other(site: Site, pypi: fakepypi.FakePyPI, host: Host) -> None:
    """A matured project that fails is retried later; what matures meanwhile is published at its time."""
    pypi.index.project("six").upload("1.0", uploaded_at=ago(days=6.5), sdist=False)
    idna = pypi.index.project("idna")
    idna.upload("1.0", uploaded_at=ago(days=6.5), sdist=False)
    idna.upload("2.0", uploaded_at=ago(days=6.5, seconds=-250), sdist=False)
    write(site, '[age]\nmin = "7d"', projects='"six", "idna"')
    async with site.running() as running:
        await running.sync()
        pypi.faults.on_file(WHEEL).status(404)
        work = Maturity(
            running.mirror.engine.context, ClosureStep(running.mirror.engine.context), clock=time.time, sleep=_end
        )
        host.wait(days=0.5, seconds=5)
        with pytest.raises(_RoundEndedError):
            await work.run()
        first = site.filenames("idna"), running.row("six").state
        host.wait(seconds=250)  # six is tried again after 300
        with pytest.raises(_RoundEndedError):
            await work.run()

    assert first == ({"idna-1.0-py3-none-any.whl"}, ProjectState.FAILING)
    assert site.filenames("idna") == {"idna-1.0-py3-none-any.whl", "idna-2.0-py3-none-any.whl"}


async def test_disk_that_keeps_files_from_maturing_is_logged(site: Site, pypi: fakepypi.FakePyPI, host: Host) -> None:
    """Files that the disk keeps from maturing are published once it is back; until then the log says why they wait."""
    pypi.index.project("six").upload("1.0", uploaded_at=ago(days=6.5))
    write(site, '[age]\nmin = "7d"')
    async with site.running() as running:
        await running.sync()
        host.wait(days=0.51)
        pages = site.web / "simple"
        away = pages.rename(site.data / "away")
        with capture_logs() as logged:
            await mature(running)
        hidden = dict(running.mirror.runs.background)
        away.rename(pages)
        await mature(running)

    reasons = [line["why"] for line in logged if line["event"] == "background work pauses"]
    assert len(reasons) == 1
    assert str(pages) in reasons[0]
    assert hidden == {}
    assert site.filenames("six") == {WHEEL, SDIST}


async def _end(seconds: float) -> None:
    raise _RoundEndedError(seconds)
