"""Clients before a mirror with HTTPS by its own authority, and with a password."""

from collections.abc import Iterator

import pytest

from clients.guide import snippet
from clients.lab import AUTHORITY, HOST, Client, Lab, certify, lab
from clients.test_installers import PROJECT, VENV, settings
from syncer.site import Site

pytestmark = [
    pytest.mark.docker,
    pytest.mark.internet,
    pytest.mark.timeout(300),
    pytest.mark.proves("reliability/clients"),
]

# The line of ci with the guide's word PASSWORD, by `openssl passwd -6`.
HTPASSWD = (
    "ci:$6$rounds=1000$pypimirror$"
    "KEzjlYo1PZf.G/vZJC2mXhZx4H./ziqznxo47vrBMBryjytvOzEcj8T3KoHwKHZKKLrPAcsUD65bcUPEZXjCx1\n"
)
DEBIANS = "/etc/ssl/certs/ca-certificates.crt"
HTTPS = f"https://{HOST}:8443/simple/"


@pytest.fixture(scope="module")
def closed_lab(image: str, clients_image: str, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Return the mirror with HTTPS and a password, and a user's machine with the authority's certificate."""
    directory = tmp_path_factory.mktemp("closed")
    served, trusted = certify(directory)
    (directory / "htpasswd").write_text(HTPASSWD)
    (directory / "htpasswd").chmod(0o644)
    closed = (
        *served,
        "--env=MIRROR_NGINX=tls htpasswd",
        "--env=MIRROR_HTPASSWD_FILE=/etc/mirror/htpasswd",
        f"--volume={directory}/htpasswd:/run/secrets/htpasswd:ro",
    )
    with lab(image, clients_image, site.data, *closed, mounted=trusted) as opened:
        yield opened


@pytest.fixture
def client(closed_lab: Lab) -> Client:
    """Return the user's machine, which does not use the authority or the password yet."""
    return closed_lab.renewed().client


@pytest.fixture
def known(client: Client) -> Client:
    """Return the user's machine with the guide's ~/.netrc."""
    client.write(".netrc", snippet("A password", "text"))
    client.run("chmod 600 .netrc")
    return client


def trusting(script: str) -> str:
    """Return a script that runs where uv and pdm trust the authority."""
    variable = snippet("Your own certificate authority", "sh").splitlines()[0]
    return f"{variable}\n{script}"


def test_pip_trusts_an_authority(known: Client) -> None:
    """pip installs by HTTPS with the guide's cert, and not without it."""
    known.run(f"pip install --retries=0 --index-url={HTTPS} --target=packages six", status=1)
    known.write(".config/pip/pip.conf", snippet("Your own certificate authority", "ini"))
    known.run("pip install --target=packages six")
    assert known.installed("packages") == {"six": "1.17.0"}


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_bundle_in_the_environment_beats_pips_cert(known: Client, variable: str) -> None:
    """A bundle in an environment variable overrides pip's cert; if the bundle has the authority, pip installs."""
    known.write(".config/pip/pip.conf", snippet("Your own certificate authority", "ini"))
    install = f"pip install --cert={AUTHORITY} --retries=0 --target=packages six"
    assert "certificate verify failed" in known.run(install, status=1, environment={variable: DEBIANS})
    known.run(f"cat {DEBIANS} {AUTHORITY} > bundle.pem")
    known.run(install, environment={variable: f"{known.home}/bundle.pem"})
    assert known.installed("packages") == {"six": "1.17.0"}


def test_uv_trusts_an_authority(known: Client) -> None:
    """Uv installs by HTTPS with the guide's variable, and not without it."""
    install = f"uv pip install --default-index={HTTPS} --target=packages six"
    known.run(install, status=2, environment={"UV_HTTP_RETRIES": "0"})
    known.run(trusting(install))
    assert known.installed("packages") == {"six": "1.17.0"}


def test_pdm_trusts_an_authority(known: Client) -> None:
    """PDM installs by HTTPS with the guide's variable."""
    project = PROJECT + settings("pdm").replace("http://mirror.example:8080", f"https://{HOST}:8443")
    known.write("pyproject.toml", project.replace("verify_ssl = false", ""))
    known.run("pdm config check_update false")
    known.run(trusting("pdm add six"))
    assert known.installed(VENV).items() >= {"six": "1.17.0"}.items()


def test_poetry_trusts_an_authority(known: Client) -> None:
    """Poetry installs by HTTPS with the guide's setting for the source."""
    setting = snippet("Your own certificate authority", "sh").splitlines()[1]
    known.write("pyproject.toml", PROJECT + settings("poetry").replace("http://mirror.example:8080", HTTPS[:-8]))
    known.run(f"{setting} && POETRY_VIRTUALENVS_IN_PROJECT=true poetry add --no-interaction six")
    assert known.installed(VENV).items() >= {"six": "1.17.0"}.items()


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_password_in_the_url_is_lost_on_a_redirect(client: Client, tool: str) -> None:
    """pip loses a password in the URL on the redirect from HTTP to HTTPS, and sends it directly to HTTPS."""
    install = {
        "pip": f"pip install --no-input --cert={AUTHORITY} --trusted-host={HOST} --target=packages six --index-url",
        "uv": "uv pip install --target=packages six --default-index",
    }[tool]
    said = client.run(trusting(f"{install} http://ci:PASSWORD@{HOST}:8080/simple/"), status=1)
    assert {"pip": "No matching distribution", "uv": "401"}[tool] in said
    client.run(trusting(f"{install} https://ci:PASSWORD@{HOST}:8443/simple/"))
    assert client.installed("packages") == {"six": "1.17.0"}


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_netrc_survives_a_redirect(known: Client, tool: str) -> None:
    """pip reads ~/.netrc again after the redirect from HTTP to HTTPS."""
    install = {
        "pip": f"pip install --cert={AUTHORITY} --trusted-host={HOST} --target=packages six --index-url",
        "uv": "uv pip install --target=packages six --default-index",
    }[tool]
    known.run(trusting(f"{install} http://{HOST}:8080/simple/"))
    assert known.installed("packages") == {"six": "1.17.0"}
