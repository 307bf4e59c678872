"""An edge: what a client that requests a lot of nonsense, a failing origin or a full disk cannot do to the others."""

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from mirror_syncer.model.names import PackagePath
from nginx.containers import CACHE, HARDENED, LOGS, Container, connect, docker, edge, started
from nginx.edges import JSON, REASON, Origin, state, until
from nginx.tree import DIGEST, OTHER_DIGEST, PUBLISHED, long_path

pytestmark = pytest.mark.docker

HERE = Path(__file__).parent
NGINX = HERE.parents[1] / "nginx"


@pytest.fixture
def client(site: Container) -> Iterator[httpx2.Client]:
    """Return a client of that edge."""
    with connect(site) as browser:
        yield browser


@contextmanager
def failing_origin(image: str, network: str, files: Path) -> Iterator[Container]:
    """Run a server that answers as failing_origin.conf says."""
    mounts = (f"--volume={HERE}/failing_origin.conf:/failing.conf:ro", f"--volume={files}:/fake:ro")
    options = (*HARDENED, LOGS, *mounts, f"--network={network}", "--publish=127.0.0.1::8080", "--entrypoint=nginx")
    with started(image, *options, command=("-e", "stderr", "-c", "/failing.conf")) as container:
        container.wait_until_healthy()
        yield container


@pytest.fixture(scope="module")
def failing(image: str, network: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """Return an origin that fails."""
    files = tmp_path_factory.mktemp("failing")
    (files / "packages/ab").mkdir(parents=True)
    (files / "packages/ab/slow-1.0.whl").write_bytes(os.urandom(3_000_000))
    for path in (files, *files.rglob("*")):
        path.chmod(0o755)
    with failing_origin(image, network, files) as container:
        yield container


@contextmanager
def changed(directory: Path, name: str, old: str, new: str) -> Iterator[str]:
    """Return the option that replaces a setting in a file of the image."""
    text = (NGINX / name).read_text()
    assert text.count(old) == 1
    directory.chmod(0o755)
    path = directory / Path(name).name
    path.write_text(text.replace(old, new))
    path.chmod(0o644)
    yield f"--volume={path}:/etc/nginx/{name}:ro"


def asked(container: Container) -> Counter[str]:
    """Return how often a failing origin was asked for each path."""
    lines = container.run("cat", "/logs/access.jsonl").splitlines()
    return Counter(line["uri"] for line in map(json.loads, lines))


def logged(container: Container, path: str) -> list[dict[str, str]]:
    """Return the edge's own log of a path."""
    lines = container.run("sh", "-c", "cat /logs/access-*.jsonl").splitlines()
    return [line for line in map(json.loads, lines) if line["uri"] == path]


def copies(container: Container) -> int:
    """Return how many files and parts an edge has cached."""
    return int(container.run("sh", "-c", "find /cache/files -type f | wc -l"))


def in_parallel(container: Container, path: str, *, clients: int) -> list[httpx2.Response]:
    """Request a path by many clients at once."""
    barrier = threading.Barrier(clients)

    def fetch(_: int) -> httpx2.Response:
        with connect(container) as one:
            one.timeout = httpx2.Timeout(60)
            barrier.wait()
            return one.get(path)

    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(fetch, range(clients)))


# Copies that the list has forgotten


@pytest.mark.proves("security/project-owners", "reliability/edges")
def test_forgotten_copy_is_confirmed_by_the_origin(image: str, network: str, host: Origin, tmp_path: Path) -> None:
    """After 30 days an edge asks its origin whether a cached file is still there, although no list names it."""
    path = "/packages/ab/forgotten-1.0.zip"
    host.tree.write(f"pypi/web{path}", b"forgotten\n")
    options = (LOGS, f"--network={network}")
    with (
        changed(tmp_path, "edge/lifetimes.conf", "max-age=2592000,", "max-age=1,") as brief,
        edge(image, [host.container.inside], *options, brief) as container,
        connect(container) as client,
    ):
        assert client.get(path).headers["Cache-Control"].startswith("max-age=365000000, immutable")
        until(lambda: client.get(path).is_success and logged(container, path)[-1]["cache"] == "REVALIDATED")
        (host.tree.web / path[1:]).unlink()
        until(lambda: client.get(path).status_code == 404)


@pytest.mark.proves("reliability/edges")
def test_marker_outlives_copies(image: str, network: str, host: Origin, tmp_path: Path) -> None:
    """A marker stays for 62 days and while no list can be read; a copy that nobody confirmed leaves before."""
    for name, days in (("changed/packages/00/old", 63), ("changed/packages/00/young", 61), ("files/aa/bb/copy", 33)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        then = path.stat().st_mtime - days * 86_400
        os.utime(path, (then, then))
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o777)
    options = (LOGS, f"--network={network}", f"--volume={tmp_path}:/cache")
    markers = tmp_path / "changed/packages/00"
    try:
        with edge(image, [("127.0.0.1", 9)], *options, cache=None) as container:
            until(lambda: "no origin answers" in container.logs)
            until(lambda: not (tmp_path / "files/aa/bb/copy").exists())
            assert {path.name for path in markers.iterdir()} == {"old", "young"}
        with edge(image, [host.container.inside], *options, cache=None):
            until(lambda: {path.name for path in markers.iterdir()} == {"young"})
    finally:
        command = ("--entrypoint=sh", image, "-c", "rm -rf /cache/*")
        docker("run", "--rm", f"--volume={tmp_path}:/cache", "--user=0", *command)


# Failing origins


@pytest.mark.proves("reliability/edges")
def test_failing_answer_does_not_stop_others(
    image: str, network: str, failing: Container, host: Origin, tmp_path: Path
) -> None:
    """Errors of control take no origin away from pages and files; the next origin has what the first cannot read."""
    tmp_path.chmod(0o755)
    with failing_origin(image, network, tmp_path) as second:
        origins = [failing.inside, second.inside, host.container.inside]
        with edge(image, origins[:2], LOGS, f"--network={network}") as container, connect(container) as client:
            for _ in range(4):
                assert client.get("/api/v1/broken").status_code == 503
                assert client.get("/simple/absent/").status_code == 404
        with edge(image, origins[::2], LOGS, f"--network={network}") as container, connect(container) as client:
            host.tree.write("pypi/web/packages/ab/broken-1.0.whl", b"whole\n")
            assert client.get("/packages/ab/broken-1.0.whl").content == b"whole\n"


@pytest.mark.proves("reliability/edges")
def test_next_origin_answers_for_what_is_not_cached(image: str, network: str, host: Origin) -> None:
    """Status and other mirrors' trees come from the next origin, too, if the first one is dead."""
    with (
        edge(image, [("127.0.0.1", 9), host.container.inside], LOGS, f"--network={network}") as container,
        connect(container) as client,
    ):
        for path in ("/status.json", "/centos/.treeinfo", "/changes.txt", "/simple/foo-bar/"):
            assert client.get(path, headers=JSON).status_code == 200, path


@pytest.mark.proves("reliability/edges")
def test_error_is_never_cached(image: str, network: str, failing: Container) -> None:
    """No header of an origin makes an edge keep a 404, a redirect or a 401."""
    with (
        edge(image, [failing.inside], LOGS, f"--network={network}") as container,
        connect(container) as client,
    ):
        for path, status in (("/simple/absent/", 404), ("/simple/moved/", 302), ("/simple/closed/", 401)):
            before = asked(failing)[path]
            for _ in range(3):
                answer = client.get(path)
                assert answer.status_code == status
                assert "Expires" not in answer.headers
            assert asked(failing)[path] == before + 3


# Clients that ask for nonsense


@pytest.mark.proves("security/clients")
def test_invented_path_fills_no_cache(client: httpx2.Client, site: Container, host: Origin) -> None:
    """Any long path leads to a file of its two digits; an edge keeps only a path that the origin calls immutable."""
    released = PackagePath("packages/ab/released-1.0.zip")
    host.tree.write(f"pypi/web/{released}", b"released\n")
    host.volume.hold(released, REASON, address=DIGEST)
    until(lambda: client.get(f"/{released}").status_code == 403)
    host.volume.release(released, address=DIGEST)
    before = copies(site)
    for number in range(4):
        digest = "ab" + f"{number:062x}"
        for name in ("foo.tar", "foo_bar-1.0.tar.gz", "foo_bar-1.0.tar.gz.metadata", "released-1.0.zip"):
            path = f"/packages/{long_path(digest, name)}"
            whole = client.get(path)
            assert whole.status_code == 200
            with connect(host.container) as direct:
                assert whole.content == direct.get(path).content
                assert whole.headers["Cache-Control"] == direct.get(path).headers["Cache-Control"]
            part = client.get(path, headers={"Range": "bytes=2-4"})
            assert (part.status_code, part.content) == (206, whole.content[2:5])
            assert client.head(path).status_code == 200
    assert copies(site) == before
    genuine = f"/packages/{long_path(OTHER_DIGEST, 'foo_bar-1.0.tar.gz')}"
    for _ in range(2):
        assert client.get(genuine).content == b"other content, same short name\n"
    assert logged(site, genuine)[-1]["cache"] == "HIT"


@pytest.mark.proves("reliability/edges")
@pytest.mark.parametrize("path", ["/packages/ab/missing-1.0.zip", "/simple/missing/", "/pypi/missing/json"])
def test_what_is_missing_has_no_queue(site: Container, path: str) -> None:
    """Clients that request the same missing object do not wait for each other."""
    assert {answer.status_code for answer in in_parallel(site, path, clients=40)} == {404}
    # One after the other, 40 wait for 20 s.
    assert max(float(line["seconds"]) for line in logged(site, path)) < 10


@pytest.mark.proves("reliability/edges")
def test_slow_file_is_fetched_once(image: str, network: str, failing: Container) -> None:
    """Clients wait for a file that takes long, instead of fetching it each."""
    path = "/packages/ab/slow-1.0.whl"
    with edge(image, [failing.inside], LOGS, f"--network={network}") as container:
        answers = in_parallel(container, path, clients=32)
        assert {answer.status_code for answer in answers} == {200}
        assert {len(answer.content) for answer in answers} == {3_000_000}
        assert len({answer.content for answer in answers}) == 1
        until(lambda: asked(failing)[path] == 1)


@pytest.mark.proves("security/clients")
def test_internal_header_of_a_client_has_no_effect(client: httpx2.Client) -> None:
    """What an edge tells its own second half, no client can tell."""
    for path in ("/status.json", "/centos/.treeinfo", "/packages/ab/foo.tar", "/simple/foo-bar/", "/changes.txt"):
        plain = client.get(path)
        forged = client.get(path, headers={"X-Present": "yes", "X-Lifetime": "file"})
        assert (forged.status_code, forged.content) == (plain.status_code, plain.content)
        assert forged.headers.get("Cache-Control") == plain.headers.get("Cache-Control")


# Markers that cannot be written


@contextmanager
def listed(host: Origin) -> Iterator[list[str]]:
    """Return 100 files of an origin that its list names; the list is the old one again afterwards."""
    path = host.volume.base / ".changes"
    before = path.read_bytes() if path.exists() else b"pypi-mirror-changes 1 " + b"0" * 16 + b"\n"
    places = [f"packages/ab/listed-{number}.zip" for number in range(100)]
    too_long = [f"packages/ab/{'x' * 300}", f"packages/ab/{'ü' * 200}"]
    lines = "".join(f"1796000000 {place}\n" for place in (*too_long, *places))
    host.tree.write(f"pypi/web/{places[-1]}", b"listed\n")
    host.tree.write("pypi/.changes", f"pypi-mirror-changes 1 {'f' * 16}\n{lines}".encode(), mtime=PUBLISHED + 7)
    yield places
    host.tree.write("pypi/.changes", before, mtime=PUBLISHED + 8)


@pytest.fixture
def listing(host: Origin) -> Iterator[list[str]]:
    """Return what the origin's list names."""
    with listed(host) as places:
        yield places


def markers(container: Container) -> int:
    """Return how many files have a marker."""
    return int(container.run("sh", "-c", "find /cache/changed/packages -type f | wc -l"))


@pytest.mark.proves("reliability/edges")
def test_impossible_name_stops_no_other(image: str, network: str, host: Origin, listing: list[str]) -> None:
    """A name that no file system can have costs nothing: what the list names after it gets its marker."""
    with edge(image, [host.container.inside], LOGS, f"--network={network}") as container:
        until(lambda: state(container)["error"] == "" and state(container)["read"] != 0)
        assert markers(container) == len(listing)


@pytest.mark.proves("reliability/edges")
def test_full_disk_is_told_until_it_has_space(image: str, network: str, host: Origin) -> None:
    """While a disk has no space for markers, an edge says so and reads no list; later it writes the missing ones."""
    host.volume.list_changed_pages([])
    small = CACHE.replace("size=2g", "size=2g,nr_inodes=200")
    with edge(image, [host.container.inside], LOGS, f"--network={network}", cache=small) as container:
        until(lambda: state(container)["error"] == "" and state(container)["read"] != 0)
        fill = "mkdir /cache/filler && i=0 && while : >/cache/filler/$i; do i=$((i + 1)); done"
        container.run("bash", "-c", f"({fill}) 2>/dev/null; rm /cache/filler/? && rm /cache/filler/1?")
        earlier = markers(container)
        with listed(host) as places:
            until(lambda: str(state(container)["error"]).startswith("markers are missing"))
            before = state(container)["read"]
            container.run("test", "-e", "/cache/changed/all")
            assert earlier < markers(container) < earlier + len(places)
            container.run("rm", "-r", "/cache/filler")
            until(lambda: state(container)["error"] == "")
            container.run("test", "-e", "/cache/changed/not_all")
            assert markers(container) == earlier + len(places)
            assert int(str(state(container)["read"])) >= int(str(before))


@pytest.mark.proves("security/project-owners", "reliability/edges")
def test_without_all_markers_no_copy_is_trusted(
    image: str, network: str, host: Origin, tmp_path: Path, listing: list[str]
) -> None:
    """Markers have a bound; beyond it an edge reports an error and asks its origin for every file."""
    with (
        changed(tmp_path, "edge.js", "MAX_MARKERS = 500000", "MAX_MARKERS = 50") as bounded,
        changed(tmp_path, "edge/lifetimes.conf", "max-age=30, immutable", "max-age=1, immutable") as brief,
        edge(image, [host.container.inside], LOGS, f"--network={network}", bounded, brief) as container,
        connect(container) as client,
    ):
        until(lambda: state(container)["error"] == "markers are missing: there are 50 already")
        assert markers(container) == 50
        assert client.get(f"/{listing[-1]}").status_code == 200
        held = PackagePath(listing[-1])
        host.volume.hold(held, REASON, address=DIGEST)
        try:
            until(lambda: client.get(f"/{listing[-1]}").status_code == 403)
        finally:
            host.volume.release(held, address=DIGEST)
