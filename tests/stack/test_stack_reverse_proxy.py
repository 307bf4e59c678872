"""The stack behind Debian's nginx and Apache under a path, set up as docs/reverse-proxy.md shows."""

import re
import secrets
from collections.abc import Iterator
from html import unescape
from urllib.parse import urljoin

import httpx2
import pytest

from stack.compose import REPOSITORY, Stack, container, run, until
from stack.mirror import Mirror

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900), pytest.mark.proves("security/clients")]

SHOWN = (REPOSITORY / "docs/reverse-proxy.md").read_text()
PREFIX = "/pypi-proxy"
NGINX = """
daemon off;
error_log stderr warn;
pid /tmp/proxy.pid;
events {{ }}
http {{
  access_log off;
  client_body_temp_path /tmp/body;
  proxy_temp_path /tmp/proxied;
  server {{
    listen 80;
{shown}
  }}
}}
"""


def shown(language: str) -> str:
    """Return the documented configuration of a proxy, with this stack's nginx behind it."""
    (block,) = re.findall(rf"```{language}\n(.*?)```", SHOWN, re.DOTALL)
    assert "http://mirror:8080/" in block
    return str(block).replace("http://mirror:8080/", "http://nginx:8080/")


@pytest.fixture(scope="module")
def apache() -> Iterator[str]:
    """Return the name of an image with Apache."""
    name = f"pypi-mirror-apache-test:{secrets.token_hex(4)}"
    run("docker", "build", "--quiet", "--tag", name, str(REPOSITORY / "tests/stack/apache"))
    yield name
    run("docker", "rmi", name)


@pytest.fixture(scope="module", params=["nginx", "apache"])
def proxy(request: pytest.FixtureRequest, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of the mirror behind a proxy; in the stack's network the host name is the proxy's."""
    configuration = tmp_path_factory.mktemp("proxy") / "proxy.conf"
    if request.param == "nginx":
        configuration.write_text(NGINX.format(shown=shown("nginx")))
        command = ["--entrypoint=nginx", "--user=0", "pypi-mirror-test-nginx", "-e", "stderr", "-c", "/proxy.conf"]
        place = "/proxy.conf"
    else:
        configuration.write_text(shown("apache"))
        command = [request.getfixturevalue("apache")]
        place = "/etc/apache2/conf-enabled/mirror.conf"
    configuration.chmod(0o644)
    name = f"proxy-{request.param}"
    options = (f"--network={stack.project}_front", f"--network-alias={name}", "--publish=127.0.0.1::80")
    with container(*options, f"--volume={configuration}:{place}:ro", *command) as started:
        address = run("docker", "port", started, "80/tcp").splitlines()[0]
        base = f"http://{address}{PREFIX}"
        until(lambda: answers(f"{base}/healthz"), seconds=20)
        yield base


def answers(url: str) -> bool:
    """Return whether the URL answers with success."""
    try:
        return httpx2.get(url, trust_env=False, timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


@pytest.fixture
def client(proxy: str, mirror: Mirror) -> Iterator[httpx2.Client]:
    """Return a client of the proxy, which follows redirects."""
    with httpx2.Client(follow_redirects=True, trust_env=False, timeout=10) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "end"),
    [
        ("/simple/six", "/simple/six/"),
        ("/simple/SIX/", "/simple/six/"),
        ("/simple", "/simple/"),
        ("/pypi/web/simple", "/pypi/web/simple/"),
        ("/pypi/web/simple/Six", "/pypi/web/simple/six/"),
        ("/simple//six/", "/simple/six/"),
        ("/simple/six//", "/simple/six/"),
        ("/ui", "/ui/"),
    ],
)
def test_redirects_stay_below_the_path(client: httpx2.Client, proxy: str, path: str, end: str) -> None:
    """Every redirect ends below the proxy's path, at a page whose files exist."""
    answer = client.get(proxy + path, headers={"Accept": "text/html"})
    assert (answer.status_code, str(answer.url)) == (200, proxy + end)
    files = re.findall(r'href="([^"#]*packages/[^"#]+)', answer.text)
    assert ("/six/" in end) is bool(files)
    assert all(client.head(str(answer.url.join(file))).status_code == 200 for file in files)


def test_page_works_below_the_path(client: httpx2.Client, proxy: str) -> None:
    """A browser at the proxy's path gets the operator's page, all its assets, and the right index URL."""
    home = client.get(f"{proxy}/", headers={"Accept": "text/html"})
    assert str(home.url) == f"{proxy}/ui/"
    for page in (
        "/ui/",
        "/ui/projects",
        "/ui/projects/six",
        "/ui/runs",
        "/ui/policy",
        "/ui/downloads",
        "/ui/use",
        "/api/docs",
    ):
        answer = client.get(proxy + page)
        assert answer.status_code == 200, page
        for kind, link in sorted(set(re.findall(r'(href|src|action)="([^"#]+)"', answer.text)))[:30]:
            leads = urljoin(str(answer.url), unescape(link))
            assert leads.startswith(f"{proxy}/"), (page, link)
            # A form is sent, with a token.
            assert kind == "action" or client.get(leads).status_code == 200, (page, link)
    assert f"{proxy}/simple/" in client.get(f"{proxy}/ui/use").text


def test_api_links_stay_below_the_path(client: httpx2.Client, proxy: str, mirror: Mirror) -> None:
    """The API's ``Link`` and ``Location`` lead below the proxy's path."""
    first = client.get(f"{proxy}/api/v1/projects?limit=1")
    second = client.get(urljoin(str(first.url), first.links["next"]["url"]))
    assert (second.status_code, str(second.url).startswith(f"{proxy}/api/v1/projects?")) == (200, True)
    token = {"Authorization": f"Bearer {mirror.token}"}
    made = client.post(f"{proxy}/api/v1/runs", json={"kind": "sync", "projects": ["six"]}, headers=token)
    found = client.get(urljoin(str(made.url), made.headers["Location"]))
    assert (made.status_code, found.json()["id"]) == (202, made.json()["id"])
    mirror.wait(made.json()["id"])


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_clients_install_below_the_path(
    proxy: str, stack: Stack, mirror: Mirror, tool: str, request: pytest.FixtureRequest
) -> None:
    """pip and uv install through the proxy, also by an index URL with an extra slash."""
    host = f"proxy-{request.node.callspec.params['proxy']}"
    for index in (f"http://{host}{PREFIX}/simple/", f"http://{host}{PREFIX}/simple//"):
        install = {
            "pip": ("pip", "install", "--quiet", "--no-deps", "--trusted-host", host),
            "uv": ("uv", "pip", "install", "--quiet", "--no-deps", "--allow-insecure-host", host),
        }[tool]
        stack.execute("client", *install, "--target=/tmp/proxied", "--index-url", index, "six")
        assert stack.execute("client", "sh", "-c", "ls -d /tmp/proxied/six-*; rm -rf /tmp/proxied")
