"""Other index servers and mirrors, filled through the mirror by the commands of docs/clients.md."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import fakepypi
from clients.guide import snippet
from clients.lab import AUTHORITY, Client, Lab, certify, lab, readable
from clients.test_installers import NEWEST
from mirror_syncer.commands.adoption import adopt
from mirror_syncer.config.settings import Settings
from nginx.containers import started
from syncer.old_mirror import OldMirror
from syncer.site import Site

pytestmark = [
    pytest.mark.docker,
    pytest.mark.internet,
    pytest.mark.timeout(300),
    pytest.mark.proves("reliability/clients"),
]

SECTION = "Other servers"


def install(client: Client, index: str) -> None:
    """Install requests from a server on the machine's own loopback, which may redirect to the mirror."""
    client.run(f"pip install --index-url={index} --trusted-host=mirror.example --target=packages requests")
    assert client.installed("packages") == NEWEST


@pytest.mark.slow
def test_devpi_serves_the_mirror(client: Client) -> None:
    """devpi serves the mirror's projects as an index of type mirror."""
    client.run("devpi-init --serverdir server")
    client.start("devpi-server --serverdir server", port=3141)
    client.run(snippet(SECTION, "sh", 0))
    install(client, "http://localhost:3141/root/mirror/+simple/")


def test_proxpi_caches_the_mirror(client: Client) -> None:
    """Proxpi serves and caches the mirror's files."""
    client.start(snippet(SECTION, "sh", 1), port=5000)
    install(client, "http://127.0.0.1:5000/index/")


def test_pypiserver_redirects_to_the_mirror(client: Client) -> None:
    """pypiserver redirects clients to the mirror for a project that it lacks."""
    client.run("mkdir packages")
    client.start(snippet(SECTION, "sh", 2), port=8081)
    install(client, "http://127.0.0.1:8081/simple/")


def test_simple_repository_server_serves_the_mirror(client: Client) -> None:
    """simple-repository-server serves the mirror's projects and links its files."""
    client.start(snippet(SECTION, "sh", 3), port=8000)
    install(client, "http://127.0.0.1:8000/simple/")


def test_morgan_copies_from_the_mirror(client: Client) -> None:
    """Morgan copies a release with all its dependencies, and pip installs from the copy."""
    client.run("morgan generate_env > morgan.ini && printf '\\n[requirements]\\nrequests =\\n' >> morgan.ini")
    client.run(snippet(SECTION, "sh", 4))
    client.start("morgan serve --index-path=index --host=127.0.0.1 --port=8082", port=8082)
    install(client, "http://127.0.0.1:8082/")


@pytest.fixture(scope="module")
def https_lab(image: str, clients_image: str, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Return the mirror with HTTPS, and a machine that has the authority's certificate."""
    served, trusted = certify(tmp_path_factory.mktemp("https"))
    options = (*served, "--env=MIRROR_NGINX=tls")
    with lab(image, clients_image, site.data, *options, mounted=trusted) as opened:
        yield opened


def test_bandersnatch_verifies_by_https(https_lab: Lab) -> None:
    """By HTTPS bandersnatch mirrors, and its verify downloads a lost file again."""
    client = https_lab.renewed().client
    client.write("bandersnatch.conf", snippet(SECTION, "ini").replace("/srv/bandersnatch", client.home))
    trusting = {"SSL_CERT_FILE": AUTHORITY}
    client.run("bandersnatch -c bandersnatch.conf mirror", environment=trusting)
    wheel = client.run("find web/packages -name 'six-1.17.0-*.whl'")
    client.run(f"rm {wheel}")
    client.run("bandersnatch -c bandersnatch.conf verify", environment=trusting)
    assert client.run("find web/packages -name 'six-1.17.0-*.whl'") == wheel


def test_bandersnatch_refuses_to_verify_by_http(client: Client) -> None:
    """Over plain HTTP bandersnatch mirrors, but refuses to verify."""
    plain = snippet(SECTION, "ini").replace("/srv/bandersnatch", client.home).replace("https:", "http:")
    client.write("bandersnatch.conf", plain.replace("8443", "8080") + "allow-non-https = true\n")
    client.run("bandersnatch -c bandersnatch.conf mirror")
    assert client.run("find web/packages -name 'six-1.17.0-*.whl'")
    assert "is not https scheme" in client.run("bandersnatch -c bandersnatch.conf verify", status=1)


@pytest.mark.parametrize("links", [True, False])
async def test_rsync_during_an_adoption_keeps_each_file_once(
    tmp_path: Path, clients_image: str, *, links: bool
) -> None:
    """The guide's rsync keeps each adopted file once, under both of its names; without -H it keeps it twice."""
    readable(tmp_path)
    async with fakepypi.serve() as pypi:
        site = Site(tmp_path, upstream=pypi.url)
        site.select("six")
        pypi.index.project("six").upload("1.0")
        OldMirror(site.web).write(pypi.index.project("six"))
        settings = {key.removeprefix("MIRROR_").lower(): value for key, value in site.environment().items()}
        await adopt(Settings.model_validate(settings), source=None, hashing=False, dry_run=False)
    (tmp_path / "copy").mkdir()
    volumes = (f"--volume={site.data}:/srv/mirror:ro", f"--volume={tmp_path}/copy:/srv/copy")
    commands = snippet(SECTION, "sh", 5).replace("mirror.example:", "")
    with started(clients_image, "--init", "--network=none", f"--user={os.getuid()}:{os.getgid()}", *volumes) as machine:
        await asyncio.to_thread(Client(machine).run, commands if links else commands.replace("-rltH", "-rlt"))
    wheels = [path.stat() for path in (tmp_path / "copy").glob("pypi/web/packages/**/*.whl")]
    assert len(wheels) == 2
    assert len({wheel.st_ino for wheel in wheels}) == (1 if links else 2)
