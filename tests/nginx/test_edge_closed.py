"""An edge with a password, or before an origin that has one; and settings that stop its start."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import trustme

from nginx.containers import CACHE, HARDENED, LOGS, Container, connect, docker, edge, mirror, started
from nginx.edges import until
from nginx.test_htpasswd import HASHES, PASSWORD
from nginx.tree import Tree

pytestmark = [pytest.mark.docker, pytest.mark.proves("security/network")]

READING = ("/simple/foo-bar/", "/packages/ab/foo.tar", "/pypi/foo-bar/json", "/status.json", "/centos/.treeinfo")
USER = ("ssha", PASSWORD)


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    """Return the directory of the password file and of the edge's own password."""
    tmp_path.chmod(0o755)
    (tmp_path / "htpasswd").write_text("".join(f"{user}:{hashed}\n" for user, hashed in HASHES.items()))
    (tmp_path / "origin").write_text(f"ssha:{PASSWORD}\n")
    for path in tmp_path.iterdir():
        path.chmod(0o644)
    return tmp_path


def closed(passwords: Path) -> tuple[str, ...]:
    """Return the options of an origin or edge that requires a password."""
    return ("--env=MIRROR_NGINX=htpasswd", f"--volume={passwords}/htpasswd:/run/secrets/htpasswd:ro")


def knows(passwords: Path) -> str:
    """Return the option of an edge that knows the origin's password."""
    return f"--volume={passwords}/origin:/run/secrets/origin_password:ro"


@pytest.fixture
def closed_origin(image: str, tree: Tree, network: str, passwords: Path) -> Iterator[Container]:
    """Return an origin that requires a password."""
    (tree.root / "pypi/.changes").write_text(f"pypi-mirror-changes 1 {'0' * 16}\n")
    (tree.root / "pypi/.changes").chmod(0o644)
    with mirror(image, tree.root, LOGS, f"--network={network}", *closed(passwords)) as container:
        yield container


def test_cached_answers_need_the_password(image: str, network: str, closed_origin: Container, passwords: Path) -> None:
    """An edge gives what it has cached only to those who know the password; its own stays between it and the origin."""
    options = (LOGS, f"--network={network}", *closed(passwords), knows(passwords))
    with edge(image, [closed_origin.inside], *options) as container, connect(container) as client:
        for path in READING:
            assert client.get(path).status_code == 401
            answer = client.get(path, auth=USER)
            assert answer.status_code == 200
            assert "public" not in answer.headers.get("Cache-Control", "private")
            assert client.get(path).status_code == client.get(path, auth=("ssha", "wrong")).status_code == 401
        docker("stop", "--time=0", closed_origin.id)
        assert client.get("/packages/ab/foo.tar").status_code == 401
        assert client.get("/packages/ab/foo.tar", auth=USER).status_code == 200, "it was cached"


def test_password_of_the_origin_locks_an_open_edge(
    image: str, tree: Tree, network: str, closed_origin: Container, passwords: Path
) -> None:
    """Once an origin requires a password, an edge without one serves nothing that it has cached."""
    with (
        mirror(image, tree.root, LOGS, f"--network={network}") as open_origin,
        edge(image, [open_origin.inside, closed_origin.inside], LOGS, f"--network={network}") as container,
        connect(container) as client,
    ):
        client.timeout = httpx2.Timeout(30)
        assert {client.get(path).status_code for path in READING} == {200}
        docker("stop", "--time=0", open_origin.id)
        until(lambda: client.get("/packages/ab/foo.tar").status_code == 503)
        for path in READING:
            answer = client.get(path)
            assert (answer.status_code, answer.headers["Content-Type"]) == (503, "text/plain")
            assert answer.text.startswith("503: the origin requires a password")
        assert client.get("/healthz").status_code == 200
        assert "set MIRROR_ORIGIN_PASSWORD_FILE" in container.logs
        docker("start", open_origin.id)
        until(lambda: client.get("/packages/ab/foo.tar").status_code == 200)


def test_password_of_a_client_never_reaches_an_origin(image: str, network: str, closed_origin: Container) -> None:
    """A client's password does not open the origin for all others."""
    with edge(image, [closed_origin.inside], LOGS, f"--network={network}") as container, connect(container) as client:
        for path in ("/simple/foo-bar/", "/packages/ab/foo.tar"):
            assert client.get(path, auth=USER).status_code in (401, 503)
            assert client.get(path).status_code in (401, 503)


@pytest.mark.proves("security/network")
def test_origin_is_checked_by_its_certificate(image: str, tree: Tree, network: str, tmp_path: Path) -> None:
    """An edge asks an HTTPS origin whose certificate one of its authorities has signed, and no other."""
    tmp_path.chmod(0o755)
    authority, name = trustme.CA(), "origin.example"
    certificate = authority.issue_cert(name)
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls/fullchain.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    (tmp_path / "tls/privkey.pem").write_bytes(certificate.private_key_pem.bytes())
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    for path in (tmp_path / "ca.pem", *(tmp_path / "tls").iterdir()):
        path.chmod(0o644)
    secure = ("--env=MIRROR_NGINX=tls", f"--volume={tmp_path}/tls:/etc/nginx/tls:ro", f"--network-alias={name}")
    settings = (LOGS, f"--network={network}", f"--env=MIRROR_ORIGINS=https://{name}:8443")
    with mirror(image, tree.root, LOGS, f"--network={network}", *secure):
        for options, status in (((f"--volume={tmp_path}/ca.pem:/run/secrets/ca:ro",), 200), ((), 502)):
            with edge(image, [], *settings, *options) as container, connect(container) as client:
                client.timeout = httpx2.Timeout(30)
                assert client.get("/simple/foo-bar/").status_code == status


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--env=MIRROR_ORIGINS=mirror.example.org"], "is not a URL such as http://mirror.example.org:8080"),
        (["--env=MIRROR_ORIGINS=http://a;return 200"], "is not a URL"),
        (["--env=MIRROR_ORIGINS=http://a http://user:pw@b"], "http://user:pw@b is not a URL"),
        (["--env=MIRROR_ORIGINS=http://a", "--env=MIRROR_EDGE_SIZE=lots"], "MIRROR_EDGE_SIZE=lots: must be a size"),
        (["--env=MIRROR_ORIGINS=http://a", "--env=MIRROR_EDGE_FILES=5"], "MIRROR_EDGE_FILES=5: must be a number"),
        (["--env=MIRROR_ORIGINS=http://a", "PASSWORD"], "MIRROR_NGINX lacks htpasswd"),
        (["PASSWORD"], "MIRROR_ORIGINS is not"),
    ],
)
def test_wrong_setting_stops_the_start(image: str, passwords: Path, options: list[str], told: str) -> None:
    """A setting that would leave the edge open, or that is a typo, stops its start with the remedy."""
    given = [knows(passwords) if option == "PASSWORD" else option for option in options]
    with started(image, *HARDENED, CACHE, *given) as container:
        assert docker("wait", container.id) == "2"
        assert told in container.logs


def test_unwritable_cache_stops_the_start(image: str) -> None:
    """A cache that belongs to another user stops the start with the command that helps."""
    with started(image, *HARDENED, "--tmpfs=/cache:uid=0,mode=0700", "--env=MIRROR_ORIGINS=http://a") as container:
        assert docker("wait", container.id) == "2"
        assert "the volume edge-cache: not writable by user 10002; run chown 10002" in container.logs
