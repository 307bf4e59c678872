"""By which names the mirror may be called, so that no web page reads it through its reader's browser."""

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
def test_page_of_another_name_reads_nothing(client: httpx2.Client, host: str) -> None:
    """Whatever reading call comes by a name that nobody listed is 421, which says what to set."""
    for path in READING:
        answer = client.get(path, headers={"Host": host})
        assert (answer.status_code, answer.headers["content-type"]) == (421, "application/problem+json"), path
        name = host.partition(":")[0].lower().rstrip(".")
        assert (
            f"add it to those in .env, as in MIRROR_HOSTS={name}, then `docker compose up -d`"
            in answer.json()["detail"]
        )


@pytest.mark.parametrize("path", ["/ui", "/ui/", "/ui/downloads", "/ui/static/x/page.js"])
def test_browser_is_told_in_text(client: httpx2.Client, path: str) -> None:
    """Who opens the page by such a name reads in plain text what to set."""
    answer = client.get(path, headers={"Host": "pypi.company.com:8080"})
    assert (answer.status_code, answer.headers["content-type"]) == (421, "text/plain; charset=utf-8")
    assert "as in MIRROR_HOSTS=pypi.company.com" in answer.text


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
    """Addresses, names without a dot and names that the Internet does not have work out of the box."""
    for path in ("/api/v1/status", "/ui/"):
        assert client.get(path, headers={"Host": host}).status_code == 200, path


def test_listed_name_is_known(settings: Settings, monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    """What MIRROR_HOSTS lists works, below a wildcard as well, and nothing beside it."""
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


def test_everything_is_known_where_it_is_said() -> None:
    """`*` is any name."""
    assert Hosts(parse_hosts("*")).knows("evil.example")


@pytest.mark.parametrize(
    "text", ["http://mirror.example.org", "mirror.example.org:8080", "a b/c", "*.*", "a..b", "ö.org"]
)
def test_what_is_no_name_stops_the_start(settings: Settings, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A URL, a port or a blunder in MIRROR_HOSTS is told with what is right."""
    monkeypatch.setenv("MIRROR_HOSTS", text)
    with pytest.raises(SettingsError, match=r"MIRROR_HOSTS=.*without scheme and port, as in mirror\.example\.org"):
        Settings.load()


@pytest.mark.parametrize("host", ["evil.example/x", "user@10.1.2.3", "a b", "<script>", "[::1", "10.1.2.3:port"])
def test_host_that_is_none_is_refused(client: httpx2.Client, host: str) -> None:
    """What is no host is a 400, and is not repeated."""
    answer = client.get("/api/v1/status", headers={"Host": host})
    assert answer.status_code == 400
    assert host not in answer.text


def test_token_opens_by_any_name(client: httpx2.Client) -> None:
    """Whoever brings a token is no web page: `mirrorctl --url` and scripts work by any name; a wrong one does not."""
    asked = {"Host": "pypi.company.com", "Authorization": f"Bearer {TOKEN}"}
    assert client.get("/api/v1/status", headers=asked).status_code == 200
    assert client.post("/api/v1/schedule/pause", headers=asked).status_code == 200
    assert client.get("/api/v1/status", headers=asked | {"Authorization": f"Bearer {TOKEN}x"}).status_code == 401


def test_health_is_told_by_any_name(client: httpx2.Client) -> None:
    """Whoever restarts containers asks by whatever name; /healthz says ok and nothing else."""
    assert client.get("/healthz", headers={"Host": "probe.company.com"}).json() == {"status": "ok"}
