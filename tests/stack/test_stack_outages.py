"""Published content stays complete, whatever stops."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

from stack.compose import Stack, until
from stack.conftest import FILLERS
from stack.fake import Upstream
from stack.mirror import Mirror

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

OURS = {".mirror-id", ".lock", ".staging", ".withdrawn", ".generation", ".ballast", ".changes", ".changes.lock"}


@contextmanager
def watched(stack: Stack, *projects: str) -> Iterator[Mirror]:
    """Read pages and request all files that they name, repeatedly; fail if one was ever missing."""
    missing: list[str] = []
    rounds = 0
    ended = threading.Event()

    def watch() -> None:
        nonlocal rounds
        while not ended.is_set():
            missing.extend(mirror.missing(projects))
            rounds += 1

    with httpx2.Client(base_url=stack.url("nginx", 8080), trust_env=False, timeout=10) as client:
        mirror = Mirror(client, token="")
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield mirror
            until(lambda: rounds > 1 or not watcher.is_alive(), seconds=30)
            assert watcher.is_alive(), "a page could not be read"
        finally:
            ended.set()
            watcher.join()
    assert missing == []


def test_nginx_serves_while_other_services_are_down(stack: Stack, mirror: Mirror) -> None:
    """With syncer and control killed, installs still work, the API is a 502, and both services return."""
    stack.compose("kill", "syncer", "control")
    try:
        index = ("--index-url=http://nginx:8080/simple/", "--trusted-host=nginx")
        said = stack.execute("client", "pip", "install", *index, "--target=/tmp/alone", "requests")
        assert "requests-2.32.3" in said
        assert mirror.client.get("/api/v1/status").status_code == 502
    finally:
        stack.execute("client", "rm", "-rf", "/tmp/alone")
        stack.up()
    until(lambda: mirror.client.get("/api/v1/status").status_code == 200, seconds=10)
    assert mirror.sync("six")["state"] == "succeeded"


def test_killed_sync_continues_after_a_restart(stack: Stack, mirror: Mirror, upstream: Upstream) -> None:
    """
    A syncer killed during a sync continues the same run once it is back.

    Meanwhile no page names a missing file; at the end no temporary and no unnamed file is left.
    """
    with watched(stack, *FILLERS, "large"):
        for filler in FILLERS:
            upstream.upload(filler, "2.0", sdist=False)
        upstream.upload("large", "2.0", sdist=False, padding=8 * 1024 * 1024)
        upstream.fault("file", {"drip": {"size": 65536, "every": 0.05}}, project="large")
        upstream.fault("file", {"delay": {"seconds": 0.3}})
        upstream.do("forget")
        identifier = mirror.start(kind="sync")
        until(lambda: upstream.requested("-2.0-py3-none-any.whl") > len(FILLERS) // 2, seconds=30)
        stack.compose("kill", "--signal=KILL", "syncer")
        broken_off = upstream.requested("-2.0-py3-none-any.whl")
        upstream.do("clear")
        stack.up()
        resumed = mirror.wait(identifier)

    assert broken_off <= len(FILLERS), "the sync was over before it was killed"
    assert resumed["state"] == "succeeded"
    published = [set(mirror.files(project)) for project in (*FILLERS, "large")]
    assert [len(files) for files in published] == [2] * len(published)
    there = set(stack.execute("syncer", "find", "/srv/mirror", "-printf", "%f\\n").splitlines())
    assert {name for name in there if name.startswith(".")} == OURS
    assert {name for name in there if name.startswith(("filler_", "large-")) and name.endswith(".whl")} == set().union(
        *published
    )
    assert stack.execute("syncer", "find", "/srv/mirror/pypi/.staging", "-type", "f") == ""


def test_stopped_sync_continues_after_a_restart(stack: Stack, mirror: Mirror, upstream: Upstream) -> None:
    """`docker compose stop` ends a sync in time without a kill, and the run continues afterwards."""
    upstream.upload("six", "1.18.0")
    upstream.fault("page", {"delay": {"seconds": 0.5}})
    identifier = mirror.start(kind="sync")
    until(lambda: mirror.run(identifier)["counts"]["projects_done"] > 0, seconds=20)
    stack.compose("stop", "syncer")
    assert stack.inspect("syncer", "{{.State.ExitCode}}") == "0"
    upstream.do("clear")
    stack.up()
    resumed = mirror.wait(identifier)
    assert resumed["state"] == "succeeded"
    assert "six-1.18.0.tar.gz" in mirror.files("six")
