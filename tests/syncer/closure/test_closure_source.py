"""The dependency closure's pages and requirements: each found once, here before upstream."""

import asyncio
import gzip
import hashlib
import io
import tarfile
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from aiohttp import web
from packaging.utils import NormalizedName

import fakepypi
from fakepypi.answer import Answer
from mirror_contract import ProjectState, RunKind, RunState
from mirror_syncer.catalog import Catalog
from mirror_syncer.catalog.requirement_lines import metadata_key
from mirror_syncer.closure.closure_source import ClosureSource
from mirror_syncer.closure.metadata_source import UNKNOWN
from mirror_syncer.closure.requests import MAX_REQUESTS, RequestCounts
from mirror_syncer.closure.resolution import resolve
from mirror_syncer.config.mirror_toml.tables import parse_policy
from mirror_syncer.errors import FileRejectedError, InvalidPageError, RefusedError, UnreachableError
from mirror_syncer.model.digests import Unhashed
from mirror_syncer.model.names import Sha256
from mirror_syncer.model.page import File, Page
from mirror_syncer.model.project import CatalogUpdate, ProjectRow
from mirror_syncer.model.requirement_lines import RequirementLines
from mirror_syncer.model.sdist import MAX_SDIST_BYTES
from mirror_syncer.runs.sync.policy_change import PolicyChange
from mirror_syncer.upstream import Client, ClientOptions, Index
from mirror_syncer.volume import View, Volume
from mirror_syncer.work.transfer.unhashed import UnhashedFiles
from syncer.site import IMPATIENT, Site

FOO, BAR = NormalizedName("foo"), NormalizedName("bar")
WHEEL, SDIST = "foo-1.0-py3-none-any.whl", "foo-1.0.tar.gz"
DAY = 86_400


@dataclass
class Closures:
    """Closures over one catalog, tree and index."""

    site: Site
    catalog: Catalog
    index: Index
    now: int = 2_000_000_000

    @asynccontextmanager
    async def begin(self, *, force: bool = False) -> AsyncIterator[ClosureSource]:
        """Begin a closure, which remembers nothing of earlier ones."""
        view = View(self.site.data)
        async with ClosureSource(
            catalog=self.catalog,
            view=view,
            index=self.index,
            unhashed=UnhashedFiles(Unhashed.OWN_HOST, upstream=self.site.upstream, digest_of=view.other_digest),
            bounds=self.catalog.serial_bounds(everything=False),
            now=lambda: self.now,
            force=force,
        ) as source:
            yield source

    async def page(self, name: NormalizedName = FOO, *, force: bool = False) -> Page | None:
        """Return what a new closure finds as a project's page."""
        async with self.begin(force=force) as source:
            return await source.page(name)

    async def lines(self, filename: str, *, name: NormalizedName = FOO) -> RequirementLines:
        """Return what a new closure finds as a file's requirements."""
        async with self.begin() as source:
            page = await source.page(name)
            assert page is not None
            return await source.requirement_lines(name, file_of(page, filename))


def file_of(page: Page, filename: str) -> File:
    """Return a page's file."""
    return next(file for file in page.files if file.filename == filename)


@pytest.fixture
async def closures(site: Site, pypi: fakepypi.FakePyPI) -> AsyncIterator[Closures]:
    """Closures beside a mirror that may not have run yet."""
    hosts = frozenset({pypi.url.removeprefix("http://")})
    options = ClientOptions(user_agent="test", hosts=hosts, connections=40, limits=IMPATIENT)
    catalog = Catalog.in_directory(site.state)
    Volume(site.data, mirror_id=catalog.mirror_id, known=False).close()
    async with Client(options) as client:
        yield Closures(site, catalog, Index(pypi.url, client=client))
    catalog.close()


def project_lines(pypi: fakepypi.FakePyPI, suffix: str = "") -> list[str]:
    """Return the requested paths that end so."""
    return [path for path in pypi.log.paths() if path.endswith(suffix)]


# Pages


async def test_page_of_a_new_project_is_requested_once(closures: Closures, pypi: fakepypi.FakePyPI) -> None:
    """Concurrent and later questions, also of later closures, cost one request; the page is kept."""
    pypi.index.project("foo").upload("1.0")

    async with closures.begin() as source:
        pages = await asyncio.gather(*(source.page(FOO) for _ in range(20)))
        again = await source.page(FOO)
        assert (source.counts.pages, source.counts.metadata) == (1, 0)
    later = await closures.page()

    assert pypi.log.paths() == ["/simple/foo/"]
    assert {file.filename for page in (*pages, again, later) if page for file in page.files} == {WHEEL, SDIST}
    assert all(page == later for page in pages)
    row = closures.catalog.projects.get(FOO)
    assert row is not None
    assert (row.state, row.published, row.serial, row.checked_at) == (
        ProjectState.BEHIND,
        False,
        pypi.index.project("foo").serial,
        closures.now,
    )


@pytest.mark.parametrize("judged", [True, False])
async def test_kept_page_is_published_without_a_request(
    site: Site, closures: Closures, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch, *, judged: bool
) -> None:
    """A project whose page a closure looked at is published from it: upstream is asked for the files alone."""
    pypi.index.project("foo").upload("1.0")
    await closures.page()
    pypi.log.forget()
    site.select("foo")
    monkeypatch.setattr(PolicyChange, "_due", lambda *_, **__: iter([FOO]))

    async with site.running() as running:
        projects = () if judged else ("foo",)
        run = await running.ended(running.ask(RunKind.SYNC, *projects, offline=True))
        row = running.row("foo")

        assert run.state is RunState.SUCCEEDED
        assert (row.state, row.published, row.error, row.due_at) == (ProjectState.CURRENT, True, None, None)
        assert running.mirror.catalog.kept_pages.get(FOO) is None
        assert site.filenames("foo") == {WHEEL, SDIST}
        assert project_lines(pypi, "/simple/foo/") == []
        # The validators of that page hold, and nothing is left to do.
        await running.sync("foo")
        assert [exchange.status for exchange in pypi.log.to("/simple/foo/")] == [304]
    site.assert_whole()


async def test_page_that_a_failure_preceded_is_published(
    site: Site, closures: Closures, pypi: fakepypi.FakePyPI
) -> None:
    """A row of an earlier failure does not stay on a project whose page was kept after it."""
    site.select("foo")
    await site.sync()
    pypi.index.project("foo").upload("1.0")
    await closures.page()

    async with site.running() as running:
        await running.sync("foo", offline=True)
        assert running.row("foo").state is ProjectState.CURRENT


async def test_kept_page_does_not_hide_its_project_from_the_whole_index(
    site: Site, closures: Closures, pypi: fakepypi.FakePyPI
) -> None:
    """A project that a closure looked at is published when the policy comes to select everything."""
    pypi.index.project("foo").upload("1.0")
    closures.now = int(time.time())
    await closures.page()
    site.everything()

    run = await site.sync()

    assert (run.state, site.pages()) == (RunState.SUCCEEDED, ["foo"])
    row = closures.catalog.projects.get(FOO)
    assert row is not None
    assert row.due_at is None


async def test_published_page_costs_no_request(site: Site, closures: Closures, pypi: fakepypi.FakePyPI) -> None:
    """A page that is published whole stands for upstream's, and so does the kept one of a part."""
    for name in ("foo", "bar"):
        for version in ("1.0", "2.0"):
            pypi.index.project(name).upload(version)
    site.select("foo", "bar<2")
    await site.sync()
    pypi.log.forget()

    whole, part = await closures.page(FOO), await closures.page(BAR)

    assert whole is not None
    assert part is not None
    assert len(whole.files) == len(part.files) == 4
    assert pypi.log.paths() == []


@pytest.mark.parametrize("damage", [b"", b"{}", None])
async def test_damaged_published_page_is_replaced_by_upstreams(
    site: Site, closures: Closures, pypi: fakepypi.FakePyPI, damage: bytes | None
) -> None:
    """A published page that is missing or altered is not believed; the row of the published project stays."""
    pypi.index.project("foo").upload("1.0")
    site.select("foo")
    await site.sync()
    before = closures.catalog.projects.get(FOO)
    path = site.web / "simple" / "foo" / "index.v1_json"
    path.unlink() if damage is None else path.write_bytes(damage)
    pypi.log.forget()

    page = await closures.page()

    assert page is not None
    assert len(page.files) == 2
    assert pypi.log.paths() == ["/simple/foo/"]
    assert closures.catalog.projects.get(FOO) == before
    assert closures.catalog.kept_pages.get(FOO) is None


async def test_absent_project_is_asked_for_once_a_day(closures: Closures, pypi: fakepypi.FakePyPI) -> None:
    """A name that upstream lacks is not requested again for a day, unless it is forced."""
    assert await closures.page() is None
    asked = len(pypi.log)  # whether there is an index at all, too
    assert await closures.page() is None
    assert len(pypi.log) == asked

    pypi.index.project("foo").upload("1.0")
    assert await closures.page() is None
    assert await closures.page(force=True) is not None
    assert await closures.page() is not None

    assert await closures.page(BAR) is None
    pypi.index.project("bar").upload("1.0")
    closures.now += DAY
    assert await closures.page(BAR) is not None


async def test_absent_project_that_is_published_since_is_found(
    site: Site, closures: Closures, pypi: fakepypi.FakePyPI
) -> None:
    """A project that upstream lacked earlier today is there once a sync of it has published it."""
    assert await closures.page() is None
    pypi.index.project("foo").upload("1.0")
    site.select("foo")
    await site.sync()
    assert await closures.page() is not None


async def test_page_of_an_unpublished_project_is_requested_again_after_a_day(
    closures: Closures, pypi: fakepypi.FakePyPI
) -> None:
    """No sync refreshes it, so a release that was missing would stay so; a failing upstream leaves the kept page."""

    def statuses() -> list[int]:
        return [exchange.status for exchange in pypi.log.to("/simple/foo/")]

    pypi.index.project("foo").upload("1.0", sdist=False)
    await closures.page()
    closures.now += DAY - 1
    await closures.page()
    assert statuses() == [200]
    closures.now += 1
    for _ in range(2):
        await closures.page()
    assert statuses() == [200, 304]

    pypi.index.project("foo").upload("2.0", sdist=False)
    closures.now += DAY
    pypi.faults.on_page("foo").status(503).times(IMPATIENT.attempts)
    pages = [await closures.page() for _ in range(2)]
    assert [len(page.files) for page in pages if page] == [1, 2]
    assert statuses() == [200, 304, *[503] * IMPATIENT.attempts, 200]

    pypi.index.project("foo").delete()
    closures.now += DAY
    assert [await closures.page() for _ in range(2)] == [None, None]
    assert statuses().count(404) == 1


async def test_failed_page_is_reported_and_forgotten(closures: Closures, pypi: fakepypi.FakePyPI) -> None:
    """An error of upstream is raised to each caller of a closure; the next closure asks again."""
    pypi.index.project("foo").upload("1.0")
    rule = pypi.faults.on_page("foo").status(503)

    async with closures.begin() as source:
        for _ in range(2):
            with pytest.raises(UnreachableError):
                await source.page(FOO)
    assert len(pypi.log) == IMPATIENT.attempts
    rule.times(0)
    pypi.faults.on_page("foo").login_page().times(1)
    with pytest.raises(InvalidPageError):
        await closures.page()
    assert await closures.page() is not None


async def test_publication_meanwhile_wins(closures: Closures, pypi: fakepypi.FakePyPI) -> None:
    """A page that arrives after a run published its project, or began to, leaves the run's row."""
    pypi.index.project("foo").upload("1.0")
    gate = pypi.faults.on_page("foo").gate()
    async with closures.begin() as source:
        finding = asyncio.create_task(source.page(FOO))
        async with asyncio.timeout(60):
            await gate.arrival()
        published = ProjectRow(FOO, ProjectState.CURRENT, published=True, serial=7)
        closures.catalog.commit([CatalogUpdate(published, read=True)])
        gate.open()
        assert await finding is not None
    assert closures.catalog.projects.get(FOO) == published
    assert closures.catalog.kept_pages.get(FOO) is None


# Requirements


async def test_first_look_at_a_project_is_cheap(closures: Closures, pypi: fakepypi.FakePyPI) -> None:
    """A project with a wheel of 3 MB costs a page and one small request, whether there is ``.metadata`` or not."""
    for name in ("foo", "bar"):
        pypi.index.project(name).upload("1.0", requires_dist=("a>=1",), padding=3_000_000)
    pypi.faults.on_page("bar").edit(remove_core_metadata)

    for name in (FOO, BAR):
        async with closures.begin() as source:
            page = await source.page(name)
            assert page is not None
            wheel = file_of(page, f"{name}-1.0-py3-none-any.whl")
            lines = await source.requirement_lines(name, wheel)
            assert lines == RequirementLines(("a>=1",))
            assert (source.counts.pages, source.counts.metadata) == (1, 1)
            assert source.counts.metadata_bytes < 200_000
        async with closures.begin() as source:
            await source.prefetch(file for file in page.files)
            assert await source.requirement_lines(name, wheel) == lines
            assert source.counts == RequestCounts()


def remove_core_metadata(document: dict) -> None:  # type: ignore[type-arg]
    """Have a page promise no metadata."""
    for file in document["files"]:
        file.pop("core-metadata", None)
        file.pop("data-dist-info-metadata", None)


async def test_whole_closure_is_cheap(closures: Closures, pypi: fakepypi.FakePyPI) -> None:
    """Of an index without ``.metadata`` it costs two requests a project, and reads small parts of wheels; then none."""
    for number in range(20):
        requires = (f"p{number + 1}>=2",) if number < 19 else ()
        for version in ("1.0", "2.0", "3.0"):
            pypi.index.project(f"p{number}").upload(version, sdist=False, requires_dist=requires, padding=1_000_000)
        pypi.faults.on_page(f"p{number}").edit(remove_core_metadata)
    policy = parse_policy(
        b'[mirror]\nprojects = ["p0"]\nlatest = 1\n'
        b'[machines]\npythons = ["3.11", "3.13"]\nplatforms = ["linux-x86_64", "windows-amd64"]\n'
    )

    async with closures.begin() as source:
        closure = await resolve(policy, source=source, now=closures.now)
        assert (source.counts.pages, source.counts.metadata) == (20, 20)
        assert source.counts.metadata_bytes < 20 * 100_000
    assert [project.files for project in closure.projects.values()] == [1] * 20
    async with closures.begin() as source:
        assert await resolve(policy, source=source, now=closures.now) == closure
        assert source.counts == RequestCounts()


async def test_concurrent_questions_share_requests(closures: Closures, pypi: fakepypi.FakePyPI) -> None:
    """Of one file's metadata there is one request at a time, and of all files at most 16."""
    for number in range(40):
        pypi.index.project("foo").upload(f"{number}.0", sdist=False)
    gate = pypi.faults.on_metadata().gate()
    async with closures.begin() as source:
        page = await source.page(FOO)
        assert page is not None
        pypi.log.forget()
        asking = [asyncio.create_task(source.requirement_lines(FOO, file)) for file in page.files * 3]
        async with asyncio.timeout(60):
            while pypi.log.peak < MAX_REQUESTS:  # noqa: ASYNC110 - the log sends no events
                await asyncio.sleep(0.01)
        gate.open()
        await asyncio.gather(*asking)
        assert source.counts.metadata == 40
    assert len(pypi.log) == 40
    assert pypi.log.peak == MAX_REQUESTS


async def test_cancelled_caller_leaves_the_request_to_others(closures: Closures, pypi: fakepypi.FakePyPI) -> None:
    """A caller that gives up does not end the request that others wait for; the closure's end does."""
    pypi.index.project("foo").upload("1.0")
    gate = pypi.faults.on_page("foo").gate()
    async with closures.begin() as source:
        one, other = (asyncio.create_task(source.page(FOO)) for _ in range(2))
        await gate.arrival()
        one.cancel()
        gate.open()
        assert await other is not None
    assert one.cancelled()
    pypi.index.project("bar").upload("1.0")
    gate = pypi.faults.on_page("bar").gate()
    async with closures.begin() as source:
        waiting = asyncio.create_task(source.page(BAR))
        await gate.arrival()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize("promised", [True, False])
async def test_wheel_on_disk_costs_no_request(
    site: Site, closures: Closures, pypi: fakepypi.FakePyPI, *, promised: bool
) -> None:
    """A published file's requirements are read on disk, from its ``.metadata`` or from the file itself."""
    pypi.index.project("foo").upload("1.0", requires_dist=("a>=1",))
    if not promised:
        pypi.faults.on_page("foo").edit(remove_core_metadata)
    site.select("foo")
    await site.sync()
    pypi.log.forget()

    assert await closures.lines(WHEEL) == RequirementLines(("a>=1",))
    build = await closures.lines(SDIST)
    assert build.requires_dist == ("a>=1",)
    assert build.is_dynamic
    assert build.build_requires == ()
    assert pypi.log.paths() == []


async def test_published_file_that_is_missing_is_reported(
    site: Site, closures: Closures, pypi: fakepypi.FakePyPI
) -> None:
    """A file that is lost on disk is named with the remedy, and not requested from nowhere."""
    pypi.index.project("foo").upload("1.0", sdist=False)
    site.select("foo")
    await site.sync()
    path = site.web / site.published("foo").places[WHEEL]
    path.unlink()
    path.with_name(f"{WHEEL}.metadata").unlink()

    with pytest.raises(FileRejectedError, match="run `verify`"):
        await closures.lines(WHEEL)


@pytest.mark.proves("security/upstream")
async def test_word_of_a_file_host_counts_until_the_file_is_here(
    site: Site, closures: Closures, pypi: fakepypi.FakePyPI
) -> None:
    """Requirements out of a part of a wheel are not verified by its digest: they are read again once it is on disk."""
    wheel = pypi.index.project("foo").upload("1.0", requires_dist=("honest",), sdist=False).files[WHEEL]
    pypi.faults.on_page("foo").edit(remove_core_metadata)

    def lie(_request: web.Request, answer: Answer) -> None:
        # The same length, so that the archive stays whole; its CRC is the one of other metadata.
        answer.body = answer.body.replace(b"Requires-Dist: honest", b"Requires-Dist: forged")
        crc = (zlib_crc(wheel.metadata or b""), zlib_crc((wheel.metadata or b"").replace(b"honest", b"forged")))
        answer.body = answer.body.replace(*crc)

    rule = pypi.faults.on_file(WHEEL).change(lie)
    assert (await closures.lines(WHEEL)).requires_dist == ("forged",)
    rule.times(0)
    assert (await closures.lines(WHEEL)).requires_dist == ("forged",)  # remembered

    site.select("foo")
    await site.sync()
    assert (await closures.lines(WHEEL)).requires_dist == ("honest",)


def zlib_crc(body: bytes) -> bytes:
    """Return a member's CRC as a ZIP archive has it."""
    return zlib.crc32(body).to_bytes(4, "little")


@pytest.mark.proves("security/upstream", "reliability/upstream")
@pytest.mark.parametrize("fault", ["missing", "wrong", "endless"])
async def test_broken_promise_of_metadata_is_made_good_by_the_wheel(
    closures: Closures, pypi: fakepypi.FakePyPI, fault: str
) -> None:
    """Where ``.metadata`` is missing, or not what the page promises, the wheel itself is read."""
    pypi.index.project("foo").upload("1.0", requires_dist=("a>=1",))
    rule = pypi.faults.on_metadata(WHEEL)
    match fault:
        case "missing":
            rule.status(404)
        case "wrong":
            rule.corrupt()
        case "endless":
            rule.without("Content-Length").endless(limit=40_000_000)

    assert (await closures.lines(WHEEL)).requires_dist == ("a>=1",)
    assert [len(project_lines(pypi, name)) for name in (f"{WHEEL}.metadata", WHEEL)] == [1, 1]


async def test_wheel_that_differs_from_its_promise_is_read_once(closures: Closures, pypi: fakepypi.FakePyPI) -> None:
    """Metadata that differs from its promise is not stored under the promised digest, which other files may have."""
    pypi.index.project("foo").upload("1.0", requires_dist=("a>=1",), sdist=False)
    other = "a" * 64
    pypi.faults.on_page().edit_files(**{"core-metadata": {"sha256": other}})

    for _ in range(2):
        assert (await closures.lines(WHEEL)).requires_dist == ("a>=1",)
    assert len(project_lines(pypi, WHEEL)) == 1
    assert closures.catalog.requirement_lines.get([metadata_key(Sha256(other))], now=0) == {}


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize(("victim", "attacker"), [(WHEEL, ".metadata"), (WHEEL, "bar-1.0.zip"), (SDIST, "bar-1.0.zip")])
async def test_project_cannot_plant_requirements_for_the_file_of_another(
    closures: Closures, pypi: fakepypi.FakePyPI, victim: str, attacker: str
) -> None:
    """Content that a project serves as metadata, or under another ending, says nothing about the copied file."""
    content = pypi.index.project("foo").upload("1.0", requires_dist=("a>=1",)).files[victim].content
    bar = pypi.index.project("bar")
    if attacker == ".metadata":
        attacker = "bar-1.0-py3-none-any.whl"
        bar.upload_file(
            attacker, bar.upload("2.0").files["bar-2.0-py3-none-any.whl"].content, version="1.0", metadata=content
        )
    else:
        bar.upload_file(attacker, content, version="1.0")
    pypi.faults.on_page("foo").edit(remove_core_metadata)

    assert (await closures.lines(attacker, name=BAR)).requires_dist == ()
    assert (await closures.lines(victim)).requires_dist == ("a>=1",)


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize("fault", ["other wheel", "missing wheel"])
async def test_false_promise_of_metadata_affects_only_its_project(
    closures: Closures, pypi: fakepypi.FakePyPI, fault: str
) -> None:
    """A project that promises another's metadata and does not deliver it neither replaces it nor makes it fail."""
    promised = pypi.index.project("foo").upload("1.0", requires_dist=("a>=1",)).files[WHEEL].metadata
    pypi.index.project("bar").upload("1.0", requires_dist=("planted",))
    wheel = "bar-1.0-py3-none-any.whl"
    digest = hashlib.sha256(promised or b"").hexdigest()
    pypi.faults.on_page("bar").edit_files(**{"core-metadata": {"sha256": digest}})
    if fault == "missing wheel":
        pypi.faults.on_metadata(wheel).status(404)
        pypi.faults.on_file(wheel).status(404)

    async with closures.begin() as source:
        pages = [await source.page(name) for name in (BAR, FOO)]
        own, other = (file_of(page, name) for page, name in zip(pages, (wheel, WHEEL), strict=True) if page)
        if fault == "missing wheel":
            with pytest.raises(RefusedError):
                await source.requirement_lines(BAR, own)
        else:
            assert (await source.requirement_lines(BAR, own)).requires_dist == ("planted",)
        assert (await source.requirement_lines(FOO, other)).requires_dist == ("a>=1",)


async def test_sdist_is_read_whole_and_checked(closures: Closures, pypi: fakepypi.FakePyPI) -> None:
    """A source distribution is downloaded once, and only what has its digest is read."""
    pypi.index.project("foo").upload("1.0", requires_dist=("a>=1",), wheel=False)
    rule = pypi.faults.on_file(SDIST).corrupt()
    with pytest.raises(FileRejectedError, match="sha256"):
        await closures.lines(SDIST)
    rule.times(0)
    pypi.log.forget()

    for _ in range(2):
        lines = await closures.lines(SDIST)
        assert (lines.requires_dist, lines.is_dynamic) == (("a>=1",), True)
        assert lines.build_requires == ()
    assert len(pypi.log.to(SDIST)) == 1


def large_sdist() -> Iterator[bytes]:
    """Yield a source distribution above the limit, and one that is none."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("foo-1.0/PKG-INFO"))
    yield gzip.compress(file.getvalue(), 1) + bytes(MAX_SDIST_BYTES)
    yield b"none"


@pytest.mark.parametrize("sized", [True, False])
async def test_requirements_of_an_unreadable_sdist_are_unknown(
    closures: Closures, pypi: fakepypi.FakePyPI, *, sized: bool
) -> None:
    """Neither a source distribution above 10 MB nor a damaged one is an error: its requirements are unknown."""
    project = pypi.index.project("foo")
    names = [f"foo-{number}.0.tar.gz" for number in (1, 2)]
    for name, content in zip(names, large_sdist(), strict=True):
        project.upload_file(name, content, version=name[4:7])
    if not sized:
        pypi.faults.on_page("foo").edit(lambda page: [file.pop("size") for file in page["files"]])

    for name in names * 2:
        lines = await closures.lines(name)
        assert (lines.requires_dist, lines.is_dynamic) == ((), True)
    assert len(project_lines(pypi, names[0])) == (0 if sized else 1)
    assert len(project_lines(pypi, names[1])) == 1


async def test_other_files_have_unknown_requirements(closures: Closures, pypi: fakepypi.FakePyPI) -> None:
    """An egg or an installer is not requested."""
    pypi.index.project("foo").upload_file("foo-1.0-py3.9.egg", b"egg", version="1.0")

    assert await closures.lines("foo-1.0-py3.9.egg") == UNKNOWN
    assert pypi.log.paths() == ["/simple/foo/"]


async def test_file_that_upstream_lacks_fails_alone(closures: Closures, pypi: fakepypi.FakePyPI) -> None:
    """A file that upstream names and does not have is an error of that file."""
    pypi.index.project("foo").upload("1.0")
    pypi.faults.on_metadata().status(404)
    pypi.faults.on_file(WHEEL).status(404)

    async with closures.begin() as source:
        page = await source.page(FOO)
        assert page is not None
        with pytest.raises(RefusedError):
            await source.requirement_lines(FOO, file_of(page, WHEEL))
        assert (await source.requirement_lines(FOO, file_of(page, SDIST))).build_requires == ()


async def test_many_lines_are_prefetched_by_one_query(closures: Closures, pypi: fakepypi.FakePyPI) -> None:
    """A later closure reads what the catalog has of many files at once, and nothing file by file."""
    for number in range(30):
        pypi.index.project("foo").upload(f"{number}.0", sdist=False)
    async with closures.begin() as source:
        page = await source.page(FOO)
        assert page is not None
        await asyncio.gather(*(source.requirement_lines(FOO, file) for file in page.files))
    pypi.log.forget()

    async with closures.begin() as source:
        await source.prefetch(page.files)
        closures.catalog.requirement_lines.get = None  # type: ignore[assignment,method-assign]
        for file in page.files:
            await source.requirement_lines(FOO, file)
    assert pypi.log.paths() == []
