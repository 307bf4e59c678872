"""A mirror of this mirror, behind a server that knows only files."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import fakepypi
from mirror_contract import RunState
from syncer.site import Site

JSON, HTML = "index.v1_json", "index.html"
_TYPES = {".v1_json": "application/vnd.pypi.simple.v1+json", ".html": "text/html", "": "application/zip"}
Log = list[tuple[str, int]]


class _Files(SimpleHTTPRequestHandler):
    """Sends files, and a directory's index file; it sends Last-Modified, but neither ETags nor serials."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: object, index: str, log: Log, **options: object) -> None:
        self._index, self._log = index, log
        self.extensions_map = _TYPES
        super().__init__(*arguments, **options)  # type: ignore[arg-type]

    def translate_path(self, path: str) -> str:
        found = super().translate_path(path)
        return f"{found.rstrip('/')}/{self._index}" if path.endswith("/") else found

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        self._log.append((self.path.removeprefix("/pypi/web"), int(code)))


@contextmanager
def plain_server(root: Path, *, index: str) -> Iterator[tuple[str, Log]]:
    """Serve a directory; yield the URL and the requests."""
    log: Log = []
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=root, index=index, log=log)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", log
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
async def first(tmp_path: Path, pypi: fakepypi.FakePyPI) -> Site:
    """A mirror with every status and field that upstream can give a project."""
    for name in ("alpha", "beta", "gamma", "Zeta.One"):
        pypi.index.project(name).upload("1.0", requires_python=">=3.8")
    pypi.index.project("beta").upload("1.1", provenance=True)
    pypi.index.project("beta").yank("1.0", reason="<broken> & \u201cbad\u201d")
    pypi.index.project("gamma").archive()
    pypi.index.project("stub").create()
    (tmp_path / "first").mkdir()
    site = Site(tmp_path / "first", upstream=pypi.url)
    site.everything()
    async with site.running() as running:
        assert (await running.sync()).state is RunState.SUCCEEDED
        pypi.index.project("alpha").quarantine()
        await running.sync("alpha")
    return site


def second(tmp_path: Path, url: str) -> Site:
    """Return a mirror of the files that the URL serves."""
    (tmp_path / "second").mkdir()
    site = Site(tmp_path / "second", upstream=f"{url}/pypi/web")
    site.everything()
    return site


def pages(site: Site, form: str) -> dict[str, bytes]:
    """Return the list and every page, in one form."""
    root = site.web / "simple"
    return {str(path.parent.relative_to(root)): path.read_bytes() for path in root.rglob(form)}


def files(site: Site) -> dict[str, bytes]:
    """Return the content of every file in packages/, by path."""
    root = site.web / "packages"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("index", [JSON, HTML])
async def test_mirror_of_the_mirror_has_the_same_pages_and_files(tmp_path: Path, first: Site, index: str) -> None:
    """
    A second mirror, of this one's files on a plain web server, has the same files, paths and pages.

    The JSON pages match byte for byte, in both forms. An HTML upstream gives HTML pages alone, since it has no sizes,
    upload times or serials.
    """
    with plain_server(first.data, index=index) as (url, _):
        site = second(tmp_path, url)
        run = await site.sync()

    assert (run.state, run.failures) == (RunState.SUCCEEDED, [])
    assert site.pages() == ["alpha", "beta", "gamma", "stub", "zeta-one"]
    assert site.published("alpha").page.status == "quarantined"
    # Clients cannot reach the quarantined project's files on the first mirror.
    assert files(site) == files(first)
    assert pages(site, HTML) == pages(first, HTML)
    if index == JSON:
        assert pages(site, JSON) == pages(first, JSON)
    site.assert_whole()


async def test_mirror_of_the_mirror_requests_only_changed_pages(
    tmp_path: Path, pypi: fakepypi.FakePyPI, first: Site
) -> None:
    """By the list's serials alone, a second mirror requests the changed pages and the newest one."""
    with plain_server(first.data, index=JSON) as (url, log):
        site = second(tmp_path, url)
        async with site.running() as running, first.running() as ours:
            await running.sync()
            log.clear()
            await running.sync()
            unchanged, log[:] = list(log), []
            pypi.index.project("beta").upload("2.0", sdist=False)
            pypi.index.project("new").upload("1.0", wheel=False)
            await ours.sync()
            await running.sync()
        changed = {path for path, _ in log}

    # alpha is the newest of the list, and may change again under its serial.
    assert unchanged == [("/simple/", 304), ("/simple/alpha/", 304)]
    assert {path for path in changed if path.startswith("/simple/")} == {
        "/simple/",
        "/simple/alpha/",
        "/simple/beta/",
        "/simple/new/",
    }
    assert {path.rpartition("/")[2] for path in changed if path.startswith("/packages/")} == {
        "beta-2.0-py3-none-any.whl",
        "new-1.0.tar.gz",
    }
    assert pages(site, JSON) == pages(first, JSON)


async def test_mirror_of_the_mirror_removes_what_the_mirror_removes(
    tmp_path: Path, pypi: fakepypi.FakePyPI, first: Site
) -> None:
    """Both mirrors remove what upstream deletes, each in its next sync; of quarantined projects, only the files."""
    pypi.index.project("newest").upload("1.0")
    with plain_server(first.data, index=JSON) as (url, _):
        site = second(tmp_path, url)
        async with site.running() as running, first.running() as ours:
            await ours.sync()
            await running.sync()
            before = site.pages()
            pypi.index.project("newest").delete()
            pypi.index.project("beta").quarantine()
            await ours.sync()
            await running.sync()

    assert "newest" in before
    assert site.pages() == ["alpha", "beta", "gamma", "stub", "zeta-one"]
    assert site.published("beta").page.status == "quarantined"
    assert list(site.web.rglob("packages/*/beta-*")) == []
    assert pages(site, JSON) == pages(first, JSON)


async def test_mirror_of_the_mirror_follows_a_changed_selection(
    tmp_path: Path, pypi: fakepypi.FakePyPI, first: Site
) -> None:
    """When a mirror drops its newest project and selects an older one, a second mirror follows both changes."""
    first.select("beta", "gamma")
    await first.sync(allow_removals=3)
    with plain_server(first.data, index=JSON) as (url, _):
        site = second(tmp_path, url)
        async with site.running() as running:
            await running.sync()
            first.select("gamma", "zeta-one")
            await first.sync()
            await running.sync()

    assert site.pages() == ["gamma", "zeta-one"]
    assert pages(site, JSON) == pages(first, JSON)


async def test_mirror_of_the_mirror_follows_a_removed_file(
    tmp_path: Path, pypi: fakepypi.FakePyPI, first: Site
) -> None:
    """A page that loses a file ends with upstream's serial in both mirrors."""
    first.everything(guard="100%")
    with plain_server(first.data, index=JSON) as (url, _):
        site = second(tmp_path, url)
        site.everything(guard="100%")
        async with site.running() as running, first.running() as ours:
            await running.sync()
            pypi.index.project("beta").delete_release("1.0")
            await ours.sync()
            await running.sync()
            serial = ours.row("beta").published_serial

    assert site.filenames("beta") == {"beta-1.1.tar.gz", "beta-1.1-py3-none-any.whl"}
    assert serial == pypi.index.project("beta").serial
    assert pages(site, JSON) == pages(first, JSON)


async def test_mirror_of_the_mirror_has_the_same_list_after_each_sync(
    tmp_path: Path, pypi: fakepypi.FakePyPI, first: Site
) -> None:
    """After each sync of uploads, removals, yanks and deletions, both mirrors have the same list, byte for byte."""
    pypi.index.project("beta").upload("1.2")
    with plain_server(first.data, index=JSON) as (url, _):
        site = second(tmp_path, url)
        async with site.running() as running, first.running() as ours:
            await ours.sync()
            await running.sync()
            assert pages(site, JSON) == pages(first, JSON)
            pypi.index.project("alpha").clear_quarantine()
            pypi.index.project("beta").upload("2.0")
            pypi.index.project("beta").delete_release("1.1")
            pypi.index.project("gamma").unarchive()
            pypi.index.project("new").upload("1.0")
            pypi.index.project("zeta-one").delete()
            lists = []
            for _ in range(3):
                await ours.sync()
                await running.sync()
                lists.append([json.loads(pages(one, JSON)["."])["meta"]["_last-serial"] for one in (first, site)])
                assert pages(site, JSON) == pages(first, JSON), lists
                pypi.index.project("beta").upload(f"3.{len(lists)}")


async def test_mirror_of_the_mirror_follows_cooldown_and_blocks(tmp_path: Path, pypi: fakepypi.FakePyPI) -> None:
    """A mirror's cooldown, its end, blocks and a new policy reach a second mirror in that one's next sync."""
    pypi.index.project("six").upload("1.0", uploaded_at=datetime.now(UTC) - timedelta(days=3))
    pypi.index.project("idna").upload("1.0")
    (tmp_path / "first").mkdir()
    ours = Site(tmp_path / "first", upstream=pypi.url)
    ours.everything()
    states = []
    with plain_server(ours.data, index=JSON) as (url, _):
        site = second(tmp_path, url)
        site.everything(guard="100%")
        async with ours.running() as first_mirror, site.running() as running:
            for rest in (
                '[age]\nmin = "7d"',
                '[age]\nmin = "1d"',
                '[age]\nmin = "7d"',
                "",
                '[block]\nprojects = ["six==1.0"]',
                "",
                '[block]\nprojects = ["idna"]',
                "",
            ):
                ours.everything(guard="100%")
                ours.policy.write_text(f"{ours.policy.read_text()}\n{rest}\n")
                await first_mirror.sync()
                await running.sync()
                shown = {name: len(site.filenames(name)) for name in site.pages()}
                states.append(shown)
                assert shown == {name: len(ours.filenames(name)) for name in ours.pages()}, rest

    both = {"six": 2, "idna": 2}
    none = {"six": 0, "idna": 2}
    assert states == [none, both, none, both, none, both, {"six": 2}, both]
