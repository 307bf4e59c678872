"""Content negotiation (PEP 691) with the headers of real clients."""

import gzip
from typing import NamedTuple

import httpx2
import pytest

from nginx.tree import Tree

pytestmark = pytest.mark.docker
THROUGH_AN_EDGE = True
FROM_A_BUCKET = True

HTML = "text/html"
V1_HTML = "application/vnd.pypi.simple.v1+html"
V1_JSON = "application/vnd.pypi.simple.v1+json"
LATEST_JSON = "application/vnd.pypi.simple.latest+json"
LATEST_HTML = "application/vnd.pypi.simple.latest+html"

PIP = f"{V1_JSON}, {V1_HTML}; q=0.1, text/html; q=0.01"
UV = f"{V1_JSON}, {V1_HTML};q=0.2, text/html;q=0.01"
UV_PYX = (
    "application/vnd.pyx.simple.v1+msgpack, application/vnd.pyx.simple.v1+json;q=0.9, "
    f"{V1_JSON};q=0.8, {V1_HTML};q=0.2, text/html;q=0.01"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


class Case(NamedTuple):
    """What is asked, and the type of the answer."""

    accept: str | None
    query: str
    type: str


CASES = [
    # Real clients. pdm asks as pip does.
    Case(PIP, "", V1_JSON),
    Case(UV, "", V1_JSON),
    Case(UV_PYX, "", V1_JSON),
    Case(f"{V1_JSON}, */*;q=0.1", "", V1_JSON),  # poetry
    Case(f"{V1_HTML};q=0.2, {V1_JSON}, text/html;q=0.01", "", V1_JSON),  # devpi
    Case(BROWSER, "", HTML),
    Case("*/*", "", HTML),
    Case(None, "", HTML),
    Case("", "", HTML),
    # One type.
    Case(V1_JSON, "", V1_JSON),
    Case(LATEST_JSON, "", V1_JSON),
    Case(V1_HTML, "", V1_HTML),
    Case(LATEST_HTML, "", V1_HTML),
    Case(HTML, "", HTML),
    Case("application/json", "", HTML),
    Case("application/vnd.pypi.simple.v2+json", "", HTML),
    # Spelling: any case, any blanks, parameters.
    Case(V1_JSON.upper(), "", V1_JSON),
    Case(f"text/plain ,\t{V1_JSON} ; q=1", "", V1_JSON),
    Case(f"{V1_JSON};charset=utf-8", "", V1_JSON),
    Case(f"{V1_JSON}x", "", HTML),
    Case(f"x{V1_JSON}", "", HTML),
    # Refused by weight.
    Case(f"{V1_JSON};q=0, text/html", "", HTML),
    Case(f"{V1_JSON}; q=0.000, {V1_HTML}", "", V1_HTML),
    Case(f"{V1_JSON};a=b;q=0.0, {V1_HTML}", "", V1_HTML),
    Case(f"{V1_JSON};Q=0", "", HTML),
    Case(f"text/html;q=0, {V1_HTML}", "", V1_HTML),
    Case(f"{V1_JSON};q=0.001", "", V1_JSON),
    Case(f"{V1_HTML};q=0, {V1_JSON}", "", V1_JSON),
    # By the query, whatever Accept says.
    Case(BROWSER, f"format={V1_JSON}", V1_JSON),
    Case(HTML, "format=application/vnd.pypi.simple.v1%2Bjson", V1_JSON),
    Case(HTML, "format=application%2Fvnd.pypi.simple.v1%2bjson", V1_JSON),
    Case(HTML, "format=application/vnd.pypi.simple.v1%20json", V1_JSON),
    Case(HTML, f"format={LATEST_JSON}", V1_JSON),
    Case(PIP, f"format={V1_HTML}", V1_HTML),
    Case(PIP, f"format={LATEST_HTML}", V1_HTML),
    Case(PIP, "format=text/html", HTML),
    Case(PIP, "format=text%2fhtml", HTML),
    Case(None, f"a=b&format={V1_JSON}", V1_JSON),
    Case(f"{V1_JSON};q=0", f"format={V1_JSON}", V1_JSON),
    # A query that asks for no type of ours is none.
    Case(PIP, "format=application/vnd.pypi.simple.v2+json", V1_JSON),
    Case(HTML, f"format={V1_JSON}x", HTML),
    Case(V1_HTML, "format=", V1_HTML),
]
PATHS = ("/simple/", "/simple/foo-bar/", "/pypi/web/simple/", "/pypi/web/simple/foo-bar/")


def headers_for(accept: str | None, encoding: str) -> dict[str, str]:
    """Return a request's headers."""
    return {"Accept-Encoding": encoding} | ({} if accept is None else {"Accept": accept})


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("case", CASES)
def test_page_has_the_requested_type(client: httpx2.Client, tree: Tree, path: str, case: Case) -> None:
    """Every page, under both roots, has the requested type: plain and compressed, for GET, HEAD and 304."""
    name = "index.v1_json" if case.type == V1_JSON else "index.html"
    page = tree.web / path.removeprefix("/pypi/web").lstrip("/") / name
    url = f"{path}?{case.query}" if case.query else path
    for encoding, file in (("identity", page), ("gzip", page.with_name(f"{name}.gz"))):
        headers = headers_for(case.accept, encoding)
        for method in ("GET", "HEAD"):
            answer = client.request(method, url, headers=headers)
            assert (answer.status_code, answer.headers["Content-Type"]) == (200, case.type)
            assert answer.headers.get("Content-Encoding", "identity") == encoding
            assert int(answer.headers["Content-Length"]) == file.stat().st_size
            assert answer.content == (page.read_bytes() if method == "GET" else b"")
            assert answer.headers.get_list("Vary") == ["Accept, Accept-Encoding"]
            assert answer.headers.get_list("Cache-Control") == ["max-age=600, public"]
            assert answer.headers["ETag"].startswith('"')

            known = {"If-None-Match": answer.headers["ETag"], "If-Modified-Since": answer.headers["Last-Modified"]}
            again = client.request(method, url, headers=headers | known)
            assert (again.status_code, again.content) == (304, b"")
            for header in ("ETag", "Vary", "Cache-Control", "Last-Modified"):
                assert again.headers.get_list(header) == answer.headers.get_list(header)
            assert "Content-Type" not in again.headers


def test_accept_in_two_lines_is_one_list(client: httpx2.Client) -> None:
    """Several Accept lines count as one list."""
    answer = client.get("/simple/", headers=[("Accept", "text/plain"), ("Accept", V1_JSON)])
    assert answer.headers["Content-Type"] == V1_JSON


def test_each_body_has_its_own_etag(client: httpx2.Client) -> None:
    """No two bodies of one URL share an ETag, so that caches never confuse them."""
    bodies = [
        client.get("/simple/foo-bar/", headers=headers_for(accept, encoding)).headers["ETag"]
        for accept in (HTML, V1_JSON)
        for encoding in ("identity", "gzip")
    ]
    assert len(set(bodies)) == len(bodies)


def test_small_page_is_sent_uncompressed(client: httpx2.Client, tree: Tree) -> None:
    """A page too small for a .gz file is sent uncompressed, with the same Vary header."""
    answer = client.get("/simple/tiny/", headers=headers_for(V1_JSON, "gzip"))
    assert answer.content == (tree.web / "simple/tiny/index.v1_json").read_bytes()
    assert "Content-Encoding" not in answer.headers
    assert answer.headers.get_list("Vary") == ["Accept, Accept-Encoding"]


@pytest.mark.parametrize(
    ("headers", "compressed"),
    [
        ({"Accept-Encoding": "gzip, deflate, zstd"}, True),
        ({"Accept-Encoding": "gzip", "Via": "1.1 proxy"}, True),
        ({"Accept-Encoding": "gzip;q=0"}, False),
        ({}, False),
    ],
)
def test_gzip_is_sent_only_if_accepted(client: httpx2.Client, headers: dict[str, str], compressed: bool) -> None:  # noqa: FBT001
    """Clients that accept gzip get it, also behind a proxy, and no others do."""
    assert ("Content-Encoding" in client.get("/simple/", headers=headers).headers) is compressed


@pytest.mark.origin_only
def test_replaced_page_is_served_at_once(client: httpx2.Client, tree: Tree) -> None:
    """A replaced page is served at once with a new ETag."""
    etags = []
    for day in range(3):
        tree.publish("daily", f"day {day}", mtime=1_790_000_000 + day)
        for encoding in ("gzip", "identity"):
            answer = client.get("/simple/daily/", headers=headers_for(V1_JSON, encoding))
            assert f"day {day}" in answer.text
            etags.append(answer.headers["ETag"])
    assert len(set(etags)) == len(etags)


def test_gz_file_matches_its_page(tree: Tree) -> None:
    """In the tree of these tests, each .gz file contains its page's bytes."""
    page = tree.web / "simple/foo-bar/index.html"
    assert gzip.decompress(page.with_name("index.html.gz").read_bytes()) == page.read_bytes()
