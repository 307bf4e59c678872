"""
A mirror of the whole index with worker processes, and a second stack that mirrors the first one's nginx.

The tests depend on each other, in order: a first sync is stopped, overtaken, and loses a worker; then comes its mirror.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from stack.compose import SERVICES, Stack, run, until
from stack.conftest import YEARLY
from stack.fake import JSON, Upstream
from stack.mirror import Mirror

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

# Upstream's oldest projects, so the last of a first sync.
HELD = ("certifi", "charset-normalizer", "idna", "packaging")
NAMED = ("filler-00010", "filler-00011", "filler-00012")
OURS = {".mirror-id", ".lock", ".staging", ".withdrawn", ".generation", ".ballast", ".changes", ".changes.lock"}
PROCESSES = 2  # and one worker in the syncer itself
CONNECTIONS = 16  # five for each worker, so that a worker with all of HELD still has one more
POLICY = '[mirror]\nscope = "everything"\n[serve]\nlegacy_json = true\n'

WORKERS = """
import json, pathlib
words = {path.parent.name: path.read_bytes().split(bytes(1)) for path in pathlib.Path("/proc").glob("[0-9]*/cmdline")}
print(json.dumps(sorted(int(number) for number, line in words.items() if b"mirror_syncer.work" in line)))
"""


@dataclass(frozen=True)
class First:
    """The first stack, and its upstream."""

    stack: Stack
    mirror: Mirror
    upstream: Upstream


def whole(path: Path, upstream: str) -> Stack:
    """Return a stack that mirrors the whole index with three workers."""
    policy = path / "config" / "mirror.toml"
    policy.parent.mkdir(mode=0o755)
    policy.write_text(POLICY)
    policy.chmod(0o644)
    settings = {"MIRROR_UPSTREAM": upstream, "MIRROR_CONFIG": str(policy.parent), "MIRROR_SCHEDULE": YEARLY}
    settings |= {"MIRROR_WORKERS": str(PROCESSES + 1), "MIRROR_CONNECTIONS": str(CONNECTIONS)}
    return Stack(settings=settings | {"MIRROR_DISK_RESERVE": "0%"})


@contextmanager
def clients(stack: Stack) -> Iterator[Mirror]:
    """Yield the mirror as clients see it."""
    token = stack.execute("control", "mirrorctl", "token")
    with httpx2.Client(base_url=stack.url("nginx", 8080), trust_env=False, timeout=10) as client:
        yield Mirror(client, token)


def first_run(mirror: Mirror) -> str:
    """Return the first sync's id."""
    found = until(lambda: mirror.client.get("/api/v1/runs?kind=sync").raise_for_status().json()["items"], seconds=10)
    identifier: str = found[-1]["id"]
    return identifier


def workers(stack: Stack) -> list[int]:
    """Return the worker processes, as the syncer's container numbers them."""
    found: list[int] = json.loads(stack.execute("syncer", "python3", "-c", WORKERS))
    return found


def temporary(stack: Stack) -> set[str]:
    """Return the files of interrupted publications, as the syncer's user sees them, running or not."""
    once = ("run", "--rm", "--no-deps", "--no-TTY", "--entrypoint=find", "syncer")
    hidden = stack.compose(*once, "/srv/mirror", "-name", ".*", "-printf", "%f\\n").splitlines()
    staged = stack.compose(*once, "/srv/mirror/pypi/.staging", "-type", "f").splitlines()
    return {*hidden, *staged} - OURS


def tree(stack: Stack) -> dict[str, str]:
    """Return the sha256 of each served page, compressed copy, legacy JSON and file, by path."""
    command = "cd /srv/mirror/pypi/web && find . -type f ! -name status.json -exec sha256sum {} +"
    lines = stack.execute("nginx", "sh", "-c", command).splitlines()
    return {path: digest for digest, _, path in (line.partition("  ") for line in lines)}


def served(stack: Stack) -> Counter[tuple[str, str]]:
    """Return how often nginx answered a mirror, by path and status, as far back as its log goes."""
    lines = map(json.loads, stack.execute("nginx", "sh", "-c", "cat /logs/*.jsonl").splitlines())
    return Counter((line["uri"], line["status"]) for line in lines if line["agent"].startswith("pypi-mirror/"))


@contextmanager
def asked(stack: Stack) -> Iterator[set[tuple[str, str]]]:
    """Yield the paths and statuses of a mirror's requests within the block, once it ends."""
    before = served(stack)
    during: set[tuple[str, str]] = set()
    yield during
    during.update(served(stack) - before)


@pytest.fixture(scope="module")
def beginning(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[First]:
    """Return a stack during its first sync, of 151 projects whose pages arrive slowly."""
    stack = whole(tmp_path_factory.mktemp("first"), "http://fakepypi:8000")
    try:
        stack.up("fakepypi")
        with httpx2.Client(base_url=stack.url("fakepypi", 8000), trust_env=False, timeout=10) as client:
            upstream = Upstream(client)
            upstream.do("fill", count=100)
            upstream.upload("attested", "1.0", provenance=True)
            upstream.do("archive", project="filler-00001")
            upstream.do("create", project="without-files")
            upstream.fault("page", {"delay": {"seconds": 0.8}})
            stack.up(*SERVICES)
            with clients(stack) as mirror:
                yield First(stack, mirror, upstream)
    finally:
        stack.down()


@pytest.fixture(scope="module")
def held(beginning: First) -> str:
    """Return the first sync's id, once only the projects whose pages upstream holds back are left."""
    stack, mirror, upstream = beginning.stack, beginning.mirror, beginning.upstream
    upstream.do("clear")
    for project in HELD:
        upstream.fault("page", {"gate": {}}, project=project)
    stack.up(*SERVICES)
    identifier = first_run(mirror)
    until(lambda: _left(mirror, identifier) == len(HELD), seconds=60)
    return identifier


def _left(mirror: Mirror, identifier: str) -> int:
    counts = mirror.run(identifier)["counts"]
    left: int = (counts["projects_planned"] or 0) - counts["projects_done"]
    return left


@pytest.fixture(scope="module")
def first(beginning: First, held: str) -> First:
    """Return the first stack after its sync."""
    beginning.upstream.do("clear")
    beginning.mirror.wait(held)
    assert beginning.mirror.sync(*HELD)["state"] == "succeeded"
    return beginning


@pytest.fixture(scope="module")
def second(first: First, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Mirror]]:
    """Return a second stack, whose upstream is the first one's nginx, after its first sync."""
    # A quarantined page, for a project without files.
    first.upstream.do("quarantine", project="filler-00003")
    assert first.mirror.sync("filler-00003")["state"] == "succeeded"
    stack = whole(tmp_path_factory.mktemp("second"), "http://nginx:8080")
    try:
        stack.compose("create", "--no-build", *SERVICES)
        syncer = stack.compose("ps", "--all", "--quiet", "syncer")
        run("docker", "network", "connect", f"{first.stack.project}_front", syncer)
        stack.up(*SERVICES)
        with clients(stack) as mirror:
            until(mirror.idle, seconds=60)
            yield stack, mirror
    finally:
        stack.down()


def test_stop_in_a_first_sync_leaves_nothing_temporary(beginning: First) -> None:
    """`docker compose stop` during a first sync ends all its processes in time and leaves nothing temporary."""
    stack, mirror = beginning.stack, beginning.mirror
    identifier = first_run(mirror)
    until(lambda: mirror.run(identifier)["counts"]["projects_done"] > 0, seconds=20)
    began = time.monotonic()
    stack.compose("stop", "syncer")
    assert time.monotonic() - began < 60  # on busy cores; the exit code tells whether it was killed
    assert stack.inspect("syncer", "{{.State.ExitCode}}") == "0"
    assert not [line for line in stack.logs("syncer") if "worker lost" in line or "Traceback" in line]
    assert temporary(stack) == set()


def test_named_sync_overtakes_a_first_sync(beginning: First, held: str) -> None:
    """A first sync continues after a restart, and a sync of one project does not wait for it."""
    mirror, upstream = beginning.mirror, beginning.upstream
    upstream.upload("requests", "3.0")
    began = time.monotonic()
    assert mirror.sync("requests")["state"] == "succeeded"
    assert time.monotonic() - began < 60  # on busy cores
    assert "requests-3.0.tar.gz" in mirror.files("requests")
    assert mirror.run(held)["state"] == "running"


def test_killed_worker_is_replaced(beginning: First, held: str) -> None:
    """A killed worker process costs only its current projects; another replaces it, and the sync continues."""
    stack, mirror, upstream = beginning.stack, beginning.mirror, beginning.upstream
    for project in NAMED:
        upstream.fault("page", {"gate": {}}, project=project)
    # Each project goes to the worker with the fewest, so all three have some; once six is done, they were assigned.
    named = mirror.start(kind="sync", projects=NAMED)
    assert mirror.sync("six")["state"] == "succeeded"
    killed, other = workers(stack)
    stack.execute("syncer", "sh", "-c", f"kill -9 {killed}")
    assert mirror.sync("six", "urllib3")["state"] == "succeeded"
    upstream.do("clear")
    ended = [mirror.wait(identifier) for identifier in (held, named)]

    lost = [failure for one in ended for failure in one["failures"]]
    projects = {failure["project"] for failure in lost}
    assert all("worker process" in failure["reason"] for failure in lost)
    assert 0 < len(projects) < len(HELD + NAMED)
    assert projects < {*HELD, *NAMED}
    assert mirror.sync(*projects)["state"] == "succeeded"
    now = workers(stack)
    assert (len(now), other in now, killed in now) == (PROCESSES, True, False)
    assert mirror.missing(HELD + NAMED) == []
    assert temporary(stack) == set()


def newest(mirror: Mirror) -> str:
    """Return the path of the page with the highest serial of the published list."""
    projects = mirror.client.get("/simple/", headers={"Accept": JSON}).json()["projects"]
    return f"/simple/{max(projects, key=lambda project: project['_last-serial'])['name']}/"


def test_mirror_of_the_mirror_is_identical(first: First, second: tuple[Stack, Mirror]) -> None:
    """A second stack whose upstream is the first one's nginx has the same bytes, and its validators work."""
    stack, mirror = second
    assert mirror.run(first_run(mirror))["state"] == "succeeded"
    assert mirror.client.get("/simple/filler-00003/", headers={"Accept": JSON}).json()["project-status"] == {
        "status": "quarantined"
    }
    assert len(tree(stack)) > 300
    assert tree(stack) == tree(first.stack)

    with asked(first.stack) as requests:
        assert mirror.sync()["state"] == "succeeded"
    assert requests == {("/simple/", "304"), (newest(first.mirror), "304")}
    with asked(first.stack) as requests:
        assert mirror.sync("six", "large")["state"] == "succeeded"
    assert ("/simple/six/", "304") in requests


def test_mirror_of_the_mirror_follows_changes(first: First, second: tuple[Stack, Mirror]) -> None:
    """
    After changes the second stack requests only the list and the changed pages, and equals the first again.

    Both remove what upstream deleted at once; a quarantined project keeps its page.
    """
    stack, mirror = second
    upstream = first.upstream
    upstream.upload("six", "2.0")
    upstream.do("delete_release", project="idna", version="3.4")
    upstream.do("yank", project="urllib3", version="2.4.0", reason="Broken")
    upstream.upload("brand-new", "1.0")
    upstream.do("delete", project="filler-00007")
    latest = newest(first.mirror)
    assert first.mirror.sync()["state"] == "succeeded"
    with asked(first.stack) as requests:
        assert mirror.sync()["state"] == "succeeded"

    # The newest project may have changed again under its serial.
    requests.discard((latest, "304"))
    changed = {f"/simple/{project}/" for project in ("six", "idna", "urllib3", "brand-new", "filler-00007")}
    assert {path for path, _ in requests if path.startswith("/simple/")} == {"/simple/", *changed}
    names = {path.rpartition("/")[2] for path, _ in requests if "/packages/" in path}
    assert {name.partition("-")[0] for name in names} == {"six", "brand_new"}
    assert len(names) == 4
    # Removed files are judged at the end of a run, which requests the page once more.
    assert {one for one in requests if one[1] != "200"} == {("/simple/filler-00007/", "404"), ("/simple/idna/", "304")}
    assert tree(stack) == tree(first.stack)

    both = (first.mirror, mirror)
    assert [_left_of(one) for one in both] == [{"filler-00003": 200, "filler-00007": 404}] * 2
    upstream.upload("six", "2.1")
    for one in both:
        assert one.sync()["state"] == "succeeded"
    assert [_left_of(one) for one in both] == [{"filler-00003": 200, "filler-00007": 404}] * 2
    assert tree(stack) == tree(first.stack)


def _left_of(mirror: Mirror) -> dict[str, int]:
    names = ("filler-00003", "filler-00007")
    return {name: mirror.client.get(f"/simple/{name}/").status_code for name in names}


def test_verify_in_the_container_finds_no_fault(second: tuple[Stack, Mirror]) -> None:
    """A full verify, with its own processes and its scratch on the state volume, finds no damage and no orphan."""
    _, mirror = second
    ended = mirror.wait(mirror.start(kind="verify"))

    assert ended["state"] == "succeeded"
    assert ended["counts"]["files_verified"] > 100
    assert (ended["counts"]["files_damaged"], ended["counts"]["files_orphaned"]) == (0, 0)
