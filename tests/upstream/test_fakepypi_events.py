"""The fake PyPI reports changes of projects like PyPI: serials, journal, quarantine, deletion."""

import asyncio
import xmlrpc.client
from collections.abc import Callable

import aiohttp
import pytest

import fakepypi
from upstream.conftest import json_page

Verb = Callable[[fakepypi.Project], object]


@pytest.mark.parametrize(
    ("verb", "action"),
    [
        pytest.param(lambda foo: foo.upload("2.0", wheel=False), "add source file foo-2.0.tar.gz", id="upload"),
        pytest.param(lambda foo: foo.yank("1.0"), "yank release", id="yank"),
        pytest.param(lambda foo: foo.unyank("1.0"), "unyank release", id="unyank"),
        pytest.param(lambda foo: foo.delete_file("foo-1.0.tar.gz"), "remove file foo-1.0.tar.gz", id="delete_file"),
        pytest.param(lambda foo: foo.delete_release("1.0"), "remove release", id="delete_release"),
        pytest.param(lambda foo: foo.quarantine_release("1.0"), "release quarantined", id="quarantine_release"),
        pytest.param(lambda foo: foo.invite("ann"), "invite Maintainer ann", id="invite"),
        pytest.param(lambda foo: foo.archive(), None, id="archive"),
    ],
)
async def test_every_change_moves_the_serial(
    pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession, verb: Verb, action: str | None
) -> None:
    """Every change except archiving moves the serial, and page, header, root and journal agree on it."""
    foo, other = pypi.index.project("foo"), pypi.index.project("other")
    foo.upload("1.0")
    other.upload("1.0")
    before, lines = pypi.index.serial, len(pypi.index.journal)
    verb(foo)
    assert [entry.action for entry in pypi.index.journal[lines:]][-1:] == ([action] if action else [])
    assert (foo.serial > before) == (action is not None)
    async with client.head("/simple/foo/") as response:
        assert response.headers["X-PyPI-Last-Serial"] == str(foo.serial)
    page, root = await json_page(client, "/simple/foo/"), await json_page(client, "/simple/")
    assert page["meta"]["_last-serial"] == foo.serial
    assert {project["name"]: project["_last-serial"] for project in root["projects"]} == {
        "foo": foo.serial,
        "other": other.serial,
    }
    assert root["meta"]["_last-serial"] == max(foo.serial, before)


async def test_quarantined_project_has_an_empty_page(pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession) -> None:
    """A quarantined project has an empty page; root and legacy JSON omit it, XML-RPC does not."""
    bad = pypi.index.project("Bad")
    bad.upload("1.0")
    bad.quarantine()
    page = await json_page(client, "/simple/bad/")
    assert (page["files"], page["versions"], page["project-status"]) == ([], [], {"status": "quarantined"})
    assert (await json_page(client, "/simple/"))["projects"] == []
    assert (await client.get("/pypi/bad/json")).status == 404
    with xmlrpc.client.ServerProxy(f"{pypi.url}/pypi") as proxy:
        assert await asyncio.to_thread(proxy.list_packages_with_serial) == {"Bad": bad.serial}
    bad.clear_quarantine()
    assert len((await json_page(client, "/simple/bad/"))["files"]) == 2


async def test_deleted_project_has_no_page(pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession) -> None:
    """A deleted project's page is a 404, its file URLs still work, and its file names stay reserved."""
    foo = pypi.index.project("foo")
    file = foo.upload("1.0", sdist=False).wheel
    foo.delete()
    async with client.get("/simple/foo/") as response:
        assert (response.status, response.headers["Content-Type"]) == (404, "text/plain")
        assert await response.read() == b"404 Not Found"
    assert (await json_page(client, "/simple/"))["projects"] == []
    assert (await client.get(f"/{file.path}")).status == 200
    with pytest.raises(ValueError, match=r"foo-1\.0-py3-none-any\.whl was uploaded before"):
        foo.upload("1.0")


async def test_changelog_lists_changes_since_a_serial(pypi: fakepypi.FakePyPI) -> None:
    """XML-RPC lists all changes after a serial, in order, up to the last serial."""
    pypi.index.project("foo").upload("1.0", sdist=False)
    since = pypi.index.serial
    pypi.index.project("foo").yank("1.0")
    pypi.index.project("Bar").upload("0.1", wheel=False)
    with xmlrpc.client.ServerProxy(f"{pypi.url}/RPC2") as proxy:
        entries = await asyncio.to_thread(proxy.changelog_since_serial, since)
        last = await asyncio.to_thread(proxy.changelog_last_serial)
        with pytest.raises(xmlrpc.client.Fault, match="no longer supports"):
            await asyncio.to_thread(proxy.search, {})
    assert isinstance(entries, list)
    actions = ["yank release", "create", "new release", "add source file bar-0.1.tar.gz"]
    assert [(entry[0], entry[3]) for entry in entries] == list(zip(["foo", "Bar", "Bar", "Bar"], actions, strict=True))
    assert entries[-1][4] == last == pypi.index.serial


async def test_archived_project_keeps_its_serial(pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession) -> None:
    """An archived project keeps its files and its serial: only the page changes, by its status and ETag."""
    foo = pypi.index.project("foo")
    foo.upload("1.0")
    active = await json_page(client, "/simple/foo/")
    foo.archive()
    archived = await json_page(client, "/simple/foo/")
    assert archived == active | {"project-status": {"status": "archived"}}
    foo.unarchive()
    assert await json_page(client, "/simple/foo/") == active


async def test_file_name_can_be_reused_on_request(pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession) -> None:
    """On request a file name gets other bytes, as upstreams other than PyPI allow, and both URLs work."""
    foo = pypi.index.project("foo")
    old = foo.upload_file("foo-1.tar.gz", b"old", version="1")
    new = foo.upload_file("foo-1.tar.gz", b"new", version="1", replace=True)
    assert [file["hashes"]["sha256"] for file in (await json_page(client, "/simple/foo/"))["files"]] == [new.sha256]
    for file in (old, new):
        async with client.get(f"/{file.path}") as response:
            assert await response.read() == file.content
