"""Runs on demand, by the control API and on the command line."""

import json
import re
import time

import httpx2
import pytest

from stack.compose import Stack, until
from stack.fake import Upstream
from stack.mirror import Mirror

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

FORCE = {"kind": "sync", "force": True}


@pytest.fixture
def held(mirror: Mirror, upstream: Upstream) -> str:
    """Return a sync of the whole index that upstream delays for as long as the test lasts."""
    upstream.fault("page", {"gate": {}}, project="large")
    upstream.do("forget")
    identifier = mirror.start(kind="sync")
    until(lambda: mirror.run(identifier)["counts"]["projects_done"] > 0, seconds=20)
    return identifier


@pytest.mark.parametrize("by", ["api", "mirrorctl", "mirror-syncer"])
def test_named_sync_overtakes(stack: Stack, mirror: Mirror, upstream: Upstream, held: str, by: str) -> None:
    """`sync requests` does not wait for a long sync, and ends, with the new release, and the long sync continues."""
    version = {"api": "3.0", "mirrorctl": "3.1", "mirror-syncer": "3.2"}[by]
    upstream.upload("requests", version)
    began = time.monotonic()
    if by == "api":
        assert mirror.sync("requests")["state"] == "succeeded"
    elif by == "mirrorctl":
        stack.execute("control", "mirrorctl", "sync", "--follow", "requests")
    else:
        stack.execute("syncer", "mirror-syncer", "sync", "requests")
    assert time.monotonic() - began < 60  # on busy cores
    assert f"requests-{version}.tar.gz" in mirror.files("requests")
    assert mirror.run(held)["state"] == "running"
    upstream.do("delete_release", project="requests", version=version)
    upstream.do("clear")
    assert mirror.wait(held)["state"] == "succeeded"


def test_forced_sync_is_accepted_and_counted(stack: Stack, mirror: Mirror) -> None:
    """A forced sync by one POST is accepted with its location, succeeds, and is counted in /metrics."""
    pattern = re.compile(r'^pypi_mirror_runs_total\{kind="sync",outcome="succeeded"\} (\S+)$', re.MULTILINE)

    def succeeded() -> float:
        metrics = httpx2.get(f"{stack.url('control', 8081)}/metrics", trust_env=False).text
        found = pattern.search(metrics)
        assert found, metrics
        return float(found[1])

    before = succeeded()
    answer = mirror.ask(**FORCE)
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/api/v1/runs/{answer.json()['id']}"
    assert mirror.wait(answer.json()["id"])["state"] == "succeeded"
    assert succeeded() == before + 1


def test_events_arrive_through_nginx_at_once(mirror: Mirror, upstream: Upstream, held: str) -> None:
    """A run's events arrive through nginx at once: the first while the run is held, the last at its end."""
    with mirror.client.stream("GET", f"/api/v1/runs/{held}/events") as answer:
        documents = (json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line.startswith("data"))
        assert next(documents)["state"] == "running"
        upstream.do("clear")
        *_, last = documents
    assert (last["id"], last["state"]) == (held, "succeeded")


@pytest.mark.proves("security/clients")
def test_run_without_the_token_is_refused(mirror: Mirror) -> None:
    """Without the right token nobody starts a run, and the answer says how to authenticate."""
    for headers in ({}, {"Authorization": "Bearer not-the-token-at-all"}):
        answer = mirror.client.post("/api/v1/runs", json=FORCE, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert mirror.idle()


def test_equal_request_returns_the_queued_run(mirror: Mirror, upstream: Upstream, held: str) -> None:
    """A second equal POST returns the same run while the first one is queued."""
    first, second = (mirror.ask(**FORCE).json() for _ in range(2))
    assert (first["state"], second["id"]) == ("queued", first["id"])
    upstream.do("clear")
    assert mirror.wait(first["id"])["state"] == "succeeded"


def test_plan_beside_a_running_service_shows_actions(stack: Stack, mirror: Mirror, upstream: Upstream) -> None:
    """`mirror-syncer plan` shows beside a running service what a sync would do and why, by project."""
    upstream.upload("six", "9.0")
    plan = json.loads(stack.execute("syncer", "mirror-syncer", "plan", "--json", "six", "large"))
    upstream.do("delete_release", project="six", version="9.0")
    assert {line["project"]: line["action"] for line in plan["projects"]} == {"six": "refresh", "large": "keep"}
    assert all(line["reason"] for line in plan["projects"])


def test_browser_gets_the_operators_page(mirror: Mirror) -> None:
    """A browser that opens the host gets the page, all its assets, this host's URL, and working links."""
    page = mirror.client.get("/", headers={"Accept": "text/html,application/xhtml+xml"}, follow_redirects=True)
    assert (page.status_code, page.url.path) == (200, "/ui/")
    assets = set(re.findall(r'(?:src|href)="\.\.(/ui/static/[^"]+)"', page.text))
    assert {asset.rpartition(".")[2] for asset in assets} == {"css", "js", "svg"}
    assert len(assets) == 4
    assert str(mirror.client.base_url.join("/simple/")) in mirror.client.get("/ui/use").text
    files = set(re.findall(r'href="\.\./\.\.(/packages/[^"]+)"', mirror.client.get("/ui/projects/requests").text))
    assert files
    assert [path for path in assets | files if mirror.client.get(path).status_code != 200] == []
