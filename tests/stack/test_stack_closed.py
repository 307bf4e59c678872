"""HTTPS and a password, as compose sets them up: pip and uv install with its authority, without --trusted-host."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import trustme

from stack.compose import Stack, until
from stack.conftest import YEARLY, write_policy
from stack.mirror import Mirror

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900), pytest.mark.proves("security/network")]

USER, PASSWORD = "ci", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
# As `openssl passwd -6 -salt 'rounds=1000$pypimirror'` makes it.
HASH = (
    "$6$rounds=1000$pypimirror$/mMrOIai61W0C.6oHS6PfN1LymjPM1tVBGuQ/FhXTfmFBpPr/MZiw9dX8d99Ne37Mwbn/BISki29kvSLDy.jU0"
)
NETRC = f"machine nginx login {USER} password {PASSWORD}\n"
INSIDE = "nginx:8443/simple/"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return the authority that clients trust."""
    return trustme.CA()


@pytest.fixture(scope="module")
def closed(images: None, authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Return a separate stack with MIRROR_NGINX="tls htpasswd", whose mirror has one project."""
    directory = tmp_path_factory.mktemp("closed")
    (directory / "tls").mkdir()
    certificate = authority.issue_cert("nginx", "127.0.0.1")
    files = {
        "tls/fullchain.pem": b"".join(blob.bytes() for blob in certificate.cert_chain_pems),
        "tls/privkey.pem": certificate.private_key_pem.bytes(),
        "htpasswd": f"{USER}:{HASH}\n".encode(),
    }
    for name, content in files.items():
        (directory / name).write_bytes(content)
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    stack = Stack(
        settings={
            "MIRROR_UPSTREAM": "http://fakepypi:8000",
            "MIRROR_CONFIG": str(write_policy(directory / "config/mirror.toml", "six").parent),
            "MIRROR_SCHEDULE": YEARLY,
            "MIRROR_DISK_RESERVE": "0%",
            "MIRROR_NGINX": "tls htpasswd",
            "MIRROR_TLS_DIR": str(directory / "tls"),
            "MIRROR_TLS_PORT": "0",
            "MIRROR_HTPASSWD_FILE": str(directory / "htpasswd"),
        }
    )
    try:
        stack.up("fakepypi")
        stack.up("syncer", "nginx", "control", "client")
        stack.execute("client", "sh", "-c", "cat > /tmp/authority.pem", stdin=authority.cert_pem.bytes().decode())
        with reader(stack, authority) as client:
            until(Mirror(client, token="").idle, seconds=60)
        yield stack
    finally:
        stack.down()


def reader(stack: Stack, authority: trustme.CA, *, auth: tuple[str, str] | None = (USER, PASSWORD)) -> httpx2.Client:
    """Return a client with the password, unless another is given."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    url = stack.url("nginx", 8443).replace("http://", "https://")
    return httpx2.Client(base_url=url, verify=context, auth=auth, trust_env=False, timeout=10)


@pytest.mark.parametrize(
    "command",
    [
        "pip install --cert=/tmp/authority.pem --target=/tmp/six",
        "SSL_CERT_FILE=/tmp/authority.pem uv pip install --target=/tmp/six",
    ],
)
@pytest.mark.parametrize("place", ["url", "netrc"])
def test_clients_install_by_https_with_a_password(closed: Stack, command: str, place: str) -> None:
    """pip and uv install by HTTPS with the password in the URL or in a netrc, and without --trusted-host."""
    index = f"https://{USER}:{PASSWORD}@{INSIDE}" if place == "url" else f"https://{INSIDE}"
    netrc = NETRC if place == "netrc" else ""
    closed.execute("client", "sh", "-c", "umask 077; cat > /tmp/.netrc", stdin=netrc)
    closed.execute(
        "client", "sh", "-c", f"{command} --index-url={index} six && test -f /tmp/six/six.py; rm -r /tmp/six"
    )


@pytest.mark.parametrize("login", ["", f"{USER}:wrong@"])
def test_client_without_the_password_installs_nothing(closed: Stack, login: str) -> None:
    """Without the password, or with a wrong one, pip finds nothing to install."""
    closed.execute("client", "rm", "-f", "/tmp/.netrc")
    index = f"--index-url=https://{login}{INSIDE}"
    command = ("pip", "install", "--no-input", "--cert=/tmp/authority.pem", "--target=/tmp/six", index)
    assert "No matching distribution" in closed.execute("client", *command, "six", status=1)
    assert "six" not in closed.execute("client", "ls", "/tmp").split()


def test_client_without_the_authority_refuses_the_mirror(closed: Stack) -> None:
    """A client without the authority's certificate refuses to install."""
    command = ("pip", "install", "--retries=0", "--target=/tmp/six", f"--index-url=https://{USER}:{PASSWORD}@{INSIDE}")
    assert "CERTIFICATE_VERIFY_FAILED" in closed.execute("client", *command, "six", status=1)


def test_api_is_read_with_password_or_token(closed: Stack, authority: trustme.CA) -> None:
    """The password or control's token gives read access to the API; only the token allows changes."""
    token = {"Authorization": f"Bearer {closed.execute('control', 'mirrorctl', 'token')}"}
    with reader(closed, authority) as client:
        assert client.get("/api/v1/status").status_code == 200
        assert client.post("/api/v1/runs", json={"kind": "sync"}).status_code == 401
    with reader(closed, authority, auth=None) as client:
        assert client.get("/api/v1/status").status_code == 401
        assert (
            client.get("/api/v1/status", headers={"Authorization": "Bearer none-that-control-knows"}).status_code == 401
        )
        assert client.get("/api/v1/status", headers=token).status_code == 200
        assert client.post("/api/v1/runs", json={"kind": "sync"}, headers=token).status_code == 202
        assert client.get("/simple/six/", headers=token).status_code == 401


def test_renewed_certificate_is_used(closed: Stack, authority: trustme.CA) -> None:
    """The documented command activates another certificate, and clients continue."""
    directory = Path(closed.settings["MIRROR_TLS_DIR"])
    certificate = authority.issue_cert("nginx", "127.0.0.1")
    (directory / "privkey.pem").write_bytes(certificate.private_key_pem.bytes())
    (directory / "fullchain.pem").write_bytes(certificate.cert_chain_pems[0].bytes())
    closed.execute("nginx", "nginx", "-s", "reload")
    with reader(closed, authority) as client:
        assert client.get("/simple/six/").status_code == 200


def test_container_description_and_log_hold_no_secret(closed: Stack) -> None:
    """Neither the container's description nor its log contains the key, a hash or a password."""
    told = closed.inspect("nginx", "{{json .}}") + "\n".join(closed.logs("nginx"))
    assert "PRIVATE KEY" not in told
    assert HASH not in told
    assert PASSWORD not in told
