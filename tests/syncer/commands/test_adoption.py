"""Another program's tree becomes the mirror: nothing is fetched, no client notices, and nothing good is lost."""

import asyncio
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import NormalizedName

import fakepypi
from fakepypi.legacy import legacy_document
from mirror_contract import RunKind, RunState
from mirror_syncer.catalog import Catalog
from mirror_syncer.commands.adoption import Report, adopt
from mirror_syncer.commands.adoption.source import OldTree
from mirror_syncer.config.settings import Settings
from mirror_syncer.errors import InvalidPageError, MirrorError, VolumeError, VolumeInUseError
from mirror_syncer.model.page import Page
from mirror_syncer.upstream import parse_legacy_page
from syncer.old_mirror import OldMirror, installing
from syncer.site import Site, same_directory

WHEEL = "six-1.0-py3-none-any.whl"
SDIST = "six-1.0.tar.gz"


@pytest.fixture
def old(site: Site) -> OldMirror:
    """bandersnatch's tree, where the mirror's own is to be."""
    return OldMirror(site.web)


@pytest.fixture
def six(site: Site, pypi: fakepypi.FakePyPI, old: OldMirror) -> fakepypi.Project:
    """A project that the old tree has whole."""
    project = pypi.index.project("six")
    project.upload("1.0", requires_python=">=3.8")
    site.select("six")
    old.write(project)
    return project


def settings(site: Site) -> Settings:
    """Return what the syncer is told."""
    return Settings.model_validate(
        {"data": site.data, "state": site.state, "policy": site.policy, "upstream": site.upstream, "disk_reserve": 0.0}
    )


async def adopted(site: Site, *, source: Path | None = None, hashing: bool = False, dry_run: bool = False) -> Report:
    """Adopt, and return the report."""
    return await adopt(settings(site), source=source, hashing=hashing, dry_run=dry_run)


async def command(site: Site, *arguments: str) -> tuple[int, str, str]:
    """Run the command to its end."""
    process = await start(site, *arguments, quiet=False)
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def start(site: Site, *arguments: str, quiet: bool = True) -> Process:
    """Start the command in a process of its own."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mirror_syncer",
        *arguments,
        env={"PATH": os.environ["PATH"], **site.environment()},
        stdout=DEVNULL if quiet else PIPE,
        stderr=DEVNULL if quiet else PIPE,
    )


def fetched(pypi: fakepypi.FakePyPI) -> list[str]:
    """Return the files that upstream was asked for."""
    return [path for path in pypi.log.paths() if "packages" in path]


def snapshot(directory: Path) -> dict[str, Any]:
    """Return all that lies in a directory, and how it lies there."""
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for path in sorted(directory.rglob("*"))
        if path.name != ".lock"
    }


# The story


async def test_tree_is_adopted_in_place(site: Site, pypi: fakepypi.FakePyPI, old: OldMirror) -> None:
    """All that the old tree has right is adopted while clients install; the first sync fetches nothing of it."""
    for name in ("six", "foo-bar"):
        for number in range(6):
            pypi.index.project(name).upload(f"1.{number}")
        old.write(pypi.index.project(name))
    site.select("six", "foo-bar", grace="0m")
    lock_file = old.urls()

    with installing(site.web, "six", "foo-bar", remembered=lock_file):
        report = await adopted(site)

    assert (report.projects_adopted, report.files_adopted, report.files_left_out) == (2, 24, 0)
    assert site.filenames("six") == {file.filename for file in pypi.index.project("six").files}
    assert all(place.count("/") == 2 for place in site.published("six").places.values())
    assert site.published("six").page.serial is None  # or whoever reads it back thinks that all is there
    site.assert_whole()
    with installing(site.web, "six", "foo-bar", remembered=[]):
        run = await site.sync()
    assert (run.state, run.counts.files_fetched) == (RunState.SUCCEEDED, 0)
    assert fetched(pypi) == []
    site.assert_whole()


async def test_old_names_leave_after_their_grace(site: Site, pypi: fakepypi.FakePyPI, old: OldMirror) -> None:
    """A long URL works throughout its grace; then its file and its directory go, and what nginx maps it to is there."""
    pypi.index.project("six").upload("1.0")
    old.write(pypi.index.project("six"))
    site.select("six", grace="1h")
    lock_file = old.urls()
    await adopted(site)

    await site.sync()
    assert old.urls() == lock_file

    site.sql("UPDATE retired SET due_at = 1 WHERE due_at IS NOT NULL")
    async with site.running() as running:
        await running.collect()
    assert old.urls() == []
    assert list(site.web.glob("packages/??/??/*")) == []
    for url in lock_file:  # nginx/server/packages.conf: /$digits/$file
        _, digits, _, _, filename = url.split("/")
        assert (site.web / "packages" / digits / filename).is_file()
    site.assert_whole()


@pytest.mark.proves("reliability/removal")
async def test_old_names_of_a_quarantined_project_leave_at_once(
    site: Site, pypi: fakepypi.FakePyPI, old: OldMirror
) -> None:
    """A long URL's grace ends with a quarantine: neither name of an adopted file outlives the run."""
    project = pypi.index.project("six")
    project.upload("1.0")
    old.write(project)
    site.select("six", grace="24h")
    await adopted(site)

    project.quarantine()
    await site.sync()
    assert not [path for path in site.web.rglob("packages/**/six-*") if path.is_file() and path.parent.name != ".gone"]

    project.clear_quarantine()
    await site.sync()
    assert site.filenames("six") == {WHEEL, SDIST}
    site.assert_whole()


async def test_files_are_linked_not_copied(site: Site, old: OldMirror, six: fakepypi.Project) -> None:
    """An adopted file is the old one by another name, and so is its metadata."""
    await adopted(site)

    place = site.web / site.published("six").places[WHEEL]
    (wheel,) = site.web.glob(f"packages/??/??/*/{WHEEL}")
    assert place.samefile(wheel)
    assert place.with_name(f"{WHEEL}.metadata").samefile(wheel.with_name(f"{WHEEL}.metadata"))


async def test_tree_elsewhere_is_left_as_it_is(
    site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.Project, tmp_path: Path
) -> None:
    """A tree adopted from another directory loses nothing, and can be removed whole afterwards."""
    web = tmp_path / "old" / "web"
    web.parent.mkdir()
    shutil.move(site.web, web)
    before = snapshot(web)

    report = await adopted(site, source=tmp_path / "old")

    assert report.files_adopted == 2
    assert snapshot(web) == before
    shutil.rmtree(web)
    run = await site.sync()
    assert (run.state, fetched(pypi)) == (RunState.SUCCEEDED, [])
    site.assert_whole()


async def test_html_alone_is_enough(site: Site, pypi: fakepypi.FakePyPI, old: OldMirror, six: fakepypi.Project) -> None:
    """A page in HTML, which has no sizes, is adopted too; ours has the sizes that the files have."""
    (site.web / "simple/six/index.v1_json").unlink()

    report = await adopted(site)

    assert report.files_adopted == 2
    assert {file.size for file in site.published("six").files.values()} == {len(f.content) for f in six.files}
    assert site.published("six").files[SDIST].requires_python == ">=3.8"
    await site.sync()
    assert fetched(pypi) == []


async def test_old_forms_of_pages_never_grow_old(site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.Project) -> None:
    """The old web server's name for the HTML page leads to ours, of the project and of the list."""
    (site.web / "simple/index.v1_html").write_text("old")
    await adopted(site)

    pypi.index.project("six").upload("2.0")
    await site.sync()

    assert "six-2.0.tar.gz" in (site.web / "simple/six/index.v1_html").read_text()
    assert ">six</a>" in (site.web / "simple/index.v1_html").read_text()


@pytest.mark.parametrize("directory", ["f/foo-bar", "Foo.Bar"])
async def test_other_page_directories(site: Site, pypi: fakepypi.FakePyPI, old: OldMirror, directory: str) -> None:
    """Pages a directory deeper (hash-index), or under the name as it was spelt, are found, and lead to ours then."""
    pypi.index.project("foo-bar").upload("1.0")
    old.write(pypi.index.project("foo-bar"), directory=directory)
    site.select("foo-bar")

    report = await adopted(site)
    again = await adopted(site)

    assert (report.projects_adopted, report.files_adopted, again.files_adopted) == (1, 2, 0)
    for form in ("index.html", "index.v1_json", "index.v1_html"):
        ours = site.web / "simple/foo-bar" / ("index.html" if "html" in form else form)
        assert (site.web / "simple" / directory / form).samefile(ours)
    await site.sync()
    assert fetched(pypi) == []


async def test_withdrawal_spares_deeper_pages(site: Site, pypi: fakepypi.FakePyPI, old: OldMirror) -> None:
    """By ``hash-index``, f's directory holds the pages of foo: they stay when f leaves the mirror."""
    for name in ("f", "foo", "six"):
        pypi.index.project(name).upload("1.0")
        old.write(pypi.index.project(name), directory=f"{name[0]}/{name}")
    site.select("f", "six")
    await adopted(site)
    foo = snapshot(site.web / "simple/f/foo")

    site.select("six")
    assert (await site.sync()).counts.projects_withdrawn == 1

    assert site.pages() == ["six"]
    assert snapshot(site.web / "simple/f/foo") == foo


async def test_shadowmire_tree(site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.Project) -> None:
    """shadowmire's ``index.html`` is a symlink to its neighbour; both are ours in the end."""
    page = site.web / "simple/six"
    (page / "index.v1_json").unlink()
    (page / "index.html").unlink()
    (page / "index.html").symlink_to("index.v1_html")

    report = await adopted(site)

    assert report.files_adopted == 2
    assert not (page / "index.html").is_symlink()
    assert (page / "index.v1_html").samefile(page / "index.html")
    site.assert_whole()


async def test_own_tree_from_elsewhere(
    site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.Project, tmp_path: Path
) -> None:
    """A tree of this very program whose catalog was lost is adopted from another directory."""
    await adopted(site)
    shutil.rmtree(site.state)
    site.state.mkdir()
    site.data.rename(tmp_path / "old")
    site.data.mkdir()
    for long in (tmp_path / "old").glob("pypi/web/packages/??/??"):
        shutil.rmtree(long)

    report = await adopted(site, source=tmp_path / "old")

    assert report.files_adopted == 2
    site.assert_whole()
    await site.sync()
    assert fetched(pypi) == []


# Again, and in the middle


@pytest.mark.parametrize("seed", range(3))
async def test_killed_adoption_goes_on(site: Site, pypi: fakepypi.FakePyPI, old: OldMirror, seed: int) -> None:
    """An adoption killed at any moment leaves every page and URL working; the next one ends with all there is."""
    names = [f"project{number}" for number in range(40)]
    for name in names:
        pypi.index.project(name).upload("1.0")
        old.write(pypi.index.project(name))
    site.select(*names, grace="0m")
    lock_file = old.urls()
    with installing(site.web, *names[:8], remembered=lock_file[:20]):
        process = await start(site, "adopt")
        async with asyncio.timeout(30):
            while not list(site.web.glob("packages/??/*.whl")):  # noqa: ASYNC110 - the tree tells nobody
                await asyncio.sleep(0.001)
        await asyncio.sleep(random.Random(seed).random() / 4)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        report = await adopted(site)

    assert report.projects_adopted + report.projects_kept == len(names)
    assert old.urls() == lock_file
    run = await site.sync()
    assert (run.state, fetched(pypi)) == (RunState.SUCCEEDED, [])
    assert old.urls() == []
    assert site.pages() == sorted(names)
    site.assert_whole()


async def test_visible_page_without_its_row(
    site: Site, pypi: fakepypi.FakePyPI, old: OldMirror, six: fakepypi.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken off between a page and its row, the old page is gone; the old names leave all the same."""
    site.select("six", grace="0m")

    def refuse(*_: object, **__: object) -> None:
        raise OSError("the database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "commit", refuse)
        with pytest.raises(OSError, match="locked"):
            await adopted(site)
    assert all(place.count("/") == 2 for place in site.published("six").places.values())

    await adopted(site)
    run = await site.sync()

    assert (run.state, fetched(pypi), old.urls()) == (RunState.SUCCEEDED, [], [])
    site.assert_whole()


async def test_half_adopted_tree_is_not_synced(site: Site, six: fakepypi.Project) -> None:
    """Between an adoption that broke off and its end nothing else writes; the refusal says what to do."""
    await adopted(site)
    site.sql("UPDATE about SET value = '/old' WHERE key = 'adopting'")

    with pytest.raises(VolumeError, match="run the same `mirror-syncer adopt` again"):
        await site.sync()
    await adopted(site)
    assert (await site.sync()).state is RunState.SUCCEEDED


async def test_one_adoption_at_a_time(site: Site, six: fakepypi.Project, tmp_path: Path) -> None:
    """Another tree waits until the one that was begun is adopted; one that is no more is waited for by nobody."""
    other = tmp_path / "other"
    shutil.copytree(site.web, other / "web")
    await adopted(site)
    site.sql(f"UPDATE about SET value = '{other / 'web'}' WHERE key = 'adopting'")

    with pytest.raises(MirrorError, match="finish it first"):
        await adopted(site)
    shutil.rmtree(other)
    await adopted(site)
    assert (await site.sync()).state is RunState.SUCCEEDED


async def test_stopped_adoption_goes_on(site: Site, old: OldMirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM lets the current projects finish and begins no other; the error names what goes on."""
    names = [f"project{number}" for number in range(100)]
    for name in names:
        old.write_page(name, [])
    site.select(*names)
    read, dispatcher = OldTree.read, itertools.count()

    def read_and_signal(*arguments: Any) -> Page:
        if next(dispatcher) == 20:
            os.kill(os.getpid(), signal.SIGTERM)
        return read(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(OldTree, "read", read_and_signal)
        with pytest.raises(MirrorError, match="run the same command again to resume"):
            await adopted(site)
    report = await adopted(site)

    assert 20 <= report.projects_kept < 100
    assert report.projects_kept + report.projects_adopted == 100
    site.assert_whole()


async def test_nothing_is_left_to_do_the_second_time(site: Site, six: fakepypi.Project) -> None:
    """A second adoption keeps what the first one made, byte by byte."""
    await adopted(site)
    pages = snapshot(site.web)

    report = await adopted(site)

    assert (report.projects_kept, report.files_adopted) == (1, 0)
    assert snapshot(site.web) == pages


async def test_published_project_wins(site: Site, pypi: fakepypi.FakePyPI, tmp_path: Path) -> None:
    """What this mirror publishes already is not touched by an adoption into it; the rest is added."""
    for name in ("six", "idna"):
        pypi.index.project(name).upload("1.0")
    site.select("six")
    await site.sync()
    pypi.index.project("six").delete_file(SDIST)
    await site.sync()
    elsewhere = OldMirror(tmp_path / "web")
    pypi.index.project("six").upload("0.9")
    for name in ("six", "idna"):
        elsewhere.write(pypi.index.project(name))
    site.select("six", "idna")

    report = await adopted(site, source=elsewhere.web)

    assert (report.projects_kept, report.projects_adopted) == (1, 1)
    assert site.filenames("six") == {WHEEL}
    assert site.filenames("idna") == {"idna-1.0.tar.gz", "idna-1.0-py3-none-any.whl"}


async def test_verify_with_repair_follows(site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.Project) -> None:
    """A file that is wrong in content alone is adopted, found by the verify that was asked for, and fetched anew."""
    (wheel,) = site.web.glob(f"packages/??/??/*/{WHEEL}")
    wheel.write_bytes(same_directory(wheel.read_bytes()))

    report = await adopted(site)
    assert report.files_adopted == 2
    async with site.running() as running:
        running.mirror.runs.restore()
        (verify,) = running.mirror.catalog.runs.page(kind=RunKind.VERIFY, whole=True, limit=5)
        await running.ended(verify)

    assert [path.rpartition("/")[2] for path in fetched(pypi)] == [WHEEL]
    site.assert_whole()


# What is wrong


async def test_hashing_first_leaves_the_wrong_out(site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.Project) -> None:
    """With ``--hash`` a wrong file is never named by a page of ours; the next sync fetches it."""
    (wheel,) = site.web.glob(f"packages/??/??/*/{WHEEL}")
    wheel.write_bytes(same_directory(wheel.read_bytes()))

    report = await adopted(site, hashing=True)

    assert (report.files_adopted, report.files_left_out, report.incomplete) == (1, 1, True)
    assert site.filenames("six") == {SDIST}
    await site.sync()
    assert [path.rpartition("/")[2] for path in fetched(pypi)] == [WHEEL]
    site.assert_whole()


async def test_missing_and_truncated_files_are_left_out(
    site: Site, pypi: fakepypi.FakePyPI, old: OldMirror, six: fakepypi.Project
) -> None:
    """Files not there, or not of their size, are left out; once synced, no long URL hides the right content."""
    six.upload("2.0", wheel=False)
    old.write(six)
    site.select("six", grace="0m")
    (wheel,) = site.web.glob(f"packages/??/??/*/{WHEEL}")
    wheel.write_bytes(b"half")
    (sdist,) = site.web.glob(f"packages/??/??/*/{SDIST}")
    sdist.unlink()

    report = await adopted(site)

    assert (report.files_adopted, report.files_left_out) == (1, 2)
    assert site.filenames("six") == {"six-2.0.tar.gz"}
    await site.sync()
    assert {path.rpartition("/")[2] for path in fetched(pypi)} == {WHEEL, SDIST}
    assert wheel.read_bytes() == six.releases["1.0"].files[WHEEL].content
    site.assert_whole()


async def test_metadata_is_only_believed_when_it_is_right(
    site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.Project
) -> None:
    """Metadata that is not what the page promises is not linked: the wheel's own is written instead."""
    (beside,) = site.web.glob(f"packages/??/??/*/{WHEEL}.metadata")
    right = beside.read_bytes()
    beside.write_bytes(b"wrong")

    await adopted(site)

    place = site.web / site.published("six").places[WHEEL]
    assert place.with_name(f"{WHEEL}.metadata").read_bytes() == right
    site.assert_whole()


async def test_tree_without_metadata(site: Site, pypi: fakepypi.FakePyPI, old: OldMirror) -> None:
    """A tree from before metadata files is adopted without; the first sync reads them from the wheels."""
    pypi.index.project("six").upload("1.0")
    old.write(pypi.index.project("six"), metadata=False)
    site.select("six")

    await adopted(site)
    assert site.published("six").files[WHEEL].core_metadata is False
    await site.sync()

    assert site.published("six").files[WHEEL].core_metadata
    assert fetched(pypi) == []
    site.assert_whole()


@pytest.mark.parametrize(
    "url",
    [
        "../../../../../secret/six-1.0.zip",
        "../../packages/../../../../secret/six-1.0.zip",
        "../../packages/%2e%2e/%2e%2e/%2e%2e/%2e%2e/secret/six-1.0.zip",
        "../../packages/link/six-1.0.zip",
        "../../link/six-1.0.zip",
        "../../packages/aa/six-1.0.zip",
        "https://pypi.org/six-1.0.zip",
        "../../packages/%00/six-1.0.zip",
        "/packages//six-1.0.zip",
        "file:///etc/passwd",
    ],
)
async def test_hostile_links(site: Site, old: OldMirror, tmp_path: Path, url: str) -> None:
    """A link that climbs out, or leads over a symlink, adopts nothing, wherever it leads."""
    secret = tmp_path / "secret" / "six-1.0.zip"
    secret.parent.mkdir()
    secret.write_bytes(b"secret")
    (site.web / "packages" / "aa").mkdir(parents=True)
    for link in (site.web / "packages" / "link", site.web / "link"):
        link.symlink_to(secret.parent)
    (site.web / "packages/aa/six-1.0.zip").symlink_to(secret)
    site.select("six")
    entry = {"filename": "six-1.0.zip", "hashes": {"sha256": hashlib.sha256(b"secret").hexdigest()}, "url": url}
    old.write_page("six", [entry])

    report = await adopted(site)

    assert (report.projects_failed, report.files_adopted) == (1, 0)
    assert secret.stat().st_nlink == 1


async def test_symlinked_pages_and_projects(
    site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.Project, tmp_path: Path
) -> None:
    """Neither a page nor a page's directory is read, or written, through a symlink that leads out."""
    outside = tmp_path / "outside"
    shutil.move(site.web / "simple/six", outside)
    (site.web / "simple/six").symlink_to(outside)
    before = snapshot(outside)

    report = await adopted(site)

    assert report.projects_adopted == 0
    assert snapshot(outside) == before


@pytest.mark.parametrize("body", [b"", b"{", b"<html>login</html>", b'{"meta":{},"name":"other","files":[]}'])
async def test_damaged_pages(site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.Project, body: bytes) -> None:
    """A page that is none costs its project alone, and the first sync mends it."""
    pypi.index.project("idna").upload("1.0")
    OldMirror(site.web).write(pypi.index.project("idna"))
    site.select("six", "idna")
    for path in (site.web / "simple/six").iterdir():
        path.write_bytes(body)

    report = await adopted(site)

    assert (report.projects_failed, report.projects_adopted) == (1, 1)
    assert (await site.sync()).state is RunState.SUCCEEDED
    site.assert_whole()


async def test_page_without_hash(site: Site, old: OldMirror, six: fakepypi.Project) -> None:
    """A page that gives md5 alone proves nothing of its files: they are not adopted, and stay."""
    page = site.web / "simple/six"
    for form in page.iterdir():
        form.write_text(form.read_text().replace("sha256", "md5"))
    lock_file = old.urls()

    report = await adopted(site)

    assert (report.projects_failed, report.files_left_out) == (1, 2)
    assert old.urls() == lock_file


@pytest.mark.parametrize("place", ["json/six", "pypi/six/json"])
async def test_legacy_json_tells_more(
    site: Site, old: OldMirror, pypi: fakepypi.FakePyPI, six: fakepypi.Project, place: str
) -> None:
    """bandersnatch's copy of the legacy JSON tells sizes that HTML does not, and hashes that md5 pages do not."""
    six.upload("2.0")
    old.write(six, json_too=False)
    document = site.web / place
    document.parent.mkdir(parents=True)
    document.write_text(json.dumps(legacy_document(six, None, file_origin="https://files.pythonhosted.org")))
    (site.web / "simple/six/index.v1_json").unlink()
    (wheel,) = site.web.glob(f"packages/??/??/*/{WHEEL}")
    wheel.write_bytes(b"half")

    report = await adopted(site, dry_run=True)
    assert (report.files_adopted, report.files_left_out) == (3, 1)

    for form in ("index.html", "index.v1_html"):
        page = site.web / "simple/six" / form
        page.write_text(page.read_text().replace("sha256", "md5"))
    report = await adopted(site)
    assert (report.files_adopted, report.files_left_out) == (3, 1)
    assert all(file.upload_time for file in site.published("six").files.values())
    await site.sync()
    assert [path.rpartition("/")[2] for path in fetched(pypi)] == [WHEEL]
    site.assert_whole()


async def test_taken_place(site: Site, pypi: fakepypi.FakePyPI, old: OldMirror, six: fakepypi.Project) -> None:
    """Where the short path holds other content, a file keeps its long path, and both contents stay."""
    file = next(file for file in six.files if file.filename == SDIST)
    short = site.web / "packages" / file.blake2b_256[:2] / SDIST
    short.parent.mkdir(exist_ok=True)
    short.write_bytes(b"other")

    report = await adopted(site)

    assert report.files_adopted == 2
    assert site.published("six").places[SDIST] == file.path
    assert short.read_bytes() == b"other"
    await site.sync()
    assert fetched(pypi) == []


# What is not to be adopted


async def test_policy_decides(site: Site, pypi: fakepypi.FakePyPI, old: OldMirror, six: fakepypi.Project) -> None:
    """Projects that are not selected are left alone, and so are releases; both are reported."""
    pypi.index.project("evil").upload("1.0")
    old.write(pypi.index.project("evil"))
    six.upload("2.0")
    old.write(six)
    site.select("six>=2")
    evil, lock_file = snapshot(site.web / "simple/evil"), old.urls()

    report = await adopted(site)

    assert (report.projects_adopted, report.projects_unselected, report.files_withheld) == (1, 1, 2)
    assert not report.incomplete
    assert site.filenames("six") == {"six-2.0.tar.gz", "six-2.0-py3-none-any.whl"}
    assert snapshot(site.web / "simple/evil") == evil
    assert old.urls() == lock_file


async def test_dry_run_touches_nothing(site: Site, six: fakepypi.Project) -> None:
    """``--dry-run`` tells what would be done, and writes nothing to the tree."""
    before = snapshot(site.data)

    report = await adopted(site, dry_run=True)

    assert (report.dry_run, report.projects_adopted, report.files_adopted) == (True, 1, 2)
    assert snapshot(site.data) == before


async def test_unadopted_tree_is_refused(site: Site, six: fakepypi.Project) -> None:
    """A sync over another program's pages writes nothing, and names the command that makes them ours."""
    before = snapshot(site.data)

    code, _, err = await command(site, "sync")

    assert code == 1
    assert "`mirror-syncer adopt`" in err
    assert snapshot(site.data) == before


async def test_command_tells_what_it_did(site: Site, six: fakepypi.Project) -> None:
    """The command ends with 3 where something was left out, 0 where nothing was; the report is one document."""
    (wheel,) = site.web.glob(f"packages/??/??/*/{WHEEL}")
    wheel.unlink()

    code, out, err = await command(site, "adopt")
    again, _, _ = await command(site, "adopt")

    assert (code, json.loads(out)["files_adopted"], again) == (3, 1, 0)
    assert any(json.loads(line).get("file") == WHEEL for line in err.splitlines())


async def test_no_tree_is_an_error(site: Site, tmp_path: Path) -> None:
    """Where there is no tree the error says what one is, and nothing is made."""
    site.select("six")
    with pytest.raises(VolumeError, match="--from"):
        await adopted(site, source=tmp_path / "nowhere")
    assert list(site.data.iterdir()) == []


async def test_held_trees_are_refused(site: Site, six: fakepypi.Project, tmp_path: Path) -> None:
    """While a service holds either tree, nothing is adopted, and the service's next start is not in the way."""
    await adopted(site)
    (tmp_path / "other").mkdir()
    other = Site(tmp_path / "other", upstream=site.upstream)
    other.select("six")
    async with site.running():
        with pytest.raises(VolumeInUseError, match="Stop that one first"):
            await adopted(site)
        with pytest.raises(VolumeInUseError, match="stop it first"):
            await adopted(other, source=site.web)
    assert (await site.sync()).state is RunState.SUCCEEDED
    assert (await adopted(other, source=site.web)).files_adopted == 2


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no second file system")
async def test_other_file_system_is_refused(site: Site, six: fakepypi.Project, tmp_path: Path) -> None:
    """A tree that hard links cannot reach is an error with its remedy, before anything is done."""
    elsewhere = Path("/dev/shm") / f"adopt-{os.getpid()}"
    shutil.move(site.web, elsewhere)
    try:
        if elsewhere.stat().st_dev == site.data.stat().st_dev:
            pytest.skip("it is the same file system")
        with pytest.raises(MirrorError, match="different file systems"):
            await adopted(site, source=elsewhere)
    finally:
        shutil.rmtree(elsewhere)


@pytest.mark.proves("reliability/upstream")
def test_entry_of_an_old_document_costs_only_itself() -> None:
    """An entry of an old legacy JSON that is none, or holds what a strict parser refuses, costs no other file."""
    good = {"filename": "six-1.0.zip", "url": "/packages/six-1.0.zip", "digests": {"sha256": "ab" * 32}}
    bad = [None, 7, {}, good | {"filename": 7}, good | {"filename": "six-2.0.zip", "digests": None}]
    cut = good | {"filename": "six-3.0.zip", "yanked": True, "yanked_reason": "cut \ud83d", "score": float("nan")}
    body = json.dumps({"info": {"name": "six"}, "releases": {"1.0": [*bad, good, good, cut], "2.0": None}}).encode()
    page = parse_legacy_page(body, name=NormalizedName("six"), url="http://old.invalid/simple/six/")
    assert [file.filename for file in page.files] == ["six-1.0.zip", "six-3.0.zip"]
    assert (page.files[1].yanked, len(page.refused)) == ("cut \ufffd", len(bad))


def test_legacy_document_past_all_bounds() -> None:
    """An old tree's legacy JSON of millions of entries is refused before it is made into objects."""
    with pytest.raises(InvalidPageError, match="too large"):
        parse_legacy_page(b"[" + b"0," * 4_000_001, name=NormalizedName("six"), url="http://old.invalid/simple/six/")
