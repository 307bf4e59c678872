"""Host names: protection against DNS rebinding."""

import httpx2
import pytest

from control.conftest import TOKEN, Serve
from mirror_control.access.hosts import Hosts, parse_hosts
from mirror_control.settings import Settings, SettingsError

FOREIGN = [
    "evil.example",
    "evil.example:8080",
    "EVIL.example",
    "evil.example.",
    "10.1.2.3.evil.example",
    "local.evil.org",
]
READING = [
    "/api/v1/status",
    "/api/v1/runs",
    "/api/v1/projects",
    "/api/v1/downloads",
    "/api/openapi.json",
    "/metrics",
    "/readyz",
]


@pytest.mark.proves("security/web-pages")
@pytest.mark.parametrize("host", FOREIGN)
def test_unknown_host_name_is_421(client: httpx2.Client, host: str) -> None:
    """A reading call with an unknown host name is 421, and the message names the setting."""
    for path in READING:
        answer = client.get(path, headers={"Host": host})
        assert (answer.status_code, answer.headers["content-type"]) == (421, "application/problem+json"), path
        name = host.partition(":")[0].lower().rstrip(".")
        assert f"add it in .env (MIRROR_HOSTS={name}) and run `docker compose up -d`" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/ui", "/ui/", "/ui/downloads", "/ui/static/x/page.js"])
def test_browser_gets_421_as_text(client: httpx2.Client, path: str) -> None:
    """A browser gets the 421 of a page as plain text."""
    answer = client.get(path, headers={"Host": "pypi.company.com:8080"})
    assert (answer.status_code, answer.headers["content-type"]) == (421, "text/plain; charset=utf-8")
    assert "(MIRROR_HOSTS=pypi.company.com)" in answer.text


@pytest.mark.proves("security/web-pages")
@pytest.mark.parametrize(
    "host",
    [
        "10.1.2.3:8080",
        "127.0.0.1",
        "[::1]:8081",
        "[fd00::1]",
        "localhost:8080",
        "mirror",
        "control:8081",
        "mirror:8080",
        "mirror.local",
        "pypi.corp:8080",
        "a.b.internal",
        "mirror.home.arpa",
        "MIRROR.LAN.",
    ],
)
def test_address_and_private_name_need_no_setting(client: httpx2.Client, host: str) -> None:
    """Addresses, names without a dot and private names work without configuration."""
    for path in ("/api/v1/status", "/ui/"):
        assert client.get(path, headers={"Host": host}).status_code == 200, path


def test_listed_host_name_is_accepted(settings: Settings, monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    """Names and wildcards of MIRROR_HOSTS are accepted, and no others."""
    monkeypatch.setenv("MIRROR_HOSTS", "mirror.example.org, *.corp.example.net")
    object.__setattr__(settings, "hosts", Settings.load().hosts)
    with serve() as client:
        found = {
            host: client.get("/api/v1/status", headers={"Host": host}).status_code
            for host in (
                *("mirror.example.org:8080", "Mirror.Example.ORG", "a.corp.example.net", "a.b.corp.example.net"),
                *("corp.example.net", "evilcorp.example.net", "example.org", "x.mirror.example.org"),
            )
        }
    assert list(found.values()) == [200] * 4 + [421] * 4, found


def test_asterisk_accepts_any_host_name() -> None:
    """`*` accepts any host name."""
    assert Hosts(parse_hosts("*")).includes("evil.example")


@pytest.mark.parametrize(
    "text", ["http://mirror.example.org", "mirror.example.org:8080", "a b/c", "*.*", "a..b", "ö.org"]
)
def test_invalid_hosts_setting_stops_the_start(settings: Settings, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A URL, a port or a typo in MIRROR_HOSTS stops the start, with an example of a valid name."""
    monkeypatch.setenv("MIRROR_HOSTS", text)
    with pytest.raises(SettingsError, match=r"MIRROR_HOSTS=.*write mirror\.example\.org"):
        Settings.load()


@pytest.mark.parametrize("host", ["evil.example/x", "user@10.1.2.3", "a b", "<script>", "[::1", "10.1.2.3:port"])
def test_invalid_host_header_is_400(client: httpx2.Client, host: str) -> None:
    """An invalid Host header is 400 and is not repeated."""
    answer = client.get("/api/v1/status", headers={"Host": host})
    assert answer.status_code == 400
    assert host not in answer.text


def test_valid_token_allows_any_host_name(client: httpx2.Client) -> None:
    """A call with a valid token may use any host name, because no web page has a token."""
    asked = {"Host": "pypi.company.com", "Authorization": f"Bearer {TOKEN}"}
    assert client.get("/api/v1/status", headers=asked).status_code == 200
    assert client.post("/api/v1/schedule/pause", headers=asked).status_code == 200
    assert client.get("/api/v1/status", headers=asked | {"Authorization": f"Bearer {TOKEN}x"}).status_code == 401


def test_healthz_answers_under_any_host_name(client: httpx2.Client) -> None:
    """/healthz answers ok under any host name."""
    assert client.get("/healthz", headers={"Host": "probe.company.com"}).json() == {"status": "ok"}
