"""Proxies: which one is used, which login it receives, and that no one else sees the password."""

import base64
import traceback
from pathlib import Path

import pytest

import fakepypi
from mirror_contract import RunState
from mirror_syncer.config.settings import read_settings
from mirror_syncer.errors import ConfigurationError
from mirror_syncer.upstream.http.proxies import Proxy, proxy_for
from syncer.site import Site

USER, PASSWORD = "operator", "p%:ä@/#sesame"
IN_URL = "operator:p%25%3A%C3%A4%40%2F%23sesame"
SAID = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"


@pytest.fixture
def outdated(tmp_path: Path, pypi: fakepypi.FakePyPI) -> Site:
    """A host whose upstream is reached by a proxy alone; the fake stands for both, since it answers for any host."""
    pypi.index.project("six").upload("1.0")
    site = Site(tmp_path, upstream="http://pypi.invalid")
    site.select("six")
    return site


def written(path: Path, host: str) -> Path:
    """Return a netrc with one entry."""
    path.write_text(f'{host} login {USER} password "{PASSWORD}"\n')
    return path


def heard(pypi: fakepypi.FakePyPI) -> set[tuple[str | None, str | None]]:
    """Return the credentials that the proxy and the upstream behind it received."""
    told = ("proxy-authorization", "authorization")
    return {(exchange.headers.get(told[0]), exchange.headers.get(told[1])) for exchange in pypi.log}


@pytest.mark.proves("security/tokens-and-secrets")
@pytest.mark.parametrize("by", ["variable", "netrc"])
async def test_proxy_receives_only_its_own_login(
    outdated: Site,
    pypi: fakepypi.FakePyPI,
    environment: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    *,
    by: str,
) -> None:
    """A proxy receives the login of its variable or of its netrc entry; upstream, log and run never show it."""
    netrc = None
    if by == "netrc":
        netrc = written(outdated.state / "netrc", "machine 127.0.0.1")
    environment.setenv("HTTP_PROXY", pypi.url if netrc else pypi.url.replace("//", f"//{IN_URL}@"))
    async with outdated.running(netrc=netrc) as running:
        run = await running.sync()
        shown = running.mirror.metrics.exposition().decode() + run.model_dump_json() + repr(running.mirror)

    captured = capfd.readouterr()
    assert run.state is RunState.SUCCEEDED
    assert heard(pypi) == {(SAID, None)}
    assert ("docker inspect shows" in captured.out) is (by == "variable")
    for told in (shown, captured.out, captured.err):
        assert "sesame" not in told
        assert SAID.removeprefix("Basic ") not in told


@pytest.mark.proves("security/tokens-and-secrets")
async def test_default_entry_is_not_sent_to_the_proxy(
    outdated: Site, pypi: fakepypi.FakePyPI, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The netrc's ``default`` entry is for upstream, not for the proxy."""
    environment.setenv("HTTP_PROXY", pypi.url)
    async with outdated.running(netrc=written(tmp_path / "netrc", "default")) as running:
        await running.sync()

    assert heard(pypi) == {(None, SAID)}


@pytest.mark.proves("security/tokens-and-secrets")
@pytest.mark.parametrize("upstream", ["http://pypi.invalid", "https://pypi.invalid"])
async def test_failing_proxy_is_reported_without_its_password(
    tmp_path: Path, environment: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], upstream: str
) -> None:
    """An unreachable proxy is reported without its password, in run and log."""
    for variable in ("HTTP_PROXY", "HTTPS_PROXY"):
        environment.setenv(variable, f"http://{IN_URL}@127.0.0.1:9")  # discard: nobody listens
    site = Site(tmp_path, upstream=upstream)
    site.select("six")
    run = await site.sync()

    captured = capfd.readouterr()
    assert run.state is RunState.FAILED
    assert "sesame" not in run.model_dump_json() + captured.out + captured.err


@pytest.mark.proves("security/tokens-and-secrets", "security/mistakes")
@pytest.mark.parametrize(
    "value",
    [
        "http://operator:hush/hush@proxy.example:3128",
        "http://operator:hush#hush@proxy.example:3128",
        "http://operator:hush-hush@proxy.example:port",
        "http://operator:hush-hush@proxy.example:66000",
        "http://operator:hush-hush@[proxy.example:3128",
        "gopher://operator:hush-hush@proxy.example",
        "http://operator:hush-hush@",
    ],
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "http_proxy"])
def test_invalid_proxy_stops_the_start(environment: pytest.MonkeyPatch, variable: str, value: str) -> None:
    """An invalid proxy URL is refused with the variable's name, and never quoted."""
    environment.setenv(variable, value)
    with pytest.raises(ConfigurationError) as refused:
        read_settings()

    told = "".join(traceback.format_exception(refused.value))
    assert f"{variable.upper()}: not a proxy URL" in told
    assert "hush" not in told
    assert "operator" not in told


@pytest.mark.parametrize(
    ("value", "url", "login"),
    [
        ("proxy.example:3128", "http://proxy.example:3128", None),
        ("http://proxy.example:3128/", "http://proxy.example:3128", None),
        ("https://u:p%40w@Proxy.example", "https://Proxy.example", ("u", "p@w")),
        ("u:p@w@proxy.example:3128", "http://proxy.example:3128", ("u", "p@w")),
        ("socks5h://user@[::1]:1080", "socks5h://[::1]:1080", ("user", "")),
    ],
)
def test_proxy_url_is_split_into_address_and_login(value: str, url: str, login: tuple[str, str] | None) -> None:
    """A proxy consists of an address and a login; only the address is printed."""
    proxy = Proxy.parse(value)

    assert (proxy.url, proxy.login) == (url, login)
    assert repr(proxy) == f"Proxy(url={url!r})"


@pytest.mark.proves("reliability/host")
@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("*.corp", "https://pypi.corp/simple/", True),
        ("*.corp", "https://a.pypi.corp./simple/", True),
        (".corp", "https://pypi.corp/", True),
        ("corp", "https://pypi.corp/", True),
        ("CORP", "https://pypi.corp/", True),
        ("*.corp", "https://pypicorp/", False),
        ("*.corp", "https://pypi.corp.example/", False),
        ("localhost,\t*.corp:8443 ,10.0.0.1", "https://pypi.corp:8443/", True),
        ("*.corp:8443", "https://pypi.corp/", False),
        ("pypi.corp:443", "https://pypi.corp/", True),
        ("10.0.0.0/8", "http://10.1.2.3:8080/", True),
        ("10.0.0.0/8", "http://11.1.2.3:8080/", False),
        ("10.0.0.0/8", "http://pypi.corp/", False),
        ("10.1.2.3:8080", "http://10.1.2.3:8080/", True),
        ("::1", "http://[::1]:8000/", True),
        ("[::1]", "http://[0:0::1]:8000/", True),
        ("[::1]:8000", "http://[::1]:8000/", True),
        ("[::1]:8001", "http://[::1]:8000/", False),
        ("*", "https://pypi.org/", True),
        ("", "https://pypi.org/", False),
        (".", "https://pypi.org/", False),
    ],
)
def test_no_proxy_accepts_all_common_forms(
    environment: pytest.MonkeyPatch, no_proxy: str, url: str, *, direct: bool
) -> None:
    """NO_PROXY accepts the forms of Docker, Kubernetes and curl: domains, wildcards, networks and ports."""
    for variable in ("HTTP_PROXY", "HTTPS_PROXY"):
        environment.setenv(variable, "http://proxy.example:3128")
    environment.setenv("NO_PROXY", no_proxy)
    assert (proxy_for(url) is None) is direct


async def test_host_in_no_proxy_is_requested_directly(
    tmp_path: Path, pypi: fakepypi.FakePyPI, environment: pytest.MonkeyPatch
) -> None:
    """A host that NO_PROXY names by a wildcard is requested without the proxy, by libcurl, too."""
    pypi.index.project("six").upload("1.0")
    environment.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    environment.setenv("NO_PROXY", "*.corp.localhost")
    site = Site(tmp_path, upstream=pypi.url.replace("127.0.0.1", "pypi.corp.localhost"))
    site.select("six")

    assert (await site.sync()).state is RunState.SUCCEEDED
