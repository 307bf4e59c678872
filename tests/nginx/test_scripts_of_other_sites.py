"""CORS: scripts of other sites may read what an installer in a browser needs, and nothing else."""

import httpx2
import pytest

from nginx.test_control_proxy import control, wait_for

pytestmark = pytest.mark.docker
THROUGH_AN_EDGE = True
FROM_A_BUCKET = True


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/simple/", 200),
        ("GET", "/simple/foo-bar/", 200),
        ("GET", "/pypi/web/simple/foo-bar/?format=application/vnd.pypi.simple.v1%2Bjson", 200),
        ("GET", "/packages/ab/foo_bar-1.0.tar.gz", 200),
        ("GET", "/packages/ab/foo_bar-1.0.tar.gz.metadata", 200),
        ("GET", "/pypi/foo-bar/json", 200),
        ("GET", "/simple/Foo.Bar/", 301),
        ("GET", "/simple/foo-bar", 301),
        ("GET", "/simple", 301),
        ("GET", "/simple//foo-bar/", 301),
        ("GET", "/pypi/Foo.Bar/json", 301),
        ("GET", "/simple/absent/", 404),
        ("GET", "/packages/ab/absent.whl", 404),
        ("GET", "/packages/.hidden", 404),
        ("OPTIONS", "/simple/foo-bar/", 405),
        ("POST", "/packages/ab/foo_bar-1.0.tar.gz", 405),
    ],
)
def test_pages_files_and_errors_allow_cors(client: httpx2.Client, method: str, path: str, status: int) -> None:
    """Pages, files, redirects and errors allow every origin once, so that a script can tell a 404 from silence."""
    answer = client.request(method, path, headers={"Origin": "https://site.example"})
    assert (answer.status_code, answer.headers.get_list("Access-Control-Allow-Origin")) == (status, ["*"])
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.proves("security/web-pages")
@pytest.mark.parametrize(
    "path",
    [
        *("/", "/healthz", "/status.json", "/centos/.treeinfo", "/centos", "/absent", "/ui", "/api", "/metrics"),
        *("/pypi/web/status.json", "/simple/..%2fstatus.json", "/simple/..%2fcentos/.treeinfo"),
    ],
)
@pytest.mark.tree_only
def test_other_paths_allow_no_cors(client: httpx2.Client, path: str) -> None:
    """Other mirrors' files, the status and the root allow no other origin."""
    assert "Access-Control-Allow-Origin" not in client.get(path, headers={"Origin": "https://site.example"}).headers


@pytest.mark.proves("security/web-pages")
def test_api_allows_no_cors_through_nginx(image: str, client: httpx2.Client, network: str) -> None:
    """No answer of the API allows another origin, nor an error of nginx in its place."""
    asked = {"Origin": "https://site.example"}
    paths = ("/api/v1/status", "/api/v1/problem", "/ui/", "/ui/use")
    with control(image, network, "one"):
        wait_for(client, "one")
        for path in paths:
            assert "Access-Control-Allow-Origin" not in client.get(path, headers=asked).headers
    for path in paths:
        answer = client.get(path, headers=asked)
        assert (answer.status_code, "Access-Control-Allow-Origin" in answer.headers) == (502, False)
