"""``MIRROR_NGINX=htpasswd``: reading needs a password, with few exceptions."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from nginx.containers import HARDENED, LOGS, Container, connect, mirror, run_to_end
from nginx.test_control_proxy import control, wait_for
from nginx.tree import Tree

pytestmark = [pytest.mark.docker, pytest.mark.proves("security/network")]

KNOBS = ("--env=MIRROR_NGINX=htpasswd", "--env=MIRROR_HTPASSWD_FILE=/etc/mirror/htpasswd")
TOKEN = {"Authorization": "Bearer a-token-which-control-looks-at"}

# Of the password "correct horse": as `openssl passwd` and `htpasswd` make them.
HASHES = {
    "sha512": "$6$rounds=1000$pypimirror$"
    "emcyNSaqgKBGllSCkfWjf5vnlN7fiX7X2UWzDuLaeFK.7uKrsOVDdYDC1PzC0gnqS9ijtPfKgHIo3PRXFlPSK1",
    "sha256": "$5$pypimirror$9fhpwcL2kw.vch9QzAvDgMmsJFHWuDNIOULQdcOSCU8",
    "apr1": "$apr1$pypimirr$LJg7ylUc8yfyDNBGIrQ9Z/",
    "bcrypt": "$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2",
    "ssha": "{SSHA}LhKrkM9Fy+zlstjdD7Kv2s6QvhBzYWx0",
}
PASSWORD = "correct horse"


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    """Return MIRROR_HTPASSWD_FILE, with a user for each kind of hash."""
    path = tmp_path / "htpasswd"
    path.write_text("# who may read\n\n" + "".join(f"{user}:{hashed}\n" for user, hashed in HASHES.items()))
    path.chmod(0o644)
    return path


def mount(passwords: Path) -> str:
    """Return the option that mounts it as a compose secret is."""
    return f"--volume={passwords}:/run/secrets/htpasswd:ro"


@pytest.fixture
def closed(image: str, tree: Tree, network: str, passwords: Path) -> Iterator[Container]:
    """Return a mirror that requires a password."""
    where = (f"--network={network}", "--dns=127.0.0.1")
    with mirror(image, tree.root, LOGS, *KNOBS, *where, mount(passwords)) as container:
        yield container


@pytest.fixture
def stranger(closed: Container) -> Iterator[httpx2.Client]:
    """Return a client without a password."""
    with connect(closed) as client:
        yield client


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/simple/",
        "/simple/foo-bar/",
        "/pypi/web/simple/foo-bar/",
        "/packages/ab/foo.tar",
        "/pypi/foo-bar/json",
        "/status.json",
        "/centos/.treeinfo",
        "/api/v1/status",
        "/ui/",
        "/absent",
    ],
)
def test_reading_without_password_is_401(stranger: httpx2.Client, path: str) -> None:
    """Without a valid password, every read is 401, with one line that says so."""
    for given in (None, ("sha512", "wrong"), ("nobody", PASSWORD), ("sha512", "")):
        answer = stranger.get(path, auth=given)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Basic realm="pypi-mirror"')
        assert answer.headers["Content-Type"] == "text/plain"
        # A script of another site may read that a page or file wants a password, and nothing of the API.
        ours = path.startswith(("/simple/", "/pypi/", "/packages/"))
        assert answer.headers.get("Access-Control-Allow-Origin") == ("*" if ours else None)
        assert len(answer.text.splitlines()) == 1
    assert stranger.get(path, auth=("sha512", PASSWORD)).status_code != 401


@pytest.mark.parametrize("user", HASHES)
def test_every_accepted_hash_works(stranger: httpx2.Client, user: str) -> None:
    """Each kind of hash that the start accepts works."""
    assert stranger.get("/simple/", auth=(user, PASSWORD)).status_code == 200
    assert stranger.get("/simple/", auth=(user, f"{PASSWORD}!")).status_code == 401


def test_healthz_needs_no_password(stranger: httpx2.Client) -> None:
    """/healthz needs no password."""
    assert stranger.get("/healthz").text == "ok\n"


def test_authenticated_answers_are_private(client: httpx2.Client, stranger: httpx2.Client) -> None:
    """Shared caches may not store answers to requests with a password (RFC 9111, 3.5)."""
    for path in ("/simple/", "/packages/ab/foo.tar", "/pypi/foo-bar/json"):
        assert "public" in client.get(path).headers["Cache-Control"]
        private = stranger.get(path, auth=("sha512", PASSWORD)).headers["Cache-Control"]
        assert ("private" in private, "public" in private) == (True, False)


def test_control_gets_tokens_but_no_passwords(
    image: str, network: str, closed: Container, stranger: httpx2.Client
) -> None:
    """The API accepts a password, which stays in nginx, or a token for control; all other paths need a password."""
    with control(image, network, "one"), connect(closed) as reader:
        reader.auth = httpx2.BasicAuth("sha512", PASSWORD)
        wait_for(reader, "one")
        assert "Authorization" not in dict(reader.get("/api/v1/echo").json()["headers"])
        assert dict(stranger.get("/api/v1/echo", headers=TOKEN).json()["headers"]).items() >= TOKEN.items()
        for path in ("/simple/", "/packages/ab/foo.tar", "/api/../simple/", "/status.json"):
            assert stranger.get(path, headers=TOKEN).status_code == 401, path


def test_changed_password_file_takes_effect_at_once(stranger: httpx2.Client, passwords: Path) -> None:
    """Added and removed users take effect without a restart."""
    passwords.write_text(f"somebody:{HASHES['apr1']}\n")
    assert stranger.get("/simple/", auth=("somebody", PASSWORD)).status_code == 200
    assert stranger.get("/simple/", auth=("apr1", PASSWORD)).status_code == 401


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "MIRROR_NGINX=htpasswd: set MIRROR_HTPASSWD_FILE to a file with a line NAME:HASH per user"),
        ("a:$apr1$x$y\nuser:secret\n", "/etc/mirror/htpasswd, line 2: not NAME:HASH, or the hash is too slow"),
        ("user:{PLAIN}secret\n", "/etc/mirror/htpasswd, line 1: not NAME:HASH"),
        ("user:$2y$10$abcdefghijklmnopqrstuu23JPZtHcGhwXSF41f93o/7vBdDut3Xu\n", "/etc/mirror/htpasswd, line 1: "),
        ("user:$y$j9T$abcdefghijklmnop$0Hi8KsZH\nno colon\n", "/etc/mirror/htpasswd, line 1 2: "),
    ],
)
def test_unusable_password_file_stops_the_start(image: str, passwords: Path, content: str, told: str) -> None:
    """An empty file, a plain password and a slow hash stop the start with line and remedy."""
    passwords.write_text(content)
    said = run_to_end(image, *HARDENED, *KNOBS, mount(passwords), status=2)
    assert said.startswith(told)
    assert "secret" not in said


def test_unreadable_password_file_stops_the_start(image: str, passwords: Path) -> None:
    """An unreadable file stops the start with its path on the host and the command to run."""
    passwords.chmod(0o000)
    said = run_to_end(image, *HARDENED, *KNOBS, mount(passwords), status=2)
    assert said == "/etc/mirror/htpasswd: not readable by user 10002; run chown 10002 /etc/mirror/htpasswd"


def test_password_file_without_htpasswd_stops_the_start(image: str, passwords: Path) -> None:
    """A password file without ``MIRROR_NGINX=htpasswd`` stops the start: the mirror would be open by mistake."""
    said = run_to_end(image, *HARDENED, mount(passwords), status=2)
    assert said == "MIRROR_HTPASSWD_FILE is set, but MIRROR_NGINX lacks htpasswd"
