"""The fake PyPI answers like warehouse; the syncer's tests rely on this."""

import base64
import hashlib
import json
import random

import aiohttp
import pytest

import fakepypi
from upstream.conftest import JSON, json_page

HTML = "application/vnd.pypi.simple.v1+html"


async def test_html_page_equals_warehouses_template(pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession) -> None:
    """A project's HTML page equals the output of warehouse's frozen templates, byte for byte."""
    project = pypi.index.project("Foo.Bar")
    release = project.upload("1.0", requires_python=">=3.9", provenance=True)
    project.yank("1.0", reason='a "b" <c>')
    project.upload("2.0", wheel=False)
    wheel, old, new = project.files
    assert (wheel, old) == (release.wheel, release.sdist)
    links = [f"{pypi.url}/{file.path}#sha256={file.sha256}" for file in project.files]
    said = 'data-requires-python="&gt;=3.9" data-yanked="a &#34;b&#34; &lt;c&gt;" '
    metadata = (
        f'data-dist-info-metadata="sha256={wheel.metadata_sha256}" data-core-metadata="sha256={wheel.metadata_sha256}"'
    )
    proof = ' data-provenance="https://pypi.org/integrity/foo-bar/1.0/{}/provenance"'
    async with client.get("/simple/foo-bar/") as response:
        assert response.headers["Content-Type"] == "text/html"
        assert (
            (await response.read()).decode()
            == f"""\
<!DOCTYPE html>
<html lang="en">
  <head>
    <meta name="pypi:repository-version" content="1.4">
<meta name="pypi:project-status" content="active">    <title>Links for foo-bar</title>
  </head>
  <body>
    <h1>Links for foo-bar</h1>
<a href="{links[0]}" {said}{metadata}{proof.format(wheel.filename)}>{wheel.filename}</a><br />
<a href="{links[1]}" {said}{proof.format(old.filename)}>{old.filename}</a><br />
<a href="{links[2]}" >{new.filename}</a><br />
</body>
</html>
<!--SERIAL {project.serial}-->"""
        )


async def test_json_page_has_warehouses_form(pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession) -> None:
    """A JSON page is compact, sorted, ends in a newline, and has the keys that PyPI sends."""
    file = pypi.index.project("Foo.Bar").upload("1.0", sdist=False).wheel
    async with client.get("/simple/foo-bar/", headers={"Accept": JSON}) as response:
        assert response.headers["Content-Type"] == JSON
        body = (await response.read()).decode()
    page = json.loads(body)
    assert body == json.dumps(page, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    [listed] = page.pop("files")
    serial = pypi.index.project("foo-bar").serial
    assert page == {
        "meta": {"_last-serial": serial, "api-version": "1.4"},
        "name": "foo-bar",
        "project-status": {"status": "active"},
        "versions": ["1.0"],
    }
    assert listed == {
        "core-metadata": {"sha256": file.metadata_sha256},
        "data-dist-info-metadata": {"sha256": file.metadata_sha256},
        "filename": "foo_bar-1.0-py3-none-any.whl",
        "hashes": {"sha256": hashlib.sha256(file.content).hexdigest()},
        "provenance": None,
        "requires-python": None,
        "size": len(file.content),
        "upload-time": file.uploaded_at.isoformat().replace("+00:00", "Z"),
        "url": f"{pypi.url}/{file.path}",
        "yanked": False,
    }


@pytest.mark.parametrize(
    ("accept", "query", "answered"),
    [
        (None, "", "text/html"),
        ("*/*", "", "text/html"),
        ("application/json", "", "text/html"),
        ("text/*", "", "text/html"),
        ("application/*", "", HTML),
        (f"{JSON}, {HTML}; q=0.1, text/html; q=0.01", "", JSON),
        (f"{JSON};q=0, text/html;q=0.5", "", "text/html"),
        ("application/vnd.pypi.simple.latest+json", "", JSON),
        ("text/html", f"?format={JSON}".replace("+", "%2B"), JSON),
    ],
)
async def test_page_form_is_negotiated_like_on_pypi(
    pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession, accept: str | None, query: str, answered: str
) -> None:
    """A page has the form that PyPI's edge would choose, and never is a 406."""
    pypi.index.project("foo").upload("1.0")
    headers = {} if accept is None else {"Accept": accept}
    skipped = [] if accept else ["Accept"]
    async with client.get(f"/simple/foo/{query}", headers=headers, skip_auto_headers=skipped) as response:
        assert (response.status, response.headers["Content-Type"]) == (200, answered)
        assert response.headers["Vary"] == "Accept, Accept-Encoding"


@pytest.mark.parametrize("path", ["/simple/", "/simple/foo/", "/pypi/foo/json"])
async def test_etag_is_md5_of_the_sent_bytes(pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession, path: str) -> None:
    """An ETag is the md5 of the sent bytes; it gets 304 while they are the same, and 200 when they differ."""
    foo = pypi.index.project("foo")
    foo.upload("1.0")
    tags = {}
    for encoding in ("identity", "gzip"):
        async with client.get(path, headers={"Accept-Encoding": encoding, "Accept": JSON}) as response:
            digest = hashlib.md5(await response.read()).digest()
            tags[encoding] = response.headers["ETag"]
            assert tags[encoding] == '"' + base64.b64encode(digest).decode().rstrip("=") + '"'
    assert tags["identity"] != tags["gzip"]
    known = {"Accept": JSON, "If-None-Match": tags["identity"]}
    async with client.get(path, headers=known) as response:
        assert (response.status, await response.read()) == (304, b"")
        assert response.headers["ETag"] == tags["identity"]
        assert response.headers["X-PyPI-Last-Serial"] == str(foo.serial)
    foo.upload("1.1")
    async with client.get(path, headers=known) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/simple", "/simple/"),
        ("/simple/foo", "/simple/foo/"),
        ("/simple/Foo_Bar/", "/simple/foo-bar/"),
    ],
)
async def test_unnormalized_url_is_redirected(client: aiohttp.ClientSession, path: str, location: str) -> None:
    """A missing slash or a name that is not normalized gets a 301."""
    async with client.get(path, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (301, location)


async def test_range_is_a_slice_of_the_file(pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession) -> None:
    """A range is a slice of its file; If-Range guards it, and a range beyond the end is a 416."""
    file = pypi.index.project("foo").upload("1.0", sdist=False, padding=5000).wheel
    size, choose = len(file.content), random.Random(7)
    for _ in range(25):
        first = choose.randrange(size)
        last = choose.randrange(first, size + 10)
        span = file.content[first : last + 1]
        async with client.get(f"/{file.path}", headers={"Range": f"bytes={first}-{last}"}) as response:
            assert (response.status, await response.read()) == (206, span)
            assert response.headers["Content-Range"] == f"bytes {first}-{first + len(span) - 1}/{size}"
    suffix, beyond = {"Range": "bytes=-100"}, {"Range": f"bytes={size}-"}
    async with client.get(f"/{file.path}", headers=suffix | {"If-Range": f'"{file.md5}"'}) as response:
        assert (response.status, await response.read()) == (206, file.content[-100:])
    async with client.get(f"/{file.path}", headers=suffix | {"If-Range": '"another"'}) as response:
        assert (response.status, await response.read()) == (200, file.content)
    async with client.get(f"/{file.path}", headers=beyond) as response:
        assert (response.status, response.headers["Content-Range"]) == (416, f"bytes */{size}")
    async with client.get(f"/{file.path}", headers={"Range": f"bytes=-{size + 1}"}) as response:
        assert (response.status, await response.read()) == (206, file.content)
        assert response.headers["Content-Range"] == f"bytes 0-{size - 1}/{size}"
    async with client.get(f"/{file.path}", headers={"Range": "bytes=-0"}) as response:
        assert response.status == 416
    for invalid in ("bytes=-", "bytes=5-4", "bytes=a-", "bytes=--1", "items=0-1", "bytes=0-1,3-4"):
        async with client.get(f"/{file.path}", headers={"Range": invalid}) as response:
            assert (response.status, await response.read()) == (200, file.content)
    async with client.get(f"/{file.path}", headers={"If-None-Match": f'"{file.md5}"'}) as response:
        assert response.status == 200, "PyPI's edge drops conditions on files"


async def test_file_path_contains_its_hash(pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession) -> None:
    """A file's URL contains its blake2b, quotes odd names, and has a wheel's METADATA beside it."""
    foo = pypi.index.project("foo")
    odd = foo.upload_file("foo 1#0+x.tar.gz", b"odd", version="1")
    wheel = foo.upload("1.0", sdist=False).wheel
    digest = hashlib.blake2b(b"odd", digest_size=32).hexdigest()
    [first, _] = (await json_page(client, "/simple/foo/"))["files"]
    assert first["url"] == f"{pypi.url}/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/foo%201%230+x.tar.gz"
    async with aiohttp.request("GET", first["url"]) as response:
        assert await response.read() == odd.content
    async with client.get(f"/{wheel.path}.metadata") as response:
        beside = await response.read()
    assert hashlib.sha256(beside).hexdigest() == wheel.metadata_sha256


async def test_head_has_the_headers_of_get(pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession) -> None:
    """HEAD has the headers of GET, including Content-Length, on pages and on files."""
    file = pypi.index.project("foo").upload("1.0", sdist=False).wheel
    for path in ("/simple/", "/simple/foo/", f"/{file.path}", f"/{file.path}.metadata", "/pypi/foo/json"):
        async with client.get(path) as got, client.head(path) as head:
            assert await head.read() == b""
            assert dict(head.headers) | {"Date": ""} == dict(got.headers) | {"Date": ""}
            assert int(head.headers["Content-Length"]) == len(await got.read())


async def test_attestations_are_served(pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession) -> None:
    """Files with attestations serve them in two media types and no other (PEP 740)."""
    foo = pypi.index.project("foo")
    foo.upload("1.0", sdist=False, provenance=True)
    foo.upload("1.1", sdist=False)
    integrity = "application/vnd.pypi.integrity.v1+json"
    for version, accept, status in (("1.0", integrity, 200), ("1.0", "text/html", 406), ("1.1", integrity, 404)):
        path = f"/integrity/foo/{version}/foo-{version}-py3-none-any.whl/provenance"
        async with client.get(path, headers={"Accept": accept}) as response:
            assert response.status == status


async def test_legacy_json_describes_the_newest_version(pypi: fakepypi.FakePyPI, client: aiohttp.ClientSession) -> None:
    """The legacy JSON describes the newest version and lists all, or describes one version without the list."""
    foo = pypi.index.project("Foo")
    old, new = foo.upload("1.9", wheel=False).sdist, foo.upload("1.10", wheel=False).sdist
    foo.yank("1.9", reason="old")
    newest = await json_page(client, "/pypi/FOO/json")
    assert (newest["info"]["name"], newest["info"]["version"], newest["last_serial"]) == ("Foo", "1.10", foo.serial)
    assert {version: [it["filename"] for it in files] for version, files in newest["releases"].items()} == {
        "1.9": [old.filename],
        "1.10": [new.filename],
    }
    [described] = (one := await json_page(client, "/pypi/foo/1.9/json"))["urls"]
    assert "releases" not in one
    assert (described["yanked"], described["yanked_reason"], described["packagetype"]) == (True, "old", "sdist")
    assert described["digests"]["blake2b_256"] == hashlib.blake2b(old.content, digest_size=32).hexdigest()
    assert (await client.get("/pypi/foo/2.0/json")).status == 404
