"""Adoption of another program's tree: it downloads nothing, breaks no URL and loses no good file."""

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
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
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
    """A bandersnatch tree at the place of the mirror's own tree."""
    return OldMirror(site.web)


@pytest.fixture
def six(site: Site, pypi: fakepypi.FakePyPI, old: OldMirror) -> fakepypi.Project:
    """A project whose files the old tree has completely."""
    project = pypi.index.project("six")
    project.upload("1.0", requires_python=">=3.8")
    site.select("six")
    old.write(project)
    return project


def settings(site: Site) -> Settings:
    """Return the syncer's settings."""
    return Settings.model_validate(
        {"data": site.data, "state": site.state, "policy": site.policy, "upstream": site.upstream, "disk_reserve": 0.0}
    )


async def adopted(site: Site, *, source: Path | None = None, hashing: bool = False, dry_run: bool = False) -> Report:
    """Adopt a tree and return the report."""
    return await adopt(settings(site), source=source, hashing=hashing, dry_run=dry_run)


async def command(site: Site, *arguments: str) -> tuple[int, str, str]:
    """Run a command to its end."""
    process = await start(site, *arguments, quiet=False)
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def start(site: Site, *arguments: str, quiet: bool = True) -> Process:
    """Start a command in a process of its own."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mirror_syncer",
        *arguments,
        env={"PATH": os.environ["PATH"], **site.environment()},
        stdout=DEVNULL if quiet else PIPE,
        stderr=DEVNULL if quiet else PIPE,
    )


def downloaded(pypi: fakepypi.FakePyPI) -> list[str]:
    """Return the files that were requested from upstream."""
    return [path for path in pypi.log.paths() if "packages" in path]


def snapshot(directory: Path) -> dict[str, Any]:
    """Return the content of everything in a directory."""
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for path in sorted(directory.rglob("*"))
        if path.name != ".lock"
    }


# The story


async def test_tree_in_place_is_adopted_while_clients_install(
    site: Site, pypi: fakepypi.FakePyPI, old: OldMirror
) -> None:
    """An adoption takes over all correct files while clients install; the first sync downloads none of them."""
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
    assert downloaded(pypi) == []
    site.assert_whole()


async def test_old_names_are_removed_after_their_grace_period(
    site: Site, pypi: fakepypi.FakePyPI, old: OldMirror
) -> None:
    """A long URL works during its grace period; then its file and directory leave, and nginx serves the short path."""
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
    for url in lock_file:  # nginx/tree/packages.conf: /$digits/$file
        _, digits, _, _, filename = url.split("/")
        assert (site.web / "packages" / digits / filename).is_file()
    site.assert_whole()


@pytest.mark.proves("reliability/removal")
async def test_old_names_of_a_quarantined_project_are_removed_at_once(
    site: Site, pypi: fakepypi.FakePyPI, old: OldMirror
) -> None:
    """A quarantine ends the grace period of old names: the run removes both names of an adopted file."""
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


async def test_files_are_hard_links(site: Site, old: OldMirror, six: fakepypi.Project) -> None:
    """An adopted file and its metadata are hard links of the old ones."""
    await adopted(site)

    place = site.web / site.published("six").places[WHEEL]
    (wheel,) = site.web.glob(f"packages/??/??/*/{WHEEL}")
    assert place.samefile(wheel)
    assert place.with_name(f"{WHEEL}.metadata").samefile(wheel.with_name(f"{WHEEL}.metadata"))


async def test_tree_in_another_directory_is_not_changed(
    site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.Project, tmp_path: Path
) -> None:
    """An adoption from another directory changes nothing there, and that directory can be deleted afterwards."""
    web = tmp_path / "old" / "web"
    web.parent.mkdir()
    shutil.move(site.web, web)
    before = snapshot(web)

    report = await adopted(site, source=tmp_path / "old")

    assert report.files_adopted == 2
    assert snapshot(web) == before
    shutil.rmtree(web)
    run = await site.sync()
    assert (run.state, downloaded(pypi)) == (RunState.SUCCEEDED, [])
    site.assert_whole()


async def test_html_page_is_adopted_with_file_sizes(
    site: Site, pypi: fakepypi.FakePyPI, old: OldMirror, six: fakepypi.Project
) -> None:
    """A project with only an HTML page is adopted; the new page has the real file sizes."""
    (site.web / "simple/six/index.v1_json").unlink()

    report = await adopted(site)

    assert report.files_adopted == 2
    assert {file.size for file in site.published("six").files.values()} == {len(f.content) for f in six.files}
    assert site.published("six").files[SDIST].requires_python == ">=3.8"
    await site.sync()
    assert downloaded(pypi) == []


async def test_old_forms_of_pages_redirect_to_the_new_ones(
    site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.Project
) -> None:
    """The old web server's names of HTML pages redirect to the new pages, for projects and for the list."""
    (site.web / "simple/index.v1_html").write_text("old")
    await adopted(site)

    pypi.index.project("six").upload("2.0")
    await site.sync()

    assert "six-2.0.tar.gz" in (site.web / "simple/six/index.v1_html").read_text()
    assert ">six</a>" in (site.web / "simple/index.v1_html").read_text()


@pytest.mark.parametrize("directory", ["f/foo-bar", "Foo.Bar"])
async def test_pages_in_other_directories_are_adopted(
    site: Site, pypi: fakepypi.FakePyPI, old: OldMirror, directory: str
) -> None:
    """Pages one directory deeper (hash-index) or under an unnormalized name are adopted and then redirect."""
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
    assert downloaded(pypi) == []


async def test_withdrawal_keeps_pages_below_the_directory(site: Site, pypi: fakepypi.FakePyPI, old: OldMirror) -> None:
    """With ``hash-index``, the directory of project f also holds foo's pages; they stay when f leaves the mirror."""
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


async def test_shadowmire_tree_is_adopted(site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.Project) -> None:
    """An adoption replaces shadowmire's ``index.html``, a symlink, and the page beside it."""
    page = site.web / "simple/six"
    (page / "index.v1_json").unlink()
    (page / "index.html").unlink()
    (page / "index.html").symlink_to("index.v1_html")

    report = await adopted(site)

    assert report.files_adopted == 2
    assert not (page / "index.html").is_symlink()
    assert (page / "index.v1_html").samefile(page / "index.html")
    site.assert_whole()


async def test_own_tree_without_catalog_is_adopted_from_another_directory(
    site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.Project, tmp_path: Path
) -> None:
    """A tree of this program whose catalog was lost can be adopted from another directory."""
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
    assert downloaded(pypi) == []


# Again, and in the middle


@pytest.mark.parametrize("seed", range(3))
async def test_killed_adoption_resumes(site: Site, pypi: fakepypi.FakePyPI, old: OldMirror, seed: int) -> None:
    """An adoption killed at any moment leaves each page and URL working; the next one adopts the rest."""
    names = [f"project{number}" for number in range(40)]
    for name in names:
        pypi.index.project(name).upload("1.0")
        old.write(pypi.index.project(name))
    site.select(*names, grace="0m")
    lock_file = old.urls()
    with installing(site.web, *names[:8], remembered=lock_file[:20]):
        process = await start(site, "adopt")
        async with asyncio.timeout(60):
            enough = random.Random(seed).randrange(1, 20)
            while len(list(site.web.glob("packages/??/*.whl"))) < enough:  # noqa: ASYNC110 - the tree tells nobody
                await asyncio.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        report = await adopted(site)

    assert report.projects_adopted + report.projects_kept == len(names)
    assert old.urls() == lock_file
    run = await site.sync()
    assert (run.state, downloaded(pypi)) == (RunState.SUCCEEDED, [])
    assert old.urls() == []
    assert site.pages() == sorted(names)
    site.assert_whole()


async def test_adoption_killed_before_the_row_still_retires_old_names(
    site: Site, pypi: fakepypi.FakePyPI, old: OldMirror, six: fakepypi.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If an adoption stops between page and row, the next one still retires the old names."""
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

    assert (run.state, downloaded(pypi), old.urls()) == (RunState.SUCCEEDED, [], [])
    site.assert_whole()


async def test_half_adopted_tree_refuses_a_sync(site: Site, six: fakepypi.Project) -> None:
    """No other command writes to a half adopted tree; the error says what to do."""
    await adopted(site)
    site.sql("UPDATE about SET value = '/old' WHERE key = 'adopting'")

    with pytest.raises(VolumeError, match="run the same `mirror-syncer adopt` again"):
        await site.sync()
    await adopted(site)
    assert (await site.sync()).state is RunState.SUCCEEDED


async def test_second_adoption_waits_for_an_unfinished_one(site: Site, six: fakepypi.Project, tmp_path: Path) -> None:
    """An unfinished adoption blocks that of another tree, unless its own tree no longer exists."""
    other = tmp_path / "other"
    shutil.copytree(site.web, other / "web")
    await adopted(site)
    site.sql(f"UPDATE about SET value = '{other / 'web'}' WHERE key = 'adopting'")

    with pytest.raises(MirrorError, match="finish it first"):
        await adopted(site)
    shutil.rmtree(other)
    await adopted(site)
    assert (await site.sync()).state is RunState.SUCCEEDED


async def test_stopped_adoption_resumes(site: Site, old: OldMirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """After SIGTERM an adoption finishes its current projects and starts no other; the error says how to resume."""
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


async def test_second_adoption_changes_nothing(site: Site, six: fakepypi.Project) -> None:
    """A second adoption leaves the pages of the first one byte for byte."""
    await adopted(site)
    pages = snapshot(site.web)

    report = await adopted(site)

    assert (report.projects_kept, report.files_adopted) == (1, 0)
    assert snapshot(site.web) == pages


async def test_published_project_is_not_adopted_again(site: Site, pypi: fakepypi.FakePyPI, tmp_path: Path) -> None:
    """An adoption into a mirror adds projects and changes none that the mirror publishes already."""
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


async def test_verify_with_repair_is_queued(site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.Project) -> None:
    """A file with wrong content is adopted; the queued verify finds it and downloads it again."""
    (wheel,) = site.web.glob(f"packages/??/??/*/{WHEEL}")
    wheel.write_bytes(same_directory(wheel.read_bytes()))

    report = await adopted(site)
    assert report.files_adopted == 2
    async with site.running() as running:
        running.mirror.runs.restore()
        (verify,) = running.mirror.catalog.runs.page(kind=RunKind.VERIFY, whole=True, limit=5)
        await running.ended(verify)

    assert [path.rpartition("/")[2] for path in downloaded(pypi)] == [WHEEL]
    site.assert_whole()


# What is wrong


async def test_hashing_skips_wrong_files(site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.Project) -> None:
    """With ``--hash``, no page ever names a file with wrong content; the next sync downloads it."""
    (wheel,) = site.web.glob(f"packages/??/??/*/{WHEEL}")
    wheel.write_bytes(same_directory(wheel.read_bytes()))

    report = await adopted(site, hashing=True)

    assert (report.files_adopted, report.files_left_out, report.incomplete) == (1, 1, True)
    assert site.filenames("six") == {SDIST}
    await site.sync()
    assert [path.rpartition("/")[2] for path in downloaded(pypi)] == [WHEEL]
    site.assert_whole()


async def test_missing_and_truncated_files_are_skipped(
    site: Site, pypi: fakepypi.FakePyPI, old: OldMirror, six: fakepypi.Project
) -> None:
    """Missing and truncated files are skipped; after a sync each long URL serves the right content."""
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
    assert {path.rpartition("/")[2] for path in downloaded(pypi)} == {WHEEL, SDIST}
    assert wheel.read_bytes() == six.releases["1.0"].files[WHEEL].content
    site.assert_whole()


async def test_wrong_metadata_is_replaced(site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.Project) -> None:
    """Metadata that does not match the page is not linked; the wheel's own metadata is written instead."""
    (beside,) = site.web.glob(f"packages/??/??/*/{WHEEL}.metadata")
    right = beside.read_bytes()
    beside.write_bytes(b"wrong")

    await adopted(site)

    place = site.web / site.published("six").places[WHEEL]
    assert place.with_name(f"{WHEEL}.metadata").read_bytes() == right
    site.assert_whole()


async def test_tree_without_metadata_is_adopted(site: Site, pypi: fakepypi.FakePyPI, old: OldMirror) -> None:
    """A tree without metadata files is adopted; the first sync reads the metadata from the wheels."""
    pypi.index.project("six").upload("1.0")
    old.write(pypi.index.project("six"), metadata=False)
    site.select("six")

    await adopted(site)
    assert site.published("six").files[WHEEL].core_metadata is False
    await site.sync()

    assert site.published("six").files[WHEEL].core_metadata
    assert downloaded(pypi) == []
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
async def test_hostile_links_are_not_adopted(site: Site, old: OldMirror, tmp_path: Path, url: str) -> None:
    """A link out of the tree, or through a symlink, adopts no file."""
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


async def test_symlinks_out_of_the_tree_are_not_followed(
    site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.Project, tmp_path: Path
) -> None:
    """An adoption reads and writes no page through a symlink that leads out of the tree."""
    outside = tmp_path / "outside"
    shutil.move(site.web / "simple/six", outside)
    (site.web / "simple/six").symlink_to(outside)
    before = snapshot(outside)

    report = await adopted(site)

    assert report.projects_adopted == 0
    assert snapshot(outside) == before


@pytest.mark.parametrize("body", [b"", b"{", b"<html>login</html>", b'{"meta":{},"name":"other","files":[]}'])
async def test_damaged_page_fails_only_its_project(
    site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.Project, body: bytes
) -> None:
    """A damaged page fails only its own project, and the first sync repairs it."""
    pypi.index.project("idna").upload("1.0")
    OldMirror(site.web).write(pypi.index.project("idna"))
    site.select("six", "idna")
    for path in (site.web / "simple/six").iterdir():
        path.write_bytes(body)

    report = await adopted(site)

    assert (report.projects_failed, report.projects_adopted) == (1, 1)
    assert (await site.sync()).state is RunState.SUCCEEDED
    site.assert_whole()


async def test_files_without_sha256_are_not_adopted(site: Site, old: OldMirror, six: fakepypi.Project) -> None:
    """Files whose page gives only an md5 are not adopted, and stay where they are."""
    page = site.web / "simple/six"
    for form in page.iterdir():
        form.write_text(form.read_text().replace("sha256", "md5"))
    lock_file = old.urls()

    report = await adopted(site)

    assert (report.projects_failed, report.files_left_out) == (1, 2)
    assert old.urls() == lock_file


@pytest.mark.parametrize("place", ["json/six", "pypi/six/json"])
async def test_legacy_json_completes_pages(
    site: Site, old: OldMirror, pypi: fakepypi.FakePyPI, six: fakepypi.Project, place: str
) -> None:
    """bandersnatch's legacy JSON supplies the sizes that HTML lacks, and the sha256 that md5 pages lack."""
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
    assert [path.rpartition("/")[2] for path in downloaded(pypi)] == [WHEEL]
    site.assert_whole()


async def test_occupied_short_path_keeps_the_long_path(
    site: Site, pypi: fakepypi.FakePyPI, old: OldMirror, six: fakepypi.Project
) -> None:
    """A file keeps its long path if its short path holds other content; both contents stay."""
    file = next(file for file in six.files if file.filename == SDIST)
    short = site.web / "packages" / file.blake2b_256[:2] / SDIST
    short.parent.mkdir(exist_ok=True)
    short.write_bytes(b"other")

    report = await adopted(site)

    assert report.files_adopted == 2
    assert site.published("six").places[SDIST] == file.path
    assert short.read_bytes() == b"other"
    await site.sync()
    assert downloaded(pypi) == []


# What is not to be adopted


async def test_unselected_projects_and_releases_are_skipped(
    site: Site, pypi: fakepypi.FakePyPI, old: OldMirror, six: fakepypi.Project
) -> None:
    """An adoption skips unselected projects and releases, and reports both."""
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


async def test_dry_run_changes_nothing(site: Site, six: fakepypi.Project) -> None:
    """``--dry-run`` shows what an adoption would do, and writes nothing to the tree."""
    before = snapshot(site.data)

    report = await adopted(site, dry_run=True)

    assert (report.dry_run, report.projects_adopted, report.files_adopted) == (True, 1, 2)
    assert snapshot(site.data) == before


async def test_sync_of_an_unadopted_tree_is_refused(site: Site, six: fakepypi.Project) -> None:
    """A sync refuses another program's pages, writes nothing, and names the command that adopts them."""
    before = snapshot(site.data)

    code, _, err = await command(site, "sync")

    assert code == 1
    assert "`mirror-syncer adopt`" in err
    assert snapshot(site.data) == before


async def test_command_reports_the_result(site: Site, six: fakepypi.Project) -> None:
    """The command exits with 3 if something was skipped, otherwise 0, and prints the report as one JSON document."""
    (wheel,) = site.web.glob(f"packages/??/??/*/{WHEEL}")
    wheel.unlink()

    code, out, err = await command(site, "adopt")
    again, _, _ = await command(site, "adopt")

    assert (code, json.loads(out)["files_adopted"], again) == (3, 1, 0)
    assert any(json.loads(line).get("file") == WHEEL for line in err.splitlines())


async def test_missing_tree_is_an_error(site: Site, tmp_path: Path) -> None:
    """If there is no tree, the error says what a tree is, and nothing is created."""
    site.select("six")
    with pytest.raises(VolumeError, match="--from"):
        await adopted(site, source=tmp_path / "nowhere")
    assert list(site.data.iterdir()) == []


async def test_locked_trees_are_refused(site: Site, six: fakepypi.Project, tmp_path: Path) -> None:
    """An adoption refuses a locked tree, and does not block the next start of the service."""
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


@pytest.fixture
def another_file_system(tmp_path: Path) -> Iterator[Path]:
    """An empty directory on another file system than the site's."""
    candidates = (Path("/dev/shm"), Path(__file__).parent)
    others = [path for path in candidates if path.is_dir() and path.stat().st_dev != tmp_path.stat().st_dev]
    if not others:
        pytest.skip("there is no second file system")
    with TemporaryDirectory(dir=others[0]) as directory:
        yield Path(directory)


async def test_tree_on_another_file_system_is_refused(
    site: Site, six: fakepypi.Project, another_file_system: Path
) -> None:
    """A tree on another file system is refused before anything changes; the error says what to do."""
    tree = Path(shutil.move(site.web, another_file_system / "web"))
    with pytest.raises(MirrorError, match="different file systems"):
        await adopted(site, source=tree)


@pytest.mark.proves("reliability/upstream")
def test_invalid_legacy_entry_fails_alone() -> None:
    """An invalid entry of an old legacy JSON affects no other file."""
    good = {"filename": "six-1.0.zip", "url": "/packages/six-1.0.zip", "digests": {"sha256": "ab" * 32}}
    bad = [None, 7, {}, good | {"filename": 7}, good | {"filename": "six-2.0.zip", "digests": None}]
    cut = good | {"filename": "six-3.0.zip", "yanked": True, "yanked_reason": "cut \ud83d", "score": float("nan")}
    body = json.dumps({"info": {"name": "six"}, "releases": {"1.0": [*bad, good, good, cut], "2.0": None}}).encode()
    page = parse_legacy_page(body, name=NormalizedName("six"), url="http://old.invalid/simple/six/")
    assert [file.filename for file in page.files] == ["six-1.0.zip", "six-3.0.zip"]
    assert (page.files[1].yanked, len(page.refused)) == ("cut \ufffd", len(bad))


def test_huge_legacy_document_is_refused() -> None:
    """An old legacy JSON with millions of entries is refused before it becomes objects in memory."""
    with pytest.raises(InvalidPageError, match="too large"):
        parse_legacy_page(b"[" + b"0," * 4_000_001, name=NormalizedName("six"), url="http://old.invalid/simple/six/")
