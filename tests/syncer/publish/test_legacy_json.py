"""``/pypi/<project>/json`` names exactly the files of the page, and never fails a page."""

import gzip
import hashlib
import json
from typing import Any

import pytest
from aiohttp import web
from packaging.utils import NormalizedName

import fakepypi
from fakepypi.answer import Answer
from mirror_contract import ProjectState, Run, RunState
from mirror_syncer.upstream import parse_legacy
from syncer.site import Site


@pytest.fixture
def foo(site: Site, pypi: fakepypi.FakePyPI) -> Site:
    """A host that is to mirror a project with three releases, legacy JSON and all."""
    project = pypi.index.project("Foo")
    for version in ("1.0", "2.0", "3.0"):
        project.upload(version, requires_python=">=3.9")
    site.select("foo", legacy_json=True)
    return site


def document(site: Site, name: str = "foo") -> dict[str, Any]:
    """Return a published document, after a look at what holds for each."""
    path = site.web / "pypi" / name / "json"
    body = path.read_bytes()
    read: dict[str, Any] = json.loads(body)
    assert body.startswith(f'{{"last_serial":{read["last_serial"]},'.encode()), "nginx reads it there"
    page = site.published(name)
    assert read["last_serial"] == page.page.serial
    assert read["info"]["version"] in read["releases"]
    assert read["urls"] == read["releases"][read["info"]["version"]]
    files = {file["filename"]: file for release in read["releases"].values() for file in release}
    assert set(files) == set(page.files)
    for filename, file in files.items():
        content = (site.web / file["url"].removeprefix("/")).read_bytes()
        assert file["url"] == f"/{page.places[filename]}"
        assert file["digests"]["sha256"] == hashlib.sha256(content).hexdigest()
        assert file["size"] == len(content)
    twin = path.with_name("json.gz")
    assert not twin.exists() or gzip.decompress(twin.read_bytes()) == body
    assert not twin.exists() or twin.stat().st_mtime == path.stat().st_mtime
    return read


def has_document(site: Site, name: str = "foo") -> bool:
    """Return whether anything of one lies there."""
    return (site.web / "pypi" / name).exists()


def reasons(run: Run) -> str:
    """Return why a run's projects failed."""
    return "; ".join(f"{failure.file}: {failure.reason}" for failure in run.failures)


async def test_document_describes_published_files(foo: Site, pypi: fakepypi.FakePyPI) -> None:
    """Upstream's data on the project is passed on; the files are the mirror's, with its URLs and every digest."""
    run = await foo.sync()
    read = document(foo)
    assert run.state is RunState.SUCCEEDED
    assert list(read["releases"]) == ["1.0", "2.0", "3.0"]
    assert (read["info"]["name"], read["info"]["summary"]) == ("Foo", "Made for a test")
    release = pypi.index.project("foo").releases["3.0"]
    files = {file["filename"]: file for file in read["urls"]}
    assert files[release.wheel.filename] == {
        "comment_text": "",
        "core-metadata": {"sha256": release.wheel.metadata_sha256},
        "digests": {
            "blake2b_256": release.wheel.blake2b_256,
            "md5": release.wheel.md5,
            "sha256": release.wheel.sha256,
        },
        "downloads": -1,
        "filename": release.wheel.filename,
        "has_sig": False,
        "md5_digest": release.wheel.md5,
        "packagetype": "bdist_wheel",
        "python_version": release.wheel.python_version,
        "requires_python": ">=3.9",
        "size": len(release.wheel.content),
        "upload_time": release.wheel.uploaded_at.strftime("%Y-%m-%dT%H:%M:%S"),
        "upload_time_iso_8601": foo.published("foo").files[release.wheel.filename].upload_time,
        "url": f"/packages/{release.wheel.blake2b_256[:2]}/{release.wheel.filename}",
        "yanked": False,
        "yanked_reason": None,
    }
    assert (files[release.sdist.filename]["packagetype"], files[release.sdist.filename]["python_version"]) == (
        "sdist",
        "source",
    )


async def test_legacy_json_is_optional(foo: Site, pypi: fakepypi.FakePyPI) -> None:
    """Legacy JSON is off by default; switched on, it appears with the next sync, switched off, it is removed."""
    foo.select("foo")
    await foo.sync()
    assert not has_document(foo)
    assert not pypi.log.to("/json")
    async with foo.running() as running:
        foo.select("foo", legacy_json=True)
        await running.sync()
        document(foo)
        requests = len(pypi.log)
        assert (await running.sync()).state is RunState.SUCCEEDED
        assert len(pypi.log) == requests + 1, "a page that did not change answers for its document, too"
        foo.select("foo")
        await running.sync()
    assert not has_document(foo)
    foo.assert_whole()


async def test_document_follows_its_page(foo: Site, pypi: fakepypi.FakePyPI) -> None:
    """New, yanked and deleted releases appear in the document with the page's next publication."""
    async with foo.running() as running:
        await running.sync()
        project = pypi.index.project("foo")
        project.upload("4.0")
        project.yank("3.0", reason="broken")
        project.delete_release("1.0")
        await running.sync()
        read = document(foo)
        before = (foo.web / "pypi/foo/json").stat().st_mtime
        project.upload("5.0")
        await running.sync()
    assert list(read["releases"]) == ["2.0", "3.0", "4.0"]
    assert {(file["yanked"], file["yanked_reason"]) for file in read["releases"]["3.0"]} == {(True, "broken")}
    assert document(foo)["info"]["version"] == "5.0"
    assert (foo.web / "pypi/foo/json").stat().st_mtime > before, "or nginx's ETag might come twice"


@pytest.mark.parametrize("how", ["withdrawn", "quarantined"])
async def test_document_is_removed_with_its_page(foo: Site, pypi: fakepypi.FakePyPI, how: str) -> None:
    """A removed project, or one without files, has no document; other documents stay."""
    pypi.index.project("bar").upload("1.0")
    foo.select("foo", "bar", legacy_json=True)
    async with foo.running() as running:
        await running.sync()
        if how == "withdrawn":
            foo.select("bar", legacy_json=True)
        else:
            pypi.index.project("foo").quarantine()
        await running.sync()
    assert not has_document(foo)
    document(foo, "bar")


async def test_document_describes_the_newest_selected_release(foo: Site, pypi: fakepypi.FakePyPI) -> None:
    """If upstream's newest release is not selected, the document describes the newest that is, by upstream's data."""
    foo.select("foo<3", legacy_json=True)
    await foo.sync()
    read = document(foo)
    assert list(read["releases"]) == ["1.0", "2.0"]
    assert (read["info"]["version"], read["info"]["summary"]) == ("2.0", "Made for a test")
    assert [seen.path for seen in pypi.log.to("/json")] == ["/pypi/foo/json", "/pypi/foo/2.0/json"]


async def test_missing_release_document_is_not_replaced_by_another(foo: Site, pypi: fakepypi.FakePyPI) -> None:
    """If upstream describes only a release that is not here, that description is not used for another."""

    def absent(request: web.Request, answer: Answer) -> None:
        if request.path != "/pypi/foo/json":
            answer.status, answer.body = 404, b""

    def newest(shown: dict[str, Any]) -> None:
        shown["info"]["requires_dist"] = ["bar; extra == '3.0'"]
        shown["vulnerabilities"] = [{"id": "of 3.0"}]

    pypi.faults.on_legacy().edit(newest).change(absent)
    foo.select("foo<3", legacy_json=True)
    assert (await foo.sync()).state is RunState.SUCCEEDED
    read = document(foo)
    assert {key: read["info"][key] for key in ("name", "summary", "version", "requires_python")} == {
        "name": "Foo",
        "summary": "Made for a test",
        "version": "2.0",
        "requires_python": ">=3.9",
    }
    assert (read["info"]["requires_dist"], read["vulnerabilities"]) == (None, [])
    assert read["ownership"] == {"organization": None, "roles": []}


async def test_page_replaces_a_missing_legacy_api(foo: Site, pypi: fakepypi.FakePyPI) -> None:
    """If upstream has no legacy API, the document is made from the page, without a failure."""
    pypi.faults.on_legacy().status(404)
    pypi.index.project("foo").yank("3.0")
    pypi.index.project("foo").upload("4.0rc1")
    foo.select("foo>=1.0rc1", legacy_json=True)
    run = await foo.sync()
    read = document(foo)
    assert (run.state, run.failures) == (RunState.SUCCEEDED, [])
    assert list(read["releases"]) == ["1.0", "2.0", "3.0", "4.0rc1"]
    assert read["info"]["version"] == "2.0", "a final one that is not yanked"
    assert (read["info"]["name"], read["info"]["requires_python"], read["info"]["summary"]) == ("foo", ">=3.9", None)
    assert {file["packagetype"] for file in read["urls"]} == {"sdist", "bdist_wheel"}
    assert all(file["upload_time_iso_8601"] for file in read["urls"])


async def test_unavailable_document_fails_no_project(foo: Site, pypi: fakepypi.FakePyPI) -> None:
    """If the document is unavailable, the page and the last document replace it; that is reported and retried."""
    async with foo.running() as running:
        await running.sync()
        pypi.index.project("foo").upload("4.0")
        pypi.index.project("foo").delete_release("1.0")
        pypi.faults.on_legacy().status(500)
        run = await running.sync()
        read = document(foo)
        assert list(read["releases"]) == ["2.0", "3.0", "4.0"]
        assert (read["info"]["version"], read["info"]["summary"]) == ("3.0", "Made for a test")
        assert (run.state, running.row("foo").state) == (RunState.INCOMPLETE, ProjectState.CURRENT)
        assert "legacy JSON: " in reasons(run)
        assert "500" in reasons(run)
        # once more when the deleted release was let go
        failed = 'transfers_total{kind="legacy_json",outcome="failed"} 2.0'
        assert failed in running.mirror.metrics.exposition().decode()
        assert running.row("foo").due_at is not None

        pypi.faults.clear()
        run = await running.sync("foo")
        assert (run.state, running.row("foo").due_at) == (RunState.SUCCEEDED, None)
    assert document(foo)["info"]["version"] == "4.0"


async def test_removed_file_without_upload_time_ends_no_run(foo: Site, pypi: fakepypi.FakePyPI) -> None:
    """A published file that was removed, without an upload time upstream, is reported only by verify."""
    pypi.faults.on_page().edit(lambda page: [file.pop("upload-time") for file in page["files"]])
    await foo.sync()
    published = foo.published("foo")
    (foo.web / next(iter(published.places.values()))).unlink()
    pypi.index.project("Foo").upload("4.0")
    run = await foo.sync()
    assert run.state is RunState.SUCCEEDED
    assert "4.0" in json.loads((foo.web / "pypi/foo/json").read_bytes())["releases"]


async def test_document_older_than_its_page_is_requested_again(foo: Site, pypi: fakepypi.FakePyPI) -> None:
    """A document older than its page is requested again for a while; then the page is published anyway."""

    def stale(shown: dict[str, Any]) -> None:
        shown["last_serial"] -= 1_000
        shown["releases"].pop("3.0")

    pypi.faults.on_legacy().times(1).edit(stale)
    assert (await foo.sync()).state is RunState.SUCCEEDED
    assert set(document(foo)["releases"]) == {"1.0", "2.0", "3.0"}

    pypi.faults.on_legacy().edit(stale)
    run = await foo.sync("foo", force=True)
    assert run.state is RunState.INCOMPLETE
    assert "upstream shows an older one" in reasons(run)
    assert set(document(foo)["releases"]) == {"1.0", "2.0", "3.0"}


async def test_crash_leaves_no_temporary_document(foo: Site) -> None:
    """The temporary document of an interrupted publication is removed with its other temporaries."""
    await foo.sync()
    (foo.web / "pypi/foo/.json.new").write_bytes(b"half")
    (foo.web / "pypi/foo/.json.gz.new").write_bytes(b"half")
    async with foo.running() as running:
        running.mirror.volume.clean_up(NormalizedName("foo"), [])
    document(foo)
    foo.assert_whole()


def serial_of_another(shown: dict[str, Any]) -> None:
    """Speak of serials as nobody does."""
    shown["last_serial"] = "9" * 5_000


def nonsense(shown: dict[str, Any]) -> None:
    """Say of files what no file is, and of releases what no release is."""
    shown["releases"]["3.0"] = [{"filename": 7}, {}, None, {"filename": "../../x", "digests": {"sha256": "/"}}]
    shown["releases"]["../../etc"] = [{"filename": "passwd", "digests": {}, "url": "https://evil.example/passwd"}]
    shown["urls"] = shown["vulnerabilities"] = []
    shown["info"]["summary"] = {"</script>": ["\N{SNOWMAN}"]}


def lies(shown: dict[str, Any]) -> None:
    """Give every file another hash, another home and another size."""
    for release in shown["releases"].values():
        for file in release:
            file.update(url="https://evil.example/x", size=-1, digests={"sha256": "0" * 64, "md5": "/../"})


@pytest.mark.parametrize("edit", [serial_of_another, nonsense, lies])
async def test_page_overrides_the_document(foo: Site, pypi: fakepypi.FakePyPI, edit: Any) -> None:
    """Whatever upstream's document says, the published one has the page's files and hashes, with local URLs."""
    pypi.faults.on_legacy().edit(edit)
    run = await foo.sync()
    assert run.state is RunState.SUCCEEDED
    read = document(foo)
    assert "evil" not in json.dumps(read)
    assert set(read["releases"]) == {"1.0", "2.0", "3.0"}


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        pytest.param(lambda it: it["info"].update(name="bar"), "of 'bar', not of 'foo'", id="another project"),
        pytest.param(lambda it: it["info"].update(version=3), "names no version", id="no version"),
        pytest.param(lambda it: it.update(info=[]), "is invalid", id="no info"),
        pytest.param(lambda it: it.update(releases=[]), "is invalid", id="no releases"),
        pytest.param(lambda it: it["info"].update(x="x" * 9 * 2**20), "larger than", id="too long"),
        pytest.param(lambda it: it.update(x=[0] * 4_000_001), "too large", id="too many"),
    ],
)
async def test_invalid_document_is_reported(foo: Site, pypi: fakepypi.FakePyPI, edit: Any, words: str) -> None:
    """An invalid document, or that of another project, is reported, and the page replaces it."""
    pypi.faults.on_legacy().edit(edit)
    run = await foo.sync()
    assert run.state is RunState.INCOMPLETE
    assert words in reasons(run)
    assert document(foo)["info"]["summary"] is None


@pytest.mark.parametrize("fault", ["login_page", "broken_gzip", "redirect_loop", "endless"])
async def test_invalid_response_is_reported(foo: Site, pypi: fakepypi.FakePyPI, fault: str) -> None:
    """A portal's form, broken gzip, a redirect loop or endless zeros are reported, and block no page."""
    rule = pypi.faults.on_legacy()
    rule.endless(limit=2**20) if fault == "endless" else getattr(rule, fault)()
    run = await foo.sync()
    assert run.state is RunState.INCOMPLETE
    assert document(foo)["info"]["summary"] is None


def forget_a_file(body: bytes) -> bytes:
    """Return a document whose releases lack one."""
    read = json.loads(body)
    del read["releases"]["2.0"]
    return json.dumps(read).encode()


@pytest.mark.proves("reliability/upstream")
def test_invalid_release_affects_no_other_file() -> None:
    """Half a surrogate pair, an invalid release, a repeated entry or a long version affects no other file."""
    long = "1." + "0" * 215
    digests = {"sha256": "ab" * 32, "md5": "cd" * 16}
    body = json.dumps(
        {
            "info": {"name": "Foo", "version": long, "summary": "cut \ud83d", "score": float("nan")},
            "releases": {
                "1.0": [{"filename": "foo-1.0.zip", "digests": digests}, None, {"filename": 7}],
                "1.0.0": [{"filename": "foo-1.0.zip", "digests": {"sha256": "ab" * 32, "blake2b_256": "ef" * 32}}],
                "2.0": None,
                long: [{"filename": "foo-3.zip", "digests": {"sha256": "01" * 32}}],
            },
        }
    ).encode()
    read = parse_legacy(body, name=NormalizedName("foo"))
    assert (read.version, read.info["summary"], read.info["score"]) == (long, "cut \ufffd", None)
    assert {name: file.version for name, file in read.files.items()} == {"foo-1.0.zip": "1.0", "foo-3.zip": long}
    assert read.files["foo-1.0.zip"].digests == {"md5": "cd" * 16, "blake2b_256": "ef" * 32}


@pytest.mark.parametrize(
    ("form", "damage"),
    [
        ("json", forget_a_file),
        ("json", lambda body: body.replace(b"a", b"b")),
        ("json", lambda body: b""),
        ("json.gz", lambda body: body[:-9]),
        ("json.gz", lambda body: gzip.compress(b"other")),
    ],
)
async def test_verify_repairs_a_document(foo: Site, form: str, damage: Any) -> None:
    """A document that differs from its page or its twin is found, and on request written again."""
    await foo.sync()
    path = foo.web / "pypi/foo" / form
    before = path.read_bytes()
    path.write_bytes(damage(before))
    async with foo.running() as running:
        run = await running.verify()
        assert {failure.file for failure in run.failures} >= {form}
        assert (await running.verify(repair=True)).state is RunState.SUCCEEDED
        assert (await running.verify()).state is RunState.SUCCEEDED
    assert path.read_bytes() == before
