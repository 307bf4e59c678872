"""``MIRROR_NGINX=tls``: HTTPS with the operator's certificate, and redirects from HTTP."""

import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import trustme

from nginx.containers import HARDENED, LOGS, Container, docker, exchange, mirror, run_to_end
from nginx.tree import Tree

pytestmark = [pytest.mark.docker, pytest.mark.proves("security/clients", "security/network")]

KNOBS = ("--env=MIRROR_NGINX=tls", "--env=MIRROR_TLS_DIR=/etc/mirror/tls", "--env=MIRROR_TLS_PORT=8443")
PUBLISHED = "--publish=127.0.0.1::8443"
NAME = "127.0.0.1"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return whom the clients trust."""
    return trustme.CA()


@pytest.fixture
def directory(authority: trustme.CA, tmp_path: Path) -> Path:
    """Return MIRROR_TLS_DIR, with a certificate in it."""
    path = tmp_path / "tls"
    path.mkdir()
    issue(authority, path)
    return path


@pytest.fixture
def secure(image: str, tree: Tree, directory: Path) -> Iterator[Container]:
    """Return a mirror with HTTPS."""
    with mirror(image, tree.root, *KNOBS, PUBLISHED, mount(directory)) as container:
        yield container


def mount(directory: Path) -> str:
    """Return the option that mounts it as compose.data.yaml does."""
    return f"--volume={directory}:/etc/nginx/tls:ro"


def issue(authority: trustme.CA, directory: Path) -> None:
    """Write another certificate and its key, as certbot does: in place of the files, not into them."""
    certificate = authority.issue_cert(NAME)
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    for name, content in (("fullchain.pem", chain), ("privkey.pem", certificate.private_key_pem.bytes())):
        (directory / "new").write_bytes(content)
        (directory / "new").chmod(0o644)
        (directory / "new").rename(directory / name)


def trusting(authority: trustme.CA, *, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """Return a client's settings: trust in the authority, and this version of TLS alone."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def https(container: Container, context: ssl.SSLContext) -> httpx2.Client:
    """Return a client of its HTTPS port."""
    host, port = container.published(8443)
    return httpx2.Client(base_url=f"https://{host}:{port}", verify=context, trust_env=False, timeout=5)


def shown(container: Container, authority: trustme.CA) -> int:
    """Return the serial number of the certificate that a new connection is shown."""
    connection = socket.create_connection(container.published(8443), timeout=5)
    with trusting(authority).wrap_socket(connection, server_hostname=NAME) as secure:
        certificate = secure.getpeercert()
    assert certificate
    return int(str(certificate["serialNumber"]), 16)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_https_serves_pages_and_files(secure: Container, authority: trustme.CA, version: ssl.TLSVersion) -> None:
    """Clients that trust the authority read pages and files by TLS 1.2 and 1.3."""
    with https(secure, trusting(authority, version=version)) as client:
        assert client.get("/simple/foo-bar/").status_code == 200
        assert client.get("/packages/ab/foo.tar").content == b"not compressed\n"
        # For all ports of the host, so browsers would find no Grafana on it.
        assert "Strict-Transport-Security" not in client.get("/").headers


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_old_tls_versions_are_refused(secure: Container, authority: trustme.CA) -> None:
    """Only TLS 1.2 with forward secrecy and TLS 1.3 are accepted."""
    weak = trusting(authority, version=ssl.TLSVersion.TLSv1_2)
    weak.set_ciphers("AES128-GCM-SHA256:ECDHE+AES+SHA:DHE:@SECLEVEL=0")
    for context in (weak, trusting(authority, version=ssl.TLSVersion.TLSv1_1)):
        with https(secure, context) as client, pytest.raises(httpx2.ConnectError):
            client.get("/healthz")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/simple/Foo.Bar?format=text/html"),
        ("HEAD", "/a%2Fb%20c"),
        ("GET", "/absent"),
        ("GET", "/api/v1/runs"),
        ("POST", "/api/v1/runs"),
    ],
)
def test_http_redirects_to_https(secure: Container, method: str, path: str) -> None:
    """Every HTTP address redirects to HTTPS with 308, so that a POST stays a POST."""
    host, port = secure.address
    answer = httpx2.request(method, f"http://{host}:{port}{path}", trust_env=False)
    assert (answer.status_code, answer.headers["Location"]) == (308, f"https://127.0.0.1:8443{path}")
    # A script of another site, such as an installer in a browser, may follow it where it may read what it leads to.
    assert answer.headers.get("Access-Control-Allow-Origin") == ("*" if path.startswith("/simple/") else None)


def test_http_still_answers_healthz(secure: Container) -> None:
    """HTTP answers /healthz, and an invalid request with a line of text instead of a redirect."""
    host, port = secure.address
    assert httpx2.get(f"http://{host}:{port}/healthz", trust_env=False).text == "ok\n"
    assert exchange(secure, b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n").endswith(b"400: request refused\n")


def test_redirect_has_the_requested_host_once(secure: Container) -> None:
    """The redirect contains the requested host once, for any form of the request line."""
    answer = exchange(secure, b"GET http://a.example/simple/ HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n")
    assert b"Location: https://a.example:8443/simple/\r\n" in answer


def test_http_on_the_https_port_is_refused(secure: Container) -> None:
    """Plain HTTP on the HTTPS port is refused in one line of text."""
    host, port = secure.published(8443)
    answer = httpx2.get(f"http://{host}:{port}/simple/", trust_env=False)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "text/plain")
    assert len(answer.text.splitlines()) == 1


def test_standard_port_is_omitted(image: str, tree: Tree, directory: Path) -> None:
    """With MIRROR_TLS_PORT=443, the redirect contains no port."""
    with mirror(image, tree.root, *KNOBS, "--env=MIRROR_TLS_PORT=443", mount(directory)) as container:
        host, port = container.address
        answer = httpx2.get(f"http://{host}:{port}/simple/", headers={"Host": "mirror.example"}, trust_env=False)
    assert answer.headers["Location"] == "https://mirror.example/simple/"


def test_reload_loads_a_new_certificate(secure: Container, authority: trustme.CA, directory: Path) -> None:
    """`nginx -s reload` loads a new certificate; for a mismatched pair, it reports an error and keeps the old one."""
    reload = ("nginx", "-s", "reload")
    first = shown(secure, authority)
    issue(authority, directory)
    assert shown(secure, authority) == first
    secure.run(*reload)
    second = _until_other(secure, authority, first)

    (directory / "privkey.pem").write_bytes(authority.issue_cert(NAME).private_key_pem.bytes())
    assert "key values mismatch" in docker("exec", secure.id, *reload, status=1)
    assert shown(secure, authority) == second


def test_control_learns_which_certificate_is_served(
    image: str, tree: Tree, authority: trustme.CA, directory: Path
) -> None:
    """Beside the access log is a copy of the host's certificate that is served: another one only after a reload."""
    with mirror(image, tree.root, *KNOBS, PUBLISHED, LOGS, mount(directory)) as secure:
        first = _until_copied(secure, shown(secure, authority))
        assert first.count("BEGIN CERTIFICATE") == 1
        issue(authority, directory)
        assert secure.run("cat", "/logs/certificate.pem").strip() == first.strip()
        secure.run("nginx", "-s", "reload")
        second = _until_copied(secure, _until_other(secure, authority, _serial(first)))
        assert second.strip() in (directory / "fullchain.pem").read_text()


@pytest.mark.proves("security/tokens-and-secrets")
def test_private_key_in_the_chain_is_not_copied(image: str, tree: Tree, authority: trustme.CA, directory: Path) -> None:
    """Of a `fullchain.pem` that also holds the key, in front, only the certificate is copied beside the access log."""
    chain = directory / "fullchain.pem"
    chain.write_bytes((directory / "privkey.pem").read_bytes() + chain.read_bytes())
    with mirror(image, tree.root, *KNOBS, PUBLISHED, LOGS, mount(directory)) as secure:
        copy = _until_copied(secure, shown(secure, authority))
    assert copy.startswith("-----BEGIN CERTIFICATE-----")
    assert "PRIVATE" not in copy


def _until_copied(container: Container, serial: int) -> str:
    """Return the copy once it is that of a serial number."""
    deadline = time.monotonic() + 10
    while True:
        copy = container.run("sh", "-c", "cat /logs/certificate.pem || true")
        if "END CERTIFICATE" in copy and _serial(copy) == serial:
            return copy
        assert time.monotonic() < deadline, f"the copy is not of the certificate that is served:\n{copy}"
        time.sleep(0.05)


def _serial(pem: str) -> int:
    command = ("openssl", "x509", "-noout", "-serial")
    told = subprocess.run(command, input=pem, capture_output=True, text=True, check=True)
    return int(told.stdout.strip().partition("=")[2], 16)


def _until_other(container: Container, authority: trustme.CA, known: int) -> int:
    deadline = time.monotonic() + 10
    while (serial := shown(container, authority)) == known:
        assert time.monotonic() < deadline, "the old certificate is still shown"
        time.sleep(0.05)
    return serial


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("rm fullchain.pem", "/etc/mirror/tls/fullchain.pem: missing, or a link that leaves the directory"),
        ("ln -sf ../archive/key1.pem privkey.pem", "/etc/mirror/tls/privkey.pem: missing, or a link that leaves"),
        ("chmod 000 privkey.pem", "/etc/mirror/tls/privkey.pem: not readable by user 10002; run chown"),
        ("cp fullchain.pem privkey.pem", "/etc/mirror/tls: fullchain.pem must be the PEM certificate"),
        ("echo nonsense > fullchain.pem", "/etc/mirror/tls: fullchain.pem must be the PEM certificate"),
    ],
)
def test_unusable_certificate_stops_the_start(image: str, directory: Path, damage: str, told: str) -> None:
    """A missing, unreadable or invalid file stops the start with its path on the host and the remedy."""
    subprocess.run(damage, shell=True, cwd=directory, check=True)
    assert told in run_to_end(image, *HARDENED, *KNOBS, mount(directory), status=2)


def test_mismatched_key_stops_the_start(image: str, directory: Path, authority: trustme.CA) -> None:
    """The key of another certificate stops the start."""
    (directory / "privkey.pem").write_bytes(authority.issue_cert(NAME).private_key_pem.bytes())
    said = run_to_end(image, *HARDENED, *KNOBS, mount(directory), status=2)
    assert "key values mismatch" in said
    assert "privkey.pem its key" in said


def test_incomplete_tls_setting_stops_the_start(image: str, directory: Path) -> None:
    """tls without a directory, or a directory without tls, stops the start."""
    said = run_to_end(image, *HARDENED, "--env=MIRROR_NGINX=tls", status=2)
    assert said == "MIRROR_NGINX=tls: set MIRROR_TLS_DIR to a directory with fullchain.pem and privkey.pem"
    said = run_to_end(image, *HARDENED, mount(directory), status=2)
    assert said == "MIRROR_TLS_DIR is set, but MIRROR_NGINX lacks tls"
