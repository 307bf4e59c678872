"""The container: its knobs, its log, and how little it needs."""

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
from nginx.containers import HARDENED, LOGS, Container, connect, docker, exchange, mirror
from nginx.tree import Tree, plant

pytestmark = pytest.mark.docker

KNOWN = "htpasswd limits listing symlinks tls"


@pytest.fixture(scope="module")
def unreadable(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """Return a mirror with two directories that nginx cannot read, and logs whoever asks for a file in one."""
    root = tmp_path_factory.mktemp("unreadable")
    plant(root)
    closed = [root / "pypi/web/packages/ee", root / "lost+found"]
    for directory in closed:
        directory.mkdir(mode=0o700)
    with mirror(image, root, LOGS) as container:
        yield container


@pytest.mark.parametrize("names", ["lisitng", "listing,tsl", "../nginx", "*", "listing.conf"])
def test_unknown_knob(image: str, names: str) -> None:
    """A name that MIRROR_NGINX does not know stops the start, with the names that it does."""
    said = docker("run", "--rm", *HARDENED, f"--env=MIRROR_NGINX={names}", image, status=2)
    assert said == f"MIRROR_NGINX: there is no '{names.rpartition(',')[2]}'; known: {KNOWN}"


@pytest.mark.parametrize("names", ["", " ", "listing", "listing listing", ",listing, "])
def test_known_knobs(image: str, tree: Tree, names: str) -> None:
    """Names may be separated by blanks and commas, and be none at all."""
    with mirror(image, tree.root, f"--env=MIRROR_NGINX={names}") as container, connect(container) as client:
        assert ("Index of /" in client.get("/").text) is ("listing" in names)


def test_without_logs(image: str, tree: Tree) -> None:
    """Without a volume for the access log it starts, says so once, and serves in silence."""
    with mirror(image, tree.root) as container, connect(container) as client:
        for _ in range(5):
            assert client.get("/simple/").status_code == 200
        lines = [line for line in container.logs.splitlines() if "js vm init" not in line]
        assert lines == ["no access log: /logs is no writable volume"]


def test_restart(image: str, tree: Tree) -> None:
    """It starts again in the container where it ran before."""
    with mirror(image, tree.root, LOGS, "--env=MIRROR_NGINX=listing") as container:
        docker("restart", container.id)
        container.wait_until_healthy()
        with connect(container) as client:
            assert "Index of /" in client.get("/").text


def test_image(image: str) -> None:
    """The image itself says that it is nobody's root and stops gracefully."""
    configuration = json.loads(docker("inspect", image))[0]["Config"]
    assert (configuration["User"], configuration["StopSignal"]) == ("10002:10001", "SIGQUIT")


def test_configuration(nginx: Container) -> None:
    """nginx itself has nothing to warn of in its configuration."""
    said = nginx.run("nginx", "-e", "stderr", "-t").splitlines()
    assert [line for line in said if "[warn]" in line or "[emerg]" in line] == []


def test_access_log(image: str, tree: Tree, network: str) -> None:
    """Every request but that for health is a line of JSON in its minute's file, with what was asked, less its query."""
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
def test_no_client_words_the_error_log(unreadable: Container, text: str) -> None:
    """What a terminal obeys, or begins a line, reaches the error log by no path, query, user, host or referrer."""
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
    assert ["plain.whl" in line and "Permission denied" in line for line in new] == [True]


def test_a_directory_without_an_index_fills_no_log(nginx: Container, client: httpx2.Client) -> None:
    """Whoever asks for directories of the document root on and on leaves nothing in the error log."""
    before = len(nginx.logs.splitlines())
    assert {client.get(path).status_code for path in ("/centos/", "/pypi/", "/centos/images/") * 5} == {403}
    assert len(nginx.logs.splitlines()) == before


@pytest.mark.proves("security/clients")
def test_no_client_makes_a_long_line(image: str, tree: Tree) -> None:
    """Whatever a client sends, its line of the log is bounded: 720 requests of the worst kind take 2 MB of 64."""
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


def test_podman_resolver(image: str, tree: Tree, tmp_path: Path) -> None:
    """Under Podman nginx asks the DNS server of its resolv.conf for control, and not Docker's."""
    (tmp_path / "mark").touch(0o644)
    options = (f"--volume={tmp_path}/mark:/run/.containerenv:ro", "--dns=192.0.2.53")
    with mirror(image, tree.root, *options) as container:
        assert container.run("cat", "/tmp/nginx/resolver.conf") == "resolver 192.0.2.53 valid=1s ipv6=off;"
