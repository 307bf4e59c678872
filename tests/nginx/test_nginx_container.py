"""The container: settings, log, and minimal requirements."""

import json
import re
import socket
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

from mirror_control.downloads.line import parse_line
from nginx.containers import HARDENED, LOGS, Container, connect, docker, exchange, mirror, run_to_end
from nginx.tree import Tree, plant

pytestmark = pytest.mark.docker

KNOWN = "htpasswd limits listing symlinks tls"


@pytest.fixture(scope="module")
def unreadable(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """Return a mirror with two unreadable directories; requests for their files are logged."""
    root = tmp_path_factory.mktemp("unreadable")
    plant(root)
    closed = [root / "pypi/web/packages/ee", root / "lost+found"]
    for directory in closed:
        directory.mkdir(mode=0o700)
    with mirror(image, root, LOGS) as container:
        yield container


@pytest.mark.parametrize("names", ["lisitng", "listing,tsl", "../nginx", "*", "listing.conf"])
def test_unknown_name_in_mirror_nginx_stops_the_start(image: str, names: str) -> None:
    """An unknown name in MIRROR_NGINX stops the start and lists the known names."""
    said = run_to_end(image, *HARDENED, f"--env=MIRROR_NGINX={names}", status=2)
    assert said == f"MIRROR_NGINX: unknown name '{names.rpartition(',')[2]}'; known names: {KNOWN}"


@pytest.mark.parametrize("names", ["", " ", "listing", "listing listing", ",listing, "])
def test_names_in_mirror_nginx_may_be_separated_freely(image: str, tree: Tree, names: str) -> None:
    """Names may be separated by blanks and commas; the list may be empty."""
    with mirror(image, tree.root, f"--env=MIRROR_NGINX={names}") as container, connect(container) as client:
        assert ("Index of /" in client.get("/").text) is ("listing" in names)


def test_missing_log_volume_disables_the_access_log(image: str, tree: Tree) -> None:
    """Without a log volume, nginx starts, says so once, and serves."""
    with mirror(image, tree.root) as container, connect(container) as client:
        for _ in range(5):
            assert client.get("/simple/").status_code == 200
        lines = [line for line in container.logs.splitlines() if "js vm init" not in line]
        assert lines == ["access log disabled: /logs is not writable"]


def test_container_can_be_restarted(image: str, tree: Tree) -> None:
    """nginx starts again in the same container."""
    with mirror(image, tree.root, LOGS, "--env=MIRROR_NGINX=listing") as container:
        docker("restart", container.id)
        container.wait_until_healthy()
        with connect(container) as client:
            assert "Index of /" in client.get("/").text


def test_image_has_user_and_stop_signal(image: str) -> None:
    """The image runs as a user without privileges and stops gracefully."""
    configuration = json.loads(docker("inspect", image))[0]["Config"]
    assert (configuration["User"], configuration["StopSignal"]) == ("10002:10001", "SIGQUIT")


def test_nginx_reports_no_warning(nginx: Container) -> None:
    """nginx has no warning about its configuration."""
    said = nginx.run("nginx", "-e", "stderr", "-t").splitlines()
    assert [line for line in said if "[warn]" in line or "[emerg]" in line] == []


def test_each_request_is_logged_as_json(image: str, tree: Tree, network: str) -> None:
    """Each request except /healthz is a JSON line in the file of its minute, without the query."""
    options = (LOGS, f"--network={network}", "--dns=127.0.0.1")
    with mirror(image, tree.root, *options) as container, connect(container) as client:
        agent = 'pip/26.2 {"ci":null,"distro":{"name":"Ubuntu"}} "\\\x7fü'.encode()
        sent = client.get("/simple/foo-bar/?format=text/html", headers=[(b"User-Agent", agent)])
        client.get("/pypi/web/packages/ab/foo.tar", headers={"Range": "bytes=0-3"})
        client.get("/pypi/foo-bar/json")
        client.get("/simple/absent/")
        client.get("/api/v1/status")
        client.get("/centos/.treeinfo")
        client.get("/simple/Foo.Bar")
        client.get("/centos/absent")
        client.get("/centos")
        client.post("/simple/")
        client.get("/")
        client.get("/ui/", headers={"Accept": "text/html"})
        client.get("/healthz")
        names = container.run("ls", "/logs").splitlines()
        lines = [json.loads(line) for line in container.run("sh", "-c", "cat /logs/*").splitlines()]

    assert all(re.fullmatch(r"access-\d{4}-\d\d-\d\dT\d{4}\.jsonl", name) for name in names)
    assert [(line["route"], line["status"], line["uri"]) for line in lines] == [
        ("page", "200", "/simple/foo-bar/"),
        ("package", "206", "/pypi/web/packages/ab/foo.tar"),
        ("json", "200", "/pypi/foo-bar/json"),
        ("page", "404", "/simple/absent/"),
        ("control", "502", "/api/v1/status"),
        ("other", "200", "/centos/.treeinfo"),
        ("page", "301", "/simple/Foo.Bar"),
        ("other", "404", "/centos/absent"),
        ("other", "301", "/centos"),
        ("page", "405", "/simple/"),
        ("other", "200", "/"),
        ("control", "502", "/ui/"),
    ]
    assert lines[0]["agent"] == agent.decode()
    assert (lines[0]["method"], lines[0]["bytes"]) == ("GET", len(sent.content))
    assert (lines[1]["range"], lines[1]["bytes"]) == ("bytes=0-3", 4)
    assert all(line["seconds"] >= 0 and line["client"] and line["time"] for line in lines)


UNPRINTABLE = [
    "\n2026/01/01 00:00:00 [alert] worded by a client",
    "\x1b[2J",
    "\x7f",
    "\x9b2J",
    "\u202etxt",
    "\u2066",
    "\u061c",
]


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize("text", UNPRINTABLE)
def test_client_cannot_forge_error_log_lines(unreadable: Container, text: str) -> None:
    """Control characters and line breaks in path, query, user, host or referrer do not reach the error log."""
    quoted, raw = quote(text).encode(), text.replace("\n", "\t").encode()
    user = b64encode(f"{text}:password".encode())
    before = len(unreadable.logs.splitlines())
    heads = [
        b"GET /packages/ee/%b.whl HTTP/1.1\r\nHost: a" % quoted,
        b"GET /lost+found/%b HTTP/1.1\r\nHost: a" % quoted,
        b"GET /packages/ee/x.whl HTTP/1.1\r\nHost: a\r\nAuthorization: Basic " + user,
        b"GET /packages/ee/x.whl HTTP/1.1\r\nHost: a\r\nReferer: http://b/" + raw,
        b"GET /packages/ee/x.whl?%b HTTP/1.1\r\nHost: a" % raw,
        b"GET /packages/ee/x.whl HTTP/1.1\r\nHost: a" + raw,
    ]
    for head in heads:
        answer = exchange(unreadable, head + b"\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 400 "), head
    exchange(unreadable, b"GET /packages/ee/plain.whl HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")

    new = unreadable.logs.splitlines()[before:]
    # One for the file, one for its marker.
    assert ["plain.whl" in line and "Permission denied" in line for line in new] == [True, True]


def test_unlisted_directories_are_not_logged(nginx: Container, client: httpx2.Client) -> None:
    """Repeated requests for directories leave nothing in the error log."""
    before = len(nginx.logs.splitlines())
    assert {client.get(path).status_code for path in ("/centos/", "/pypi/", "/centos/images/") * 5} == {403}
    assert len(nginx.logs.splitlines()) == before


@pytest.mark.proves("security/clients")
def test_log_lines_have_limited_length(image: str, tree: Tree) -> None:
    """No request makes a long log line: 720 of the worst take 2 MB of 64."""
    worst = b"\x01" * 7000  # which JSON writes as six characters each
    heads = (
        b"GET /packages/" + b'"' * 7000 + b" HTTP/1.1\r\nRange: " + worst + b"\r\nUser-Agent: " + worst,
        b"GET /simple/" + b"x" * 7000 + b" HTTP/1.1\r\nUser-Agent: " + b"\xff" * 7000,
        b"GET /?" + b"x" * 7000 + b" HTTP/1.1\r\nReferer: " + b"r" * 7000,
        b"X" * 7000 + b" /" + b'"' * 900 + b" HTTP/1.1\r\nX: " + worst,
    )
    with (
        mirror(image, tree.root, LOGS) as container,
        socket.create_connection(container.address) as connection,
        connection.makefile("rb") as answers,
    ):
        for number in range(720):
            connection.sendall(heads[number % len(heads)] + b"\r\nHost: a\r\n\r\n")
            length = 0
            while (line := answers.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            answers.read(length)
        lines = b64decode(container.run("sh", "-c", "cat /logs/* | base64 --wrap=0")).splitlines()
    assert len(lines) == 720
    assert max(map(len, lines)) < 3_000
    assert sum(map(len, lines)) < 2_000_000
    assert all(parse_line(line) for line in lines)


def test_podman_uses_its_own_resolver(image: str, tree: Tree, tmp_path: Path) -> None:
    """Under Podman, nginx resolves control by the DNS server of resolv.conf instead of Docker's."""
    (tmp_path / "mark").touch(0o644)
    options = (f"--volume={tmp_path}/mark:/run/.containerenv:ro", "--dns=192.0.2.53")
    with mirror(image, tree.root, *options) as container:
        assert container.run("cat", "/tmp/nginx/resolver.conf") == "resolver 192.0.2.53 valid=1s ipv6=off;"
