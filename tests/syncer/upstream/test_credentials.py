"""User and password for the upstream: its own origin is told them, and nobody else, nor any log."""

import base64
import io
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import fakepypi
from mirror_contract import RunState, parse_project_name
from mirror_syncer.errors import ConfigurationError
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.validators import Validators
from mirror_syncer.upstream import Client, ClientOptions, Credentials, Index, read_credentials
from syncer.site import IMPATIENT, Site

USER, PASSWORD = "operator", "p%:ä'#sesame"


@pytest.fixture
def netrc(tmp_path: Path) -> Path:
    """A netrc for an upstream on the loopback."""
    path = tmp_path / "netrc"
    path.write_text(f'machine 127.0.0.1 login {USER} password "{PASSWORD}"\n')
    return path


@pytest.fixture
async def other() -> AsyncIterator[fakepypi.FakePyPI]:
    """Another server, on another port: the same host, and not the same origin."""
    async with fakepypi.serve() as server:
        yield server


def written(path: Path, *, password: str = PASSWORD, machine: str = "default") -> Path:
    """Return a netrc with one entry."""
    host = machine if machine == "default" else f"machine {machine}"
    path.write_text(f'{host} login {USER} password "{password}"\n')
    return path


def told(pypi: fakepypi.FakePyPI) -> list[str | None]:
    """Return what each request brought of credentials."""
    return [exchange.headers.get("authorization") for exchange in pypi.log]


async def test_upstream_that_wants_a_login(
    site: Site, pypi: fakepypi.FakePyPI, netrc: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Pages, files and metadata come from an upstream that wants a login; neither log, run nor metrics tell of it."""
    pypi.index.project("six").upload("1.0")
    pypi.faults.everywhere().require_login(USER, PASSWORD)
    site.select("six", legacy_json=True)
    refused = await site.sync()
    async with site.running(netrc=netrc) as running:
        run = await running.sync()
        shown = running.mirror.metrics.exposition().decode() + run.model_dump_json() + repr(running.mirror)

    assert refused.state is not RunState.SUCCEEDED
    assert "MIRROR_UPSTREAM_NETRC" in refused.model_dump_json()
    assert (run.state, site.filenames("six")) == (
        RunState.SUCCEEDED,
        set(pypi.index.project("six").releases["1.0"].files),
    )
    site.assert_whole()
    captured = capfd.readouterr()
    everything = shown + captured.out + captured.err
    assert "sesame" not in everything
    assert base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode() not in everything
    everywhere = (path for path in (*site.data.rglob("*"), *site.state.rglob("*")) if path.is_file())
    assert not any(b"sesame" in path.read_bytes() for path in everywhere)


class _Into:
    """What a file is poured into."""

    def __init__(self, body: io.BytesIO) -> None:
        self._body = body

    @property
    def position(self) -> int:
        return self._body.tell()

    def restart(self) -> None:
        self._body.seek(0)
        self._body.truncate()

    def write(self, chunk: bytes, /) -> None:
        self._body.write(chunk)


async def ask(url: str, credentials: Credentials, *, hosts: frozenset[str]) -> int:
    """GET a URL by the client, and return the status."""
    headers: Mapping[str, str] = {"Accept": "application/vnd.pypi.simple.v1+json"}
    options = ClientOptions(user_agent="test", hosts=hosts, connections=2, credentials=credentials, limits=IMPATIENT)
    async with Client(options) as client:
        answer = await client.get(url, endpoint="page", headers=headers, priority=Priority.NAMED)
    return answer.status


@pytest.mark.proves("security/upstream")
async def test_redirect_takes_no_login_along(pypi: fakepypi.FakePyPI, other: fakepypi.FakePyPI, netrc: Path) -> None:
    """Whoever upstream redirects to hears no credentials, though it is the same host; back home they are said again."""
    for server in (pypi, other):
        server.index.project("six").upload("1.0")
    credentials = read_credentials(netrc, upstream=pypi.url)
    assert credentials is not None
    hosts = frozenset(server.url.removeprefix("http://") for server in (pypi, other))
    pypi.faults.on_page("six").times(1).redirect(f"{other.url}/simple/six/")
    other.faults.on_page("six").redirect(f"{pypi.url}/simple/six/")

    assert await ask(f"{pypi.url}/simple/six/", credentials, hosts=hosts) == 200
    said = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
    assert told(pypi) == [said, said]
    assert told(other) == [None]


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize(
    ("upstream", "url", "own"),
    [
        ("https://nexus.example", "https://nexus.example:443/simple/", True),
        ("https://nexus.example", "https://NEXUS.example/simple/", True),
        ("https://nexus.example/repository/pypi", "https://nexus.example/x.whl", True),
        ("https://nexus.example", "http://nexus.example/simple/", False),
        ("https://nexus.example", "https://nexus.example:8443/simple/", False),
        ("https://nexus.example", "https://files.nexus.example/x.whl", False),
        ("https://nexus.example", "https://nexus.example@evil.example/x.whl", False),
        ("https://nexus.example", "https://nexus.example.evil.example/", False),
        ("http://nexus.example", "https://nexus.example/simple/", False),
        ("http://nexus.example:8081", "http://nexus.example:8081/simple/", True),
    ],
)
def test_only_the_very_origin(tmp_path: Path, upstream: str, url: str, *, own: bool) -> None:
    """An origin is a scheme, a host and a port; whatever differs in one of them is another."""
    assert bool(Credentials(written(tmp_path / "netrc"), upstream=upstream).headers(url)) is own


@pytest.mark.parametrize(
    ("upstream", "in_clear"),
    [
        ("https://nexus.example", False),
        ("http://nexus.example", True),
        ("http://127.0.0.1:8081", False),
        ("http://[::1]:8081", False),
        ("http://localhost", False),
    ],
)
def test_clear_text_is_known(tmp_path: Path, upstream: str, *, in_clear: bool) -> None:
    """That others can read them is known, and told at the start; on the loopback there are no others."""
    credentials = Credentials(written(tmp_path / "netrc"), upstream=upstream)
    assert credentials.in_clear is in_clear
    assert "sesame" not in repr(credentials)
    assert USER not in repr(credentials)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("machine 127.0.0.1 login operator pasword sesame", "line 1"),
        ("\nsesame", "line 2"),
        ("machine other.example login operator password sesame", "has nothing for 127.0.0.1; add: machine 127.0.0.1"),
        ("", "has nothing for 127.0.0.1"),
        ("machine 127.0.0.1 login a:b password sesame", "':'"),
        ("machine 127.0.0.1 password sesame", "empty"),
        ('machine 127.0.0.1 login operator password ""', "empty"),
        ("machine 127.0.0.1 login operator password sesame\xff", "cannot be read"),
    ],
)
def test_netrc_that_says_nothing(tmp_path: Path, text: str, words: str) -> None:
    """What cannot be used stops the start with the knob, the file and the place, and never with what stands there."""
    path = tmp_path / "netrc"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError) as refused:
        read_credentials(path, upstream="http://127.0.0.1:8081")
    told = str(refused.value)
    assert words in told
    assert "MIRROR_UPSTREAM_NETRC" in told
    assert str(path) in told
    assert "sesame" not in told
    assert refused.value.__cause__ is None, "a traceback would show it"


def test_entry_for_any_host(tmp_path: Path) -> None:
    """``default`` stands in where a host has no entry of its own; no netrc at all is no credentials."""
    path = tmp_path / "netrc"
    path.write_text("machine other.example login a password b\ndefault login operator password sesame\n")
    credentials = read_credentials(path, upstream="https://Nexus.example")
    assert credentials is not None
    assert credentials.headers("https://nexus.example/x") == {
        "Authorization": f"Basic {base64.b64encode(b'operator:sesame').decode()}"
    }
    assert read_credentials(None, upstream="https://nexus.example") is None


@pytest.mark.proves("security/upstream")
async def test_file_host_hears_no_login(pypi: fakepypi.FakePyPI, other: fakepypi.FakePyPI, netrc: Path) -> None:
    """A file on another host is asked for without the login, and without any other header, of the page before it."""
    pypi.index.project("six").upload("1.0")
    other.index.project("six").upload("1.0")
    file = other.index.project("six").files[0]
    body = io.BytesIO()
    hosts = frozenset({urlsplit(pypi.url).netloc, urlsplit(other.url).netloc})
    options = ClientOptions(
        user_agent="test",
        hosts=hosts,
        connections=1,
        limits=IMPATIENT,
        credentials=read_credentials(netrc, upstream=pypi.url),
    )
    async with Client(options) as client:
        index = Index(pypi.url, client=client)
        validators = Validators(etag='"none"', last_modified="Thu, 01 Jan 1970 00:00:00 GMT")
        await index.page(parse_project_name("six"), validators=validators, priority=Priority.NAMED)
        await index.file(f"{other.url}/{file.path}", _Into(body), priority=Priority.NAMED)

    assert told(pypi) != [None]
    assert body.getvalue() == file.content
    (exchange,) = other.log
    assert set(exchange.headers) == {"host", "user-agent", "accept"}


@pytest.mark.proves("security/tokens-and-secrets")
async def test_password_is_replaced_without_a_restart(site: Site, pypi: fakepypi.FakePyPI, netrc: Path) -> None:
    """The netrc is read again whenever it changed, by all processes; an unusable one changes nothing."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    pypi.faults.everywhere().require_login(USER, PASSWORD)
    async with site.running(netrc=netrc, workers=2) as running:
        states = [(await running.sync()).state]
        written(netrc, password="", machine="127.0.0.1")
        states.append((await running.sync()).state)
        pypi.faults.clear()
        pypi.faults.everywhere().require_login(USER, "another password")
        states.append((await running.sync()).state)
        written(netrc, password="another password", machine="127.0.0.1")
        states.append((await running.sync()).state)

    succeeded = RunState.SUCCEEDED
    assert [state is succeeded for state in states] == [True, True, False, True]


@pytest.mark.proves("reliability/host")
@pytest.mark.parametrize("end", ["\n", "\r\n"])
async def test_netrc_as_windows_writes_it(site: Site, pypi: fakepypi.FakePyPI, netrc: Path, end: str) -> None:
    """A byte order mark and Windows' line ends are no part of a netrc."""
    text = f'\ufeffmachine 127.0.0.1{end}login {USER}{end}password "{PASSWORD}"{end}'
    netrc.write_text(text, encoding="utf-8", newline="")  # noqa: ASYNC240 - a few bytes
    pypi.index.project("six").upload("1.0")
    pypi.faults.everywhere().require_login(USER, PASSWORD)
    site.select("six")
    async with site.running(netrc=netrc) as running:
        assert (await running.sync()).state is RunState.SUCCEEDED
