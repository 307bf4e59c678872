"""Each fault has its effect: a fault without one would let every test of the syncer's retries pass."""

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

import fakepypi
from upstream.conftest import JSON

pytestmark = pytest.mark.usefixtures("wheel")


@pytest.fixture
async def client(pypi: fakepypi.FakePyPI) -> AsyncIterator[aiohttp.ClientSession]:
    """A client like the syncer's."""
    async with aiohttp.ClientSession(pypi.url, headers={"Accept": JSON, "Accept-Encoding": "gzip"}) as session:
        yield session


async def page(client: aiohttp.ClientSession, path: str = "/simple/foo/") -> dict[str, Any]:
    """Fetch a page as JSON."""
    async with client.get(path) as response:
        assert response.content_type == JSON
        document: dict[str, Any] = json.loads(await response.read())
        return document


async def test_status_fault_applies_a_number_of_times(
    pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession, wheel: fakepypi.File
) -> None:
    """A status with Retry-After applies as often as requested, to its file alone, and then no longer."""
    pypi.faults.on_file(wheel.filename).status(503, retry_after=1).times(2)
    for _ in range(2):
        async with client.get(f"/{wheel.path}") as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
        assert (await client.get(f"/{wheel.path}.metadata")).status == 200
    assert (await client.get(f"/{wheel.path}")).status == 200
    assert [exchange.status for exchange in pypi.log.to(wheel.filename)] == [503, 503, 200]


async def test_status_fault_applies_to_a_share_of_requests(
    pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession
) -> None:
    """A rule for a share of the requests applies to about as many, the same ones for the same seed, and counts them."""
    seen = []
    for _ in range(2):
        rule = pypi.faults.on_page("foo").sometimes(0.2, dice=random.Random(1)).status(503)
        seen.append([(await client.get("/simple/foo/")).status for _ in range(100)])
        assert rule.met == seen[-1].count(503)
        pypi.faults.clear()
    assert seen[0] == seen[1]
    assert 10 <= seen[0].count(503) <= 30


async def test_gate_holds_requests_until_opened(pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession) -> None:
    """A gate holds requests until it is opened, and the log shows the most concurrent requests."""
    gate = pypi.faults.on_page("foo").gate()
    held = [asyncio.create_task(client.get("/simple/foo/")) for _ in range(2)]
    for _ in held:
        await gate.arrival()
    assert (await client.get("/simple/")).status == 200, "other requests pass"
    assert not any(task.done() for task in held)
    gate.open()
    assert [(await task).status for task in held] == [200, 200]
    assert pypi.log.peak == 3


async def test_delay_postpones_the_answer(pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession) -> None:
    """A delayed answer comes no earlier than requested."""
    pypi.faults.on_root().delay(0.1)
    clock = asyncio.get_running_loop()
    started = clock.time()
    await page(client, "/simple/")
    assert clock.time() - started >= 0.1


async def test_stale_page_is_from_before_the_last_change(
    pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession
) -> None:
    """Stale pages are those from before the last change: serial, body and ETag."""
    before = [await page(client, path) for path in ("/simple/foo/", "/simple/")]
    etag = (await client.get("/simple/foo/")).headers["ETag"]
    pypi.index.project("foo").upload("2.0")
    pypi.faults.on_page("foo").stale()
    pypi.faults.on_root().stale()
    assert [await page(client, path) for path in ("/simple/foo/", "/simple/")] == before
    assert (await client.get("/simple/foo/", headers={"If-None-Match": etag})).status == 304
    pypi.faults.clear()
    assert (await page(client))["versions"] == ["1.0", "2.0"]


async def test_stale_page_of_a_deleted_project_is_its_last(
    pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession
) -> None:
    """A stale page of a deleted project is its last one, with 200."""
    before = await page(client)
    pypi.index.project("foo").delete()
    pypi.faults.on_page("foo").stale().times(1)
    assert await page(client) == before
    assert (await client.get("/simple/foo/")).status == 404


@pytest.mark.parametrize(
    ("fault", "field", "told"),
    [
        pytest.param(lambda rule: rule.wrong_hash(), "hashes", {"sha256": "0" * 64}, id="wrong_hash"),
        pytest.param(lambda rule: rule.wrong_size(), "size", 7, id="wrong_size"),
        pytest.param(lambda rule: rule.file_url("../../../etc/x"), "url", "../../../etc/x", id="file_url"),
        pytest.param(lambda rule: rule.edit_files(filename="../x.whl"), "filename", "../x.whl", id="edit_files"),
    ],
)
async def test_false_page_has_its_own_etag(
    pypi: fakepypi.FakePyPI,
    client: aiohttp.ClientSession,
    fault: Callable[[fakepypi.Rule], object],
    field: str,
    told: object,
) -> None:
    """A page shows the requested false value for all its files, also in HTML, with its own ETag."""
    honest = (await client.get("/simple/foo/")).headers["ETag"]
    fault(pypi.faults.on_page("foo"))
    assert [file[field] for file in (await page(client))["files"]] == [told, told]
    async with client.get("/simple/foo/") as response:
        assert response.headers["ETag"] != honest
    async with client.get("/simple/foo/", headers={"Accept": "text/html"}) as response:
        in_html = {"hashes": f'#sha256={"0" * 64}"', "url": '"../../../etc/x#', "filename": ">../x.whl<", "size": ""}
        assert in_html[field] in await response.text()


async def test_page_can_name_another_project(pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession) -> None:
    """A page can claim to be another project's."""
    pypi.faults.on_page().named("/etc/x")
    assert (await page(client))["name"] == "/etc/x"


async def test_upstream_can_lack_serials_and_validators(
    pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession, wheel: fakepypi.File
) -> None:
    """An upstream can lack serials, ETags, ranges and JSON."""
    pypi.faults.everywhere().without_serials().without("ETag", "Last-Modified").ignore_ranges()
    assert "_last-serial" not in str([await page(client), await page(client, "/simple/")])
    pypi.faults.on_root().html_only()
    for path in ("/simple/foo/", "/simple/", f"/{wheel.path}"):
        async with client.get(path, headers={"Range": "bytes=5-"}) as response:
            assert response.status == 200
            assert not {"ETag", "X-PyPI-Last-Serial", "Last-Modified", "Accept-Ranges"} & set(response.headers)
    async with client.get("/simple/") as response:
        assert response.content_type == "text/html"


async def test_login_page_answers_every_request(pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession) -> None:
    """A captive portal answers every request with 200 and HTML."""
    pypi.faults.everywhere().login_page()
    for path in ("/simple/", "/simple/foo/", "/simple/unknown/"):
        async with client.get(path) as response:
            assert (response.status, response.content_type) == (200, "text/html")
            assert "Sign in" in await response.text()


async def test_redirect_leads_to_its_target(pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession) -> None:
    """A redirect leads to its target, and a loop never ends."""
    pypi.faults.on_page().redirect("http://elsewhere.invalid/", code=307)
    pypi.faults.on_root().redirect_loop()
    async with client.get("/simple/foo/", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (307, "http://elsewhere.invalid/")
    with pytest.raises(aiohttp.TooManyRedirects):
        await client.get("/simple/")


async def test_required_login_refuses_wrong_credentials(pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession) -> None:
    """Only the right credentials get an answer."""
    pypi.faults.everywhere().require_login("ann", "secret")
    assert (await client.get("/simple/foo/")).status == 401
    for password, status in (("wrong", 401), ("secret", 200)):
        login = {"Authorization": f"Basic {base64.b64encode(f'ann:{password}'.encode()).decode()}"}
        assert (await client.get("/simple/foo/", headers=login)).status == status


async def test_files_can_be_on_another_host() -> None:
    """Pages can name files on another host, and the log shows requests for files only there."""
    async with fakepypi.serve(files_elsewhere=True) as pypi, aiohttp.ClientSession(pypi.url) as client:
        pypi.index.project("foo").upload("1.0", sdist=False)
        async with client.get("/simple/foo/", headers={"Accept": JSON}) as response:
            [file] = (await response.json(content_type=JSON))["files"]
        assert (await client.get(file["url"])).status == 200
        hosts = [exchange.headers["host"].partition(":")[0] for exchange in pypi.log]
        assert hosts == ["127.0.0.1", "127.0.0.2"]
