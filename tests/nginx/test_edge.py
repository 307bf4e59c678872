"""An edge: what it caches, what it serves without an origin, and how soon a withdrawn file leaves it."""

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from mirror_syncer.model.names import PackagePath
from nginx.containers import LOGS, Container, connect, docker, edge
from nginx.edges import JSON, REASON, Origin, origin, state, until
from nginx.tree import DIGEST, PUBLISHED, long_path

pytestmark = pytest.mark.docker

NAME = "evil-1.0.tar.gz"
PLACE = PackagePath(f"packages/ab/{NAME}")
PART_BYTES = 100 * 2**20
# A page is fresh for a second instead of ten minutes.
BRIEF = "max-age=1,"


@pytest.fixture
def client(site: Container) -> Iterator[httpx2.Client]:
    """Return a client of that edge."""
    with connect(site) as browser:
        yield browser


# What it caches


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/simple/foo-bar/", JSON), ("/packages/ab/foo.tar", {}), ("/pypi/foo-bar/json", {})],
    ids=["page", "file", "document"],
)
def test_answer_is_asked_for_once(
    client: httpx2.Client, site: Container, host: Origin, path: str, headers: dict[str, str]
) -> None:
    """An edge asks its origin once for what many clients request, however they spell the URL."""
    client.get(path, headers=headers)
    before = len(host.requests(path))
    double, dotted = path.replace("/foo", "//foo"), path.replace("foo", "%66oo")
    for spelling in (path, f"{path}?cachebust=1", f"/pypi/web{path}", double, dotted, path.replace("/foo", "/./foo")):
        answer = client.get(spelling, headers=headers, follow_redirects=True)
        assert answer.status_code == 200, spelling
    assert len(host.requests(path)) == before
    logged = site.run("sh", "-c", "cat /logs/access-*.jsonl").splitlines()
    states = [line["cache"] for line in map(json.loads, logged) if line["uri"] == path]
    assert states[-1] == "HIT"


def test_missing_page_appears_at_once(client: httpx2.Client, host: Origin) -> None:
    """A 404 is never cached: a new project, and its files, are there with the next request."""
    assert client.get("/simple/late/").status_code == client.get("/packages/ab/late-1.0.zip").status_code == 404
    host.tree.publish("late", "page")
    host.tree.write("pypi/web/packages/ab/late-1.0.zip", b"late\n")
    assert client.get("/simple/late/").status_code == client.get("/packages/ab/late-1.0.zip").status_code == 200


@pytest.mark.proves("security/clients")
def test_client_does_not_affect_what_others_get(client: httpx2.Client, host: Origin) -> None:
    """No header or query of a client reaches an origin's cacheable answer, so none can poison it for others."""
    forged = {
        "Host": "evil.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Prefix": "/evil",
        "X-Forwarded-Proto": "https",
        "Authorization": "Basic eDp5",
        "Cookie": "a=b",
        "Range": "bytes=3-5",
        "If-None-Match": "*",
        "X-Lifetime": "recent",
        "X-Original-URL": "/status.json",
        "Accept-Encoding": "gzip",
    }
    for number, path in enumerate(("/simple/tiny/", "/packages/ab/foo_bar-1.0.tar.gz", "/pypi/tiny/json")):
        client.get(f"{path}?format=text/html&callback={number}", headers=forged)
        with connect(host.container) as direct:
            own, through = direct.get(path), client.get(path)
        assert (through.status_code, through.content) == (200, own.content), path
        kept = ("content-type", "content-encoding", "cache-control", "vary", "access-control-allow-origin")
        assert {name: through.headers.get_list(name) for name in kept} == {
            name: own.headers.get_list(name) for name in kept
        }
        assert "evil" not in str(through.headers)


@pytest.mark.proves("reliability/edges")
def test_many_clients_cost_one_request(client: httpx2.Client, site: Container, host: Origin) -> None:
    """64 clients that request the same uncached file at once cost the origin one request, and all get all of it."""
    content = os.urandom(1_000_000) * 8
    host.tree.write("pypi/web/packages/ab/crowd-1.0.zip", content)
    barrier = threading.Barrier(64)

    def fetch(_: int) -> bytes:
        with connect(site) as one:
            one.timeout = httpx2.Timeout(60)
            barrier.wait()
            return hashlib.sha256(one.get("/packages/ab/crowd-1.0.zip").content).digest()

    with ThreadPoolExecutor(64) as pool:
        assert set(pool.map(fetch, range(64))) == {hashlib.sha256(content).digest()}
    until(lambda: len(host.requests("/packages/ab/crowd-1.0.zip")) == 1)


@pytest.fixture(scope="module")
def brief(image: str, network: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    """Return an origin whose pages are fresh for a second."""
    directory = tmp_path_factory.mktemp("brief")
    directory.chmod(0o755)
    pages = (Path(__file__).parents[2] / "nginx/tree/pages.conf").read_text()
    assert "max-age=600," in pages
    (directory / "pages.conf").write_text(pages.replace("max-age=600,", BRIEF))
    (directory / "pages.conf").chmod(0o644)
    with origin(
        image, network, directory / "root", f"--volume={directory}/pages.conf:/etc/nginx/tree/pages.conf:ro"
    ) as running:
        yield running


@pytest.mark.proves("reliability/edges")
def test_expired_page_is_asked_for_in_the_background(image: str, network: str, brief: Origin) -> None:
    """A page that has just expired is sent at once while the edge asks for it again, by its ETag."""
    with edge(image, [brief.container.inside], LOGS, f"--network={network}") as container, connect(container) as one:
        page = one.get("/simple/foo-bar/", headers=JSON)
        until(
            lambda: (
                one.get("/simple/foo-bar/", headers=JSON).is_success and len(brief.requests("/simple/foo-bar/")) >= 2
            )
        )
        statuses = [request["status"] for request in brief.requests("/simple/foo-bar/")]
        assert statuses[:2] == ["200", "304"]
        brief.tree.publish("foo-bar", "another page", mtime=PUBLISHED + 10)
        until(lambda: one.get("/simple/foo-bar/", headers=JSON).content != page.content)
        # The cache's state of each answer: it was never an error, and no client waited.
        logged = container.run("sh", "-c", "cat /logs/access-*.jsonl").splitlines()
        states = [json.loads(line)["cache"] for line in logged]
        assert states[0] == "MISS"
        assert set(states[1:]) <= {"HIT", "STALE", "UPDATING"}


# Large files


@pytest.mark.proves("reliability/edges")
def test_large_file_is_cached_in_parts(image: str, network: str, tmp_path: Path) -> None:
    """Of a large file an edge fetches the parts that are needed; another origin continues where the first one died."""
    size = 2 * PART_BYTES + 12_345
    with (
        origin(image, network, tmp_path / "one") as first,
        origin(image, network, tmp_path / "two", mtime=PUBLISHED + 1_000) as second,
        edge(image, [first.container.inside, second.container.inside], LOGS, f"--network={network}") as container,
        connect(container) as client,
    ):
        client.timeout = httpx2.Timeout(120)
        for number, place in enumerate((first, second)):
            place.tree.write("pypi/web/packages/ab/large-1.0.whl", b"")
            path = place.tree.web / "packages/ab/large-1.0.whl"
            with path.open("r+b") as file:
                for position in (0, PART_BYTES - 3, size - 3):
                    file.seek(position)
                    file.write(b"abc")
            os.utime(path, (PUBLISHED + number, PUBLISHED + number))
        url = "/packages/ab/large-1.0.whl"
        tail = client.get(url, headers={"Range": "bytes=-5"})
        assert (tail.status_code, tail.content) == (206, b"\0\0abc")
        assert tail.headers["Content-Range"] == f"bytes {size - 5}-{size - 1}/{size}"
        border = client.get(url, headers={"Range": f"bytes={PART_BYTES - 3}-{PART_BYTES + 1}"})
        assert (border.status_code, border.content) == (206, b"abc\0\0")
        docker("kill", first.container.id)
        whole = hashlib.sha256()
        with client.stream("GET", url) as answer:
            assert (answer.status_code, int(answer.headers["Content-Length"])) == (200, size)
            for chunk in answer.iter_bytes():
                whole.update(chunk)
        expected = hashlib.sha256()
        with (second.tree.web / "packages/ab/large-1.0.whl").open("rb") as file:
            while block := file.read(1 << 22):
                expected.update(block)
        assert whole.digest() == expected.digest()
        assert [request["range"] for request in second.requests(url)] == []
        assert client.get(url, headers={"Range": f"bytes={size}-"}).status_code == 416
        assert client.head(url).headers["Content-Length"] == str(size)


# Origins that die


@pytest.mark.proves("reliability/edges")
def test_cache_is_served_when_all_origins_are_dead(image: str, network: str, tmp_path: Path) -> None:
    """The second origin takes over from a dead first; when both are dead, what is cached is served, however old."""
    with (
        origin(image, network, tmp_path / "one") as first,
        origin(image, network, tmp_path / "two") as second,
        edge(image, [first.container.inside, second.container.inside], LOGS, f"--network={network}") as container,
        connect(container) as client,
    ):
        client.timeout = httpx2.Timeout(30)
        first.tree.write(f"pypi/web/{PLACE}", b"evil\n")
        cached = ("/simple/foo-bar/", "/simple/", "/packages/ab/foo.tar", f"/{PLACE}", "/pypi/foo-bar/json")
        before = {path: client.get(path).content for path in cached}
        docker("kill", first.container.id)
        assert client.get("/simple/tiny/").status_code == 200
        assert len(second.requests("/simple/tiny/")) == 1
        second.volume.hold(PLACE, REASON, address=DIGEST)  # it was never there: only the first origin's list names it
        Changes = type(second.volume._changes)  # noqa: N806
        Changes.add(second.volume._changes, [PLACE])
        until(lambda: client.get(f"/{PLACE}").status_code == 403)
        docker("kill", second.container.id)
        until(lambda: state(container)["error"] != "")
        for path in cached:
            answer = client.get(path)
            if path == f"/{PLACE}":
                assert answer.status_code == 403
                assert answer.text.startswith("403: the mirror has withdrawn this file or replaced it")
            else:
                assert (answer.status_code, answer.content) == (200, before[path]), path
        for path in ("/packages/ab/foo.tar.gz", "/simple/absent/"):
            answer = client.get(path)
            assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/plain")
            assert answer.text.startswith("502: no origin of this edge answers")
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert client.get("/healthz").status_code == 200
        assert client.get("/status.json").status_code == 502
        docker("start", first.container.id)
        until(lambda: client.get("/packages/ab/foo.tar.gz").status_code == 200)


def test_edge_starts_without_an_origin(image: str, network: str) -> None:
    """An edge starts while its origins have no address or do not answer, and says so."""
    with (
        edge(image, [("absent", 8080), ("127.0.0.1", 9)], LOGS, f"--network={network}") as container,
        connect(container) as client,
    ):
        client.timeout = httpx2.Timeout(30)
        assert client.get("/simple/foo-bar/").status_code == 502
        until(lambda: "no origin answers: 502" in container.logs)


# What the origin withdraws


@pytest.mark.proves("security/project-owners", "reliability/edges")
def test_blocked_file_is_403_at_the_edge(client: httpx2.Client, host: Origin) -> None:
    """A cached file that the origin blocks is 403 with the origin's text by each URL, soon after the origin."""
    host.tree.write(f"pypi/web/{PLACE}", b"evil\n")
    host.tree.write(f"pypi/web/{PLACE}.metadata", b"Metadata-Version: 2.4\n")
    urls = [f"/{PLACE}", f"/pypi/web/{PLACE}", f"/{PLACE}.metadata", f"/packages/{long_path(DIGEST, NAME)}"]
    assert {client.get(url).status_code for url in urls} == {200}
    host.volume.hold(PLACE, REASON, address=DIGEST)
    for url in urls:
        until(lambda url=url: client.get(url).status_code == 403)  # type: ignore[misc]
        answer = client.get(url, headers={"Range": "bytes=0-3"})
        assert (answer.status_code, answer.text) == (403, f"{REASON}\n")
        assert answer.headers.get_list("Cache-Control") == ["no-store"]
        assert answer.headers.get_list("Content-Type") == ["text/plain; charset=utf-8"]
        assert answer.headers.get_list("Access-Control-Allow-Origin") == ["*"]
    assert client.get("/packages/ab/foo.tar").status_code == 200
    host.volume.release(PLACE, address=DIGEST)
    assert {client.get(url).status_code for url in urls} == {200}


@pytest.mark.proves("reliability/edges")
def test_removed_file_is_404_at_the_edge(client: httpx2.Client, host: Origin) -> None:
    """A cached file that the origin removes is 404 at the edge, too."""
    place = PackagePath("packages/ab/gone-1.0.zip")
    host.tree.write(f"pypi/web/{place}", b"gone\n")
    assert client.get(f"/{place}").status_code == 200
    host.volume.remove(place)
    until(lambda: client.get(f"/{place}").status_code == 404)


@pytest.mark.proves("reliability/edges")
def test_replaced_page_is_new_at_the_edge(client: httpx2.Client, host: Origin) -> None:
    """A cached page that the origin replaces is new at the edge long before its lifetime ends, in each form."""
    host.tree.publish("daily", "day 1")
    for accept in ("text/html", JSON["Accept"]):
        assert "day 1" in client.get("/simple/daily/", headers={"Accept": accept}).text
    host.tree.publish("daily", "day 2", mtime=PUBLISHED + 86_400)
    host.volume.list_changed_pages(["daily"])  # type: ignore[list-item]
    for accept in ("text/html", JSON["Accept"]):
        until(lambda accept=accept: "day 2" in client.get("/simple/daily/", headers={"Accept": accept}).text)  # type: ignore[misc]


HEAD = "pypi-mirror-changes 1 " + "0" * 16
HOSTILE = [
    "",
    "<html>not a list",
    "pypi-mirror-changes 2 0123456789abcdef\n",
    f"{HEAD}\n1796000000 packages/ab/half",
    f"{HEAD}\n",
    f"{HEAD}\n1796000000 packages/ab/../../../../tmp/x\n1796000000 packages/../x\n1796000000 packages/ab/..\n",
    f"{HEAD}\nx packages/ab/foo.tar\n1796000000 simple/../foo-bar\n1796000000 simple/\n\n\n",
    f"{HEAD}\n1796000000 packages/ab/{'x' * 300}\n1796000000 packages/zz/foo.tar\n",
    HEAD[:-1] + "1\n" + "1796000000 packages/ab/foo.tar\n" * 3_000,
]


@pytest.mark.proves("security/upstream")
def test_wrong_list_neither_unblocks_nor_breaks(client: httpx2.Client, site: Container, host: Origin) -> None:
    """Half, hostile and empty lists unblock nothing and break nothing; the edge says what is wrong."""
    blocked = PackagePath("packages/ab/wrong-1.0.zip")
    host.tree.write(f"pypi/web/{blocked}", b"wrong\n")
    assert client.get(f"/{blocked}").status_code == 200
    host.volume.hold(blocked, REASON, address=DIGEST)
    until(lambda: client.get(f"/{blocked}").status_code == 403)
    right = (host.volume.base / ".changes").read_bytes()
    try:
        for number, content in enumerate(HOSTILE):
            host.tree.write("pypi/.changes", content.encode(), mtime=PUBLISHED + number)
            valid = content.startswith(HEAD[:-1]) and content.endswith("\n")
            before = state(site)["read"]
            until(lambda: (state(site)["error"] == "") is valid and (not valid or state(site)["read"] != before))  # noqa: B023
            assert client.get(f"/{blocked}").status_code == 403
            for path in ("/simple/foo-bar/", "/packages/ab/foo.tar", "/packages/ab/foo.tar.gz"):
                assert client.get(path).status_code == 200
        assert "not a list" in site.logs
        assert site.run("sh", "-c", "ls /cache /cache/changed").split() == [
            *("/cache:", "changed", "files", "pages", "read", "/cache/changed:", "not_all", "packages", "simple"),
        ]
    finally:
        host.tree.write("pypi/.changes", right, mtime=PUBLISHED + 100)
        until(lambda: state(site)["error"] == "")


def test_markers_outlive_a_restart(image: str, network: str, host: Origin, tmp_path: Path) -> None:
    """What was withdrawn stays withdrawn after a restart without an origin; a cache older than the list is deleted."""
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    place = PackagePath("packages/ab/restart-1.0.zip")
    host.tree.write(f"pypi/web/{place}", b"restart\n")
    options = (LOGS, f"--network={network}", f"--volume={cache}:/cache")
    try:
        with edge(image, [host.container.inside], *options, cache=None) as container, connect(container) as client:
            assert client.get(f"/{place}").status_code == client.get("/packages/ab/foo.tar").status_code == 200
            host.volume.hold(place, REASON, address=DIGEST)
            until(lambda: client.get(f"/{place}").status_code == 403)
        with edge(image, [("127.0.0.1", 9)], *options, cache=None) as container, connect(container) as client:
            assert client.get(f"/{place}").status_code == 403
            assert client.get("/packages/ab/foo.tar").status_code == 200
            container.run("touch", "--date=30 days ago", "/cache/read")
            docker("restart", container.id)
            container.wait_until_healthy()
            with connect(container) as again:
                assert again.get("/packages/ab/foo.tar").status_code == 502
            assert "the cache is deleted" in container.logs
            container.run("rm", "-rf", "/cache/pages", "/cache/files", "/cache/changed", "/cache/read")
    finally:
        docker("run", "--rm", f"--volume={cache}:/cache", "--user=0", "--entrypoint=sh", image, "-c", "rm -rf /cache/*")
