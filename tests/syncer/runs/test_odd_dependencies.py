"""One odd thing among the dependencies costs that one thing: the other lines are published, and nothing good leaves."""

from collections.abc import Callable

import pytest
from aiohttp import web

import fakepypi
from fakepypi.answer import Answer
from mirror_contract import RunKind, RunState
from mirror_syncer.config.judgement.admission import Admission
from mirror_syncer.config.judgement.candidates import Candidates
from syncer.indexes import choose, upload
from syncer.mounts import fill, read_only, small_disk
from syncer.site import Site

_LONG = f"odd-{'1' * 229}-py3-none-any.whl"  # of 250 bytes, so that none is left for ``.metadata``


@pytest.fixture
def lines(site: Site, pypi: fakepypi.FakePyPI) -> Site:
    """Return a mirror of two lines; one of them needs the odd project."""
    upload(pypi, "app 1.0: odd, good", "odd 1.0: base", "good 1.0", "base 1.0", "other 1.0: tool", "tool 1.0")
    choose(site, "app", "other")
    return site


def upload_more(pypi: fakepypi.FakePyPI) -> None:
    """Upload a new release of each line."""
    upload(pypi, "app 2.0: odd>=1, good", "other 2.0: tool")


def _no_json(pypi: fakepypi.FakePyPI) -> None:
    def change(_request: web.Request, answer: Answer) -> None:
        answer.headers.pop("Content-Encoding", None)
        answer.body = b'{"meta": [[['

    pypi.faults.on_page("odd").change(change)


def _refused(pypi: fakepypi.FakePyPI) -> None:
    pypi.faults.on_page("odd").status(403)


def _lying_range(pypi: fakepypi.FakePyPI) -> None:
    def change(_request: web.Request, answer: Answer) -> None:
        answer.headers["Content-Range"] = "bytes 0-9/10000000"

    pypi.faults.on_page("odd").edit_files(**{"core-metadata": False, "data-dist-info-metadata": False})
    pypi.faults.on_file(project="odd").change(change)


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize("spoil", [_no_json, _refused, _lying_range])
async def test_odd_project_costs_what_requires_it(
    lines: Site, pypi: fakepypi.FakePyPI, spoil: Callable[[fakepypi.FakePyPI], None]
) -> None:
    """A new dependency that upstream serves wrongly is named with its line; all else comes, and it in the next run."""
    async with lines.running() as running:
        spoil(pypi)
        run = await running.sync()

        assert run.state is RunState.INCOMPLETE
        assert {failure.project for failure in run.failures} <= {"app", "odd"}
        assert run.failures
        assert set(lines.pages()) == {"app", "good", "other", "tool"}

        pypi.faults.clear()
        run = await running.sync("app", force=True)
    assert run.state is RunState.SUCCEEDED
    assert lines.pages() == ["app", "base", "good", "odd", "other", "tool"]


async def test_dependency_with_a_long_file_name_is_mirrored(lines: Site, pypi: fakepypi.FakePyPI) -> None:
    """A dependency whose file name leaves no room for ``.metadata`` is mirrored without it, with what it requires."""
    pypi.faults.on_page("odd").edit_files(filename=_LONG)
    async with lines.running() as running:
        run = await running.sync()
        pypi.log.forget()
        again = await running.sync()

    assert (run.state, again.state) == (RunState.SUCCEEDED, RunState.SUCCEEDED)
    assert again.counts.projects_changed == 0
    assert lines.pages() == ["app", "base", "good", "odd", "other", "tool"]
    assert lines.filenames("odd") == {_LONG}
    lines.assert_whole()


@pytest.mark.proves("reliability/disk")
@pytest.mark.parametrize("kind", ["altered", "garbage"])
async def test_altered_page_of_a_dependency_is_replaced(lines: Site, pypi: fakepypi.FakePyPI, kind: str) -> None:
    """If another program changed a dependency's page, that is told, and what it requires stays."""
    async with lines.running() as running:
        await running.sync()
        page = lines.web / "simple" / "odd" / "index.v1_json"
        body = page.read_bytes().replace(b"odd-1.0", b"odd-1.1") if kind == "altered" else b"\x00{"
        page.unlink()
        page.write_bytes(body)
        upload_more(pypi)
        run = await running.sync()

        assert run.state is RunState.INCOMPLETE
        assert {failure.project for failure in run.failures} == {"odd"}
        assert lines.pages() == ["app", "base", "good", "odd", "other", "tool"]
        assert lines.filenames("other") == {"other-2.0-py3-none-any.whl"}

        assert (await running.sync()).state is RunState.SUCCEEDED
    lines.assert_whole()


@pytest.mark.proves("reliability/disk")
@pytest.mark.parametrize("down", [False, True])
async def test_unreadable_page_of_a_dependency_keeps_what_that_requires(
    lines: Site, pypi: fakepypi.FakePyPI, *, down: bool
) -> None:
    """
    A dependency whose page the disk cannot read fails alone, once; what it requires stays, since upstream's stands in.

    If upstream does not deliver it either, nothing is concluded, and nothing leaves.
    """
    async with lines.running() as running:
        await running.sync()
        page = lines.web / "simple" / "odd" / "index.v1_json"
        page.unlink()
        page.mkdir()
        upload_more(pypi)
        if down:
            pypi.faults.on_page("odd").status(503)
        run = await running.sync()

        assert run.state is (RunState.FAILED if down else RunState.INCOMPLETE)
        assert [failure.project for failure in run.failures] == ["odd"]
        assert run.counts.projects_failed == 1
        assert set(lines.pages()) >= {"app", "base", "good", "other", "tool"}
        assert lines.filenames("base") == {"base-1.0-py3-none-any.whl"}
        assert ("other-2.0-py3-none-any.whl" in lines.filenames("other")) is not down

        page.rmdir()
        pypi.faults.clear()
        await running.sync()
        assert (await running.sync()).state is RunState.SUCCEEDED
    assert lines.pages() == ["app", "base", "good", "odd", "other", "tool"]
    lines.assert_whole()


@pytest.mark.proves("reliability/disk")
@pytest.mark.parametrize("down", [False, True])
async def test_damaged_kept_page_costs_one_request(lines: Site, pypi: fakepypi.FakePyPI, *, down: bool) -> None:
    """A page that the catalog keeps damaged fails its project at most; a later run gets it from upstream."""
    upload(pypi, "odd 0.5")  # left out, so upstream's page is kept
    async with lines.running() as running:
        await running.sync()
        lines.sql("UPDATE kept_page SET body = x'00ff00' WHERE name = 'odd'")
        upload_more(pypi)
        if down:
            pypi.faults.on_page("odd").status(500)
        run = await running.sync()

        assert run.state is not RunState.FAILED
        assert {failure.project for failure in run.failures} == {"odd"}
        assert run.counts.projects_failed == 1
        assert lines.pages() == ["app", "base", "good", "odd", "other", "tool"]
        assert lines.filenames("app") == {"app-2.0-py3-none-any.whl"}

        pypi.faults.clear()
        assert (await running.sync("odd")).state is RunState.SUCCEEDED
    lines.assert_whole()


@pytest.mark.proves("reliability/upstream")
async def test_defect_about_a_new_dependency_costs_that_alone(
    lines: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that nobody foresaw while a new project is read fails what requires it; other lines are published."""
    fitted = Candidates.fitted

    def fail(admission: Admission) -> Candidates:
        if admission.name == "odd":
            raise KeyError("no such thing")
        return fitted(admission)

    monkeypatch.setattr(Candidates, "fitted", fail)
    run = await lines.sync()

    assert run.state is RunState.INCOMPLETE
    assert any("odd" in failure.reason and "KeyError" in failure.reason for failure in run.failures)
    assert lines.pages() == ["app", "good", "other", "tool"]


@pytest.mark.proves("reliability/disk")
async def test_full_disk_between_two_waves_leaves_whole_pages(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A disk that is full before the last wave fails the run; what is published installs, and the rest comes later."""
    lib = pypi.index.project("lib")
    lib.upload("1.0", sdist=False)
    upload(pypi, "app 1.0: lib")
    choose(site, "app")
    with small_disk(site.data, size=4 * 2**20):
        async with site.running(reserve=0.25) as running:
            await running.sync()
            lib.upload("2.0", sdist=False, requires_dist=("base",))
            pypi.index.project("base").upload("1.0", sdist=False, padding=1_000_000)
            upload(pypi, "app 2.0: lib>=2")
            gate = pypi.faults.on_file(project="base").times(1).gate()
            asked = running.ask(RunKind.SYNC)
            await gate.arrival()
            with fill(site.data, leaving=2**20 - 1):
                gate.open()
                full = await running.ended(asked)
                site.assert_right()
                kept = {name: site.filenames(name) for name in site.pages()}
            roomy = await running.sync()

        assert full.state is RunState.FAILED
        assert "grow the disk" in (full.message or "")
        assert "lib-1.0-py3-none-any.whl" in kept["lib"]
        assert kept["app"] == {"app-1.0-py3-none-any.whl"}
        assert roomy.state is RunState.SUCCEEDED
        assert site.filenames("app") == {"app-2.0-py3-none-any.whl"}
        site.assert_whole()


@pytest.mark.proves("reliability/disk")
async def test_state_disk_full_for_the_closure_fails_the_run(lines: Site, pypi: fakepypi.FakePyPI) -> None:
    """A closure for which the state disk has no space fails the run; nothing leaves, and the next run completes it."""
    with small_disk(lines.state, size=4 * 2**20):
        async with lines.running() as running:
            await running.sync()
            before = {name: lines.filenames(name) for name in lines.pages()}
            upload(pypi, "app 2.0: odd>=1, news", "news 1.0")
            gate = pypi.faults.on_page("news").times(1).gate()
            asked = running.ask(RunKind.SYNC)
            await gate.arrival()
            with fill(lines.state):
                gate.open()
                full = await running.ended(asked)
                assert {name: lines.filenames(name) for name in lines.pages()} == before
            roomy = await running.sync()

        assert full.state is RunState.FAILED
        assert "the disk of MIRROR_STATE" in (full.message or "")
        assert roomy.state is RunState.SUCCEEDED
        assert lines.filenames("app") == {"app-2.0-py3-none-any.whl"}
        lines.assert_whole()


@pytest.mark.proves("reliability/disk")
async def test_read_only_staging_fails_the_run(lines: Site, pypi: fakepypi.FakePyPI) -> None:
    """If nothing can be staged, the run fails and every page stays as it was; the next run publishes what is new."""
    async with lines.running() as running:
        await running.sync()
        before = {name: lines.filenames(name) for name in lines.pages()}
        upload_more(pypi)
        with read_only(lines.data / "pypi" / ".staging"):
            run = await running.sync()
        assert {name: lines.filenames(name) for name in lines.pages()} == before

        again = await running.sync()
    assert run.state is not RunState.SUCCEEDED
    assert ".staging" in str(run.message) + str(run.failures)
    assert again.state is RunState.SUCCEEDED
    assert lines.filenames("app") == {"app-2.0-py3-none-any.whl"}
    lines.assert_whole()
