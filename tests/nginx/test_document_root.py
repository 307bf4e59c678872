"""The document root: other mirrors' trees, hidden files, directories."""

import socket
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import httpx2
import pytest

from nginx.containers import Container, connect, mirror
from nginx.tree import Tree, plant

pytestmark = pytest.mark.docker
THROUGH_AN_EDGE = True
FROM_A_BUCKET = True

SECRETS = (
    "/pypi/.mirror-id",
    "/pypi/.staging/half.whl",
    "/pypi/.withdrawn/evil.whl",
    "/pypi/web/simple/.temporary",
    "/simple/.temporary",
    "/pypi/web/packages/ab/.temporary",
    "/packages/ab/.temporary",
)


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize("path", SECRETS)
def test_dotfile_is_absent(nginx: Container, tree: Tree, path: str) -> None:
    """Partial downloads, withdrawn files and private files are absent under any spelling of their path."""
    assert any(tree.root.rglob(path.rpartition("/")[2])), "the file is there"
    dot = path.index("/.") + 1
    spellings = (
        path,
        f"{path[:dot]}%2e{path[dot + 1 :]}",
        f"{path[:dot]}/{path[dot:]}",
        f"{path[:dot]}./{path[dot:]}",
        f"/centos/..{path}",
        f"/centos/%2e%2e{path}",
        f"/centos%2f..{path}",
        f"//{path[1:]}",
    )
    for spelling in spellings:
        assert ask(nginx, spelling) == (404, b"404: not on this mirror\n"), spelling


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize(
    "path",
    [
        "/../etc/passwd",
        "/..%2fetc/passwd",
        "/%2e%2e/etc/passwd",
        "/packages/ab/../../../../../etc/passwd",
        "/\\..\\etc",
    ],
)
def test_path_cannot_leave_the_document_root(nginx: Container, path: str) -> None:
    """No path leaves the document root."""
    status, body = ask(nginx, path)
    assert status in (400, 404)
    assert b"root:" not in body


@pytest.mark.proves("security/neighbours")
@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/centos/.treeinfo", b"[general]\n"),
        ("/centos/images/boot%20iso+1.iso", b"\x00" * 4096),
        ("/ubuntu/", b"<p>Ubuntu\n"),
    ],
)
@pytest.mark.tree_only
def test_other_mirrors_are_served_unchanged(client: httpx2.Client, path: str, content: bytes) -> None:
    """Other mirrors beside ``pypi/`` are served unchanged, dotfiles and index pages included."""
    answer = client.get(path)
    assert (answer.status_code, answer.content) == (200, content)
    # An HTML page among them can neither run scripts nor read what the operator types on ours.
    assert answer.headers.get_list("Content-Security-Policy") == ["sandbox allow-downloads"]
    assert answer.headers.get_list("X-Content-Type-Options") == ["nosniff"]
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.tree_only
def test_directory_redirect_is_relative(client: httpx2.Client) -> None:
    """A directory without a slash redirects by a relative path."""
    assert client.get("/centos").headers["Location"] == "./centos/"
    assert client.get("/centos/images?a=b").headers["Location"] == "./images/?a=b"


def test_root_lists_urls_as_text(client: httpx2.Client) -> None:
    """The root answers with a text that lists the URLs."""
    answer = client.get("/")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/plain")
    assert "/simple/" in answer.text
    assert "/api/v1/status" in answer.text


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
PIP = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"


@pytest.mark.parametrize("accept", [BROWSER, "text/html", "Text/HTML;q=0.9, text/plain"])
def test_browser_at_root_is_redirected_to_the_page(client: httpx2.Client, accept: str) -> None:
    """A browser at the root is redirected to the page by a relative path, and caches serve it to no one else."""
    answer = client.get("/", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["Location"]) == (302, "ui/")
    assert (answer.headers["Vary"], answer.headers["Cache-Control"]) == ("Accept", "no-cache")


@pytest.mark.parametrize("accept", [PIP, "*/*", "application/json", "text/htmlx", ""])
def test_installer_at_root_gets_text(client: httpx2.Client, accept: str) -> None:
    """pip (``--find-links``) and curl get the text at the root, whatever else they accept."""
    answer = client.get("/", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/plain")
    assert answer.headers["Vary"] == "Accept"


def test_own_index_html_replaces_the_redirect(image: str, tmp_path: Path) -> None:
    """An operator's ``index.html`` replaces the redirect for browsers."""
    tree = plant(tmp_path / "root")
    tree.write("index.html", b"<p>Our mirrors\n")
    with mirror(image, tree.root) as container, connect(container) as client:
        answer = client.get("/", headers={"Accept": BROWSER})
        assert answer.text == "<p>Our mirrors\n"
        assert answer.headers["Content-Security-Policy"] == "sandbox allow-downloads"


@pytest.mark.parametrize("path", ["/status.json", "/pypi/web/status.json"])
def test_status_json_is_not_cached(client: httpx2.Client, path: str) -> None:
    """The status file is available under both roots, and no cache keeps it."""
    answer = client.get(path)
    assert (answer.headers["Content-Type"], answer.json()) == ("application/json", {"serial": 1})
    assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/simple/absent/",
        "/simple/foo-bar/index.html.gz",
        "/pypi/absent/json",
        "/absent",
        "/metrics",
        "/.page/html",
        "/.warm",
        "/.withdrawn",
        "/.present",
        "/.error/away",
    ],
)
def test_missing_path_is_404_in_one_line(client: httpx2.Client, path: str) -> None:
    """A missing or internal path is a 404 in one line of text."""
    answer = client.get(path)
    told = "absent is not on this mirror; its page /ui/projects/absent says why and how to get it"
    of_project = path in ("/simple/absent/", "/pypi/absent/json")
    assert (answer.status_code, answer.text) == (404, f"404: {told if of_project else 'not on this mirror'}\n")
    assert answer.headers["Content-Type"] == "text/plain"


@pytest.mark.tree_only
def test_directory_is_not_listed_by_default(client: httpx2.Client) -> None:
    """A directory shows no listing by default, and the answer names the setting."""
    answer = client.get("/centos/")
    assert (answer.status_code, answer.headers["Content-Type"]) == (403, "text/plain")
    assert "MIRROR_NGINX=listing" in answer.text


def test_listing_shows_only_other_mirrors(image: str, tree: Tree) -> None:
    """``MIRROR_NGINX=listing`` lists the root and other mirrors, but neither the mirror's own tree nor dotfiles."""
    with mirror(image, tree.root, "--env=MIRROR_NGINX=listing") as container, connect(container) as client:
        assert '<a href="centos/">' in client.get("/", headers={"Accept": BROWSER}).text
        listing = client.get("/centos/")
        assert '<a href="images/">' in listing.text
        assert listing.headers["Content-Security-Policy"] == "sandbox allow-downloads"
        assert ".mirror-id" not in client.get("/pypi/").text
        assert client.get("/simple/").text.startswith("index.html: list of projects")
        for ours in ("simple/foo", "packages/", "packages/ab/", "packages/ab/ef/", "pypi/", "pypi/foo-bar/"):
            assert "Index of" not in client.get(f"/pypi/web/{ours}").text, ours
        for ours in ("/simple/foo", "/packages/", "/packages/ab/", "/pypi/foo-bar/"):
            assert "Index of" not in client.get(ours).text, ours


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET /simple/ HTTP/1.1\r\nHost: a\r\nHost: b", 400),
        (b"GET /simple/\x00 HTTP/1.1\r\nHost: a", 400),
        (b"GET /simple/ HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40_000, 400),
        (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: a", 414),
        (b"POST /simple/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0", 405),
        (b"DELETE /packages/ab/foo.tar HTTP/1.1\r\nHost: a", 405),
        (b"POST /simple/ HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999", 405),
        (b"GET /simple/ HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999", 413),
        (b"GET /simple/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked", 501),
        (b"GET /simple/ HTTP/3.0\r\nHost: a", 505),
    ],
)
def test_invalid_request_is_refused_in_one_line(nginx: Container, request_head: bytes, status: int) -> None:
    """A malformed, too long or changing request is refused in one line of text."""
    with socket.create_connection(nginx.address, timeout=5) as connection:
        connection.sendall(request_head + b"\r\nConnection: close\r\n\r\n")
        answer = HTTPResponse(connection)
        answer.begin()
        assert (answer.status, answer.headers["Content-Type"]) == (status, "text/plain")
        assert answer.read().startswith(str(status).encode())


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "ODD"])
def test_only_get_and_head_are_allowed(client: httpx2.Client, method: str) -> None:
    """Every other method is 405 with the allowed ones, also for paths without a file."""
    paths = ("/", "/healthz", "/simple/", "/simple/Foo", "/packages/ab/foo.tar", "/centos/.treeinfo", "/centos/", "/ui")
    for path in (*paths, "/status.json", "/pypi/foo-bar/json", "/absent"):
        answer = client.request(method, path)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD"), path
        assert answer.text == "405: only GET and HEAD are allowed here\n", path


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize(
    "path", ["/simple/", "/simple/foo-bar/", "/packages/ab/foo.tar", "/pypi/foo-bar/json", "/absent"]
)
def test_pages_run_no_script_and_hide_the_version(client: httpx2.Client, path: str) -> None:
    """Browsers run no script of any page, and answers hide nginx's version."""
    answer = client.get(path)
    assert answer.headers.get_list("X-Content-Type-Options") == ["nosniff"]
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    # Chromium blocks the downloads that a sandboxed page links to.
    assert "sandbox" not in policy
    assert answer.headers["Server"] == "nginx"


def ask(nginx: Container, path: str) -> tuple[int, bytes]:
    """Send a request and return the successful answer."""
    connection = HTTPConnection(*nginx.address, timeout=5)
    connection.request("GET", path)
    answer = connection.getresponse()
    result = (answer.status, answer.read())
    connection.close()
    return result
