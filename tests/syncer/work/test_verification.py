"""Verify finds whatever is wrong on disk, repair mends all of it, and neither holds up a sync."""

from collections.abc import Callable
from pathlib import Path

import pytest

import fakepypi
from mirror_contract import RunKind, RunState
from syncer.site import Site

WHEEL = "six-1.0-py3-none-any.whl"
METADATA = b"Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n"


@pytest.fixture
async def six(site: Site, pypi: fakepypi.FakePyPI) -> Site:
    """A mirrored project, with a page that is large enough for a twin."""
    for number in range(8):
        pypi.index.project("six").upload(f"1.{number}")
    site.select("six")
    await site.sync()
    return site


def file(site: Site) -> Path:
    """Return where the wheel lies."""
    return site.web / site.published("six").places[WHEEL]


def beside(site: Site) -> Path:
    """Return where the wheel's metadata lies."""
    return file(site).with_name(f"{WHEEL}.metadata")


def page(form: str) -> Callable[[Site], Path]:
    """Return what finds the page in a form."""
    return lambda site: site.web / "simple" / "six" / form


def gone(path: Path) -> None:
    """Lose a file."""
    path.unlink()


def gone_with_its_directory(path: Path) -> None:
    """Lose a file and all beside it."""
    for one in path.parent.iterdir():
        one.unlink()
    path.parent.rmdir()


def rotten(path: Path) -> None:
    """Turn a bit of a file's last byte, as a disk might."""
    body = path.read_bytes()
    path.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))


def of_another_page(path: Path) -> None:
    """Leave a page that is whole, and names one file less."""
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if WHEEL not in line))


DAMAGES = [
    pytest.param(file, gone, WHEEL, id="a file is gone"),
    pytest.param(file, rotten, WHEEL, id="a file is rotten"),
    pytest.param(beside, gone, f"{WHEEL}.metadata", id="metadata is gone"),
    pytest.param(beside, rotten, f"{WHEEL}.metadata", id="metadata is rotten"),
    pytest.param(page("index.v1_json"), gone_with_its_directory, "index.v1_json", id="a page's directory is gone"),
    pytest.param(page("index.v1_json"), lambda path: path.write_bytes(b"{"), "index.v1_json", id="JSON is rotten"),
    pytest.param(page("index.html"), gone, "index.html", id="HTML is gone"),
    pytest.param(page("index.html"), of_another_page, "index.html", id="HTML names less"),
    pytest.param(page("index.html.gz"), rotten, "index.html.gz", id="the HTML's twin is rotten"),
    pytest.param(page("index.v1_json.gz"), rotten, "index.v1_json.gz", id="the JSON's twin is rotten"),
]


@pytest.mark.proves("reliability/disk")
@pytest.mark.parametrize(("place", "damage", "named"), DAMAGES)
async def test_damage_is_found_and_mended(
    six: Site, place: Callable[[Site], Path], damage: Callable[[Path], None], named: str
) -> None:
    """Verify names what is damaged and changes nothing; repair makes it what it was; the next verify is content."""
    path = place(six)
    before = path.read_bytes()
    damage(path)
    damaged = path.read_bytes() if path.exists() else None
    async with six.running() as running:
        found = await running.verify()
        untouched = (path.read_bytes() if path.exists() else None) == damaged
        mended = await running.verify(repair=True)
        again = await running.verify()

    assert (found.state, untouched) == (RunState.INCOMPLETE, True)
    assert named in {failure.file for failure in found.failures}
    assert [mended.state, again.state] == [RunState.SUCCEEDED, RunState.SUCCEEDED]
    assert path.read_bytes() == before
    six.assert_whole()


async def test_repair_believes_no_304(six: Site, pypi: fakepypi.FakePyPI) -> None:
    """An upstream that answers 304 to a request without a condition mends nothing, and repair does not say it did."""
    rotten(file(six))
    pypi.faults.on_page("six").status(304)
    async with six.running() as running:
        mended = await running.verify(repair=True)
        again = await running.verify()

    assert mended.state is RunState.INCOMPLETE
    assert "304" in mended.failures[0].reason
    assert [failure.file for failure in again.failures] == [WHEEL]


async def test_force_brings_metadata_back(six: Site) -> None:
    """`sync --force` looks for metadata, too: what is missing beside a file comes back."""
    beside(six).unlink()

    run = await six.sync(force=True)

    assert run.state is RunState.SUCCEEDED
    six.assert_whole()


async def test_metadata_that_failed_is_tried_again(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A file published without its metadata, which failed then, has it after the next attempt."""
    name = "odd-1.0-py3-none-any.whl"
    pypi.index.project("odd").upload_file(name, b"no archive at all", version="1.0", metadata=METADATA)
    site.select("odd")
    pypi.faults.on_metadata(name).status(404).times(1)
    first = await site.sync()
    assert site.published("odd").files[name].core_metadata is False
    place = site.published("odd").places[name]

    second = await site.sync("odd")

    assert [first.state, second.state] == [RunState.SUCCEEDED, RunState.SUCCEEDED]
    assert (site.web / f"{place}.metadata").read_bytes() == METADATA
    assert (site.published("odd").places[name], second.counts.files_fetched) == (place, 0)
    site.assert_whole()


async def test_metadata_is_tried_by_a_whole_sync_when_due(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A whole sync leaves failed metadata alone until its time has come, and fetches it then."""
    name = "odd-1.0-py3-none-any.whl"
    pypi.index.project("odd").upload_file(name, b"no archive at all", version="1.0", metadata=METADATA)
    site.select("odd")
    pypi.faults.on_metadata(name).status(404).times(1)
    await site.sync()
    pypi.log.forget()
    async with site.running() as running:
        await running.sync()
        early = pypi.log.to(".metadata")
        site.sql("UPDATE project SET due_at = 1")
        await running.sync()

    assert early == []
    assert len(pypi.log.to(".metadata")) == 1
    site.assert_whole()


async def test_verify_does_not_block_a_sync(six: Site, pypi: fakepypi.FakePyPI) -> None:
    """A whole sync begins, and publishes, while a whole verify is still under way."""
    file(six).unlink()
    six.select("six", "idna")
    pypi.index.project("idna").upload("1.0")
    gate = pypi.faults.on_file(WHEEL).gate()
    async with six.running() as running:
        verify = running.ask(RunKind.VERIFY, repair=True)
        await gate.arrival()
        sync = running.ask(RunKind.SYNC)
        await six.pages_become(["idna", "six"])
        under_way = running.mirror.runs.active(verify.id)
        gate.open()
        ended = [await running.ended(run) for run in (verify, sync)]

    assert under_way is not None
    assert [run.state for run in ended] == [RunState.SUCCEEDED, RunState.SUCCEEDED]
    six.assert_whole()


async def test_forced_sync_mends_a_file_of_wrong_size_in_its_place(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A published file that grew or shrank is fetched again into its place: lock files keep their URL."""
    pypi.index.project("six").upload("1.0", sdist=False)
    site.select("six")
    await site.sync()
    places = site.published("six").places
    with (site.web / next(iter(places.values()))).open("ab") as file:
        file.write(b"rot")

    run = await site.sync(force=True)

    assert (run.state, run.counts.files_fetched) == (RunState.SUCCEEDED, 1)
    assert site.published("six").places == places
    site.assert_whole()
