"""
The real Prometheus of the profile "monitoring", before the real stack.

The tests scrape every three seconds, evaluate every second, and alerts wait for two; the rules are the shipped ones.
(Control waits two seconds for an absent syncer, and no scrape may take longer than the interval.)
"""

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from monitoring.dashboards import Query, queries
from stack.compose import REPOSITORY, Stack, until
from stack.conftest import YEARLY
from stack.fake import Upstream
from stack.mirror import Mirror

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]

# Other tests fill the disk meanwhile; tests/monitoring proves the rule itself.
_OF_THIS_DISK = ("MirrorVolumeFillingUp", "")


@dataclass(frozen=True)
class Watched:
    """A mirror, its upstream, and its Prometheus."""

    stack: Stack
    mirror: Mirror
    upstream: Upstream
    prometheus: httpx2.Client

    def query(self, expression: str, *, seconds: int = 0) -> list[dict[str, Any]]:
        """Return an expression's series now, or over the last seconds."""
        now = time.time()
        span = {"start": now - seconds, "end": now, "step": 1} if seconds else {"time": now}
        path = "/api/v1/query_range" if seconds else "/api/v1/query"
        answer = self.prometheus.get(path, params={"query": expression, **span})
        assert answer.is_success, answer.text
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    def value(self, expression: str) -> float | None:
        """Return the current value of an expression with one series."""
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> set[tuple[str, str]]:
        """Return the firing alerts, each with its service, if it has one; not what this machine's own disk causes."""
        alerts = self.prometheus.get("/api/v1/alerts").raise_for_status().json()["data"]["alerts"]
        labels = [alert["labels"] for alert in alerts if alert["state"] == "firing"]
        return {(label["alertname"], label.get("service", "")) for label in labels} - {_OF_THIS_DISK}


def hurried(directory: Path) -> Path:
    """Return a compose file that builds Prometheus with short intervals, from files copied under umask 077."""
    shutil.copytree(REPOSITORY / "monitoring" / "prometheus", directory / "prometheus")
    for path in (directory / "prometheus").rglob("*"):
        if path.suffix == ".yml":
            text = path.read_text()
            for key, value in (("scrape_interval", "3s"), ("evaluation_interval", "1s"), ("for", "2s")):
                text = re.sub(rf"^( +){key}: \S+", rf"\1{key}: {value}", text, flags=re.MULTILINE)
            path.write_text(text)
        path.chmod(0o700 if path.is_dir() else 0o600)
    override = directory / "compose.yaml"
    override.write_text(f"services: {{ prometheus: {{ build: {directory}/prometheus }} }}\n")
    return override


@pytest.fixture(scope="module")
def watched(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Return a mirror of the whole index that holds a file, that Prometheus saw sync twice, and that served clients."""
    directory = tmp_path_factory.mktemp("monitoring")
    policy = directory / "config" / "mirror.toml"
    policy.parent.mkdir(mode=0o755)
    policy.write_text('[mirror]\nscope = "everything"\n[age]\nmin = "1d"\n')
    policy.chmod(0o644)
    settings = {
        "MIRROR_UPSTREAM": "http://fakepypi:8000",
        "MIRROR_CONFIG": str(policy.parent),
        "MIRROR_SCHEDULE": YEARLY,
        "MIRROR_DISK_RESERVE": "0%",
        "COMPOSE_PROFILES": "monitoring",
    }
    stack = Stack(settings=settings, overrides=(hurried(directory),))
    try:
        stack.compose("build", "--quiet", "prometheus")
        stack.up("fakepypi", "prometheus")
        connect = partial(httpx2.Client, trust_env=False, timeout=10)
        with ExitStack() as connections:
            fake = connections.enter_context(connect(base_url=stack.url("fakepypi", 8000)))
            prometheus = connections.enter_context(connect(base_url=stack.url("prometheus", 9090)))
            upstream = Upstream(fake)
            upstream.upload("six", "99.0", uploaded_at=datetime.now(UTC).isoformat())
            stack.up("syncer", "nginx", "control")
            token = stack.execute("control", "mirrorctl", "token")
            client = connections.enter_context(connect(base_url=stack.url("nginx", 8080)))
            watched = Watched(stack, Mirror(client, token), upstream, prometheus)
            until(watched.mirror.idle, seconds=60)
            until(lambda: watched.value('up{job="pypi-mirror"}') == 1, seconds=30)
            run = watched.mirror.wait(watched.mirror.start(kind="sync", force=True, confirm=True))
            assert run["state"] == "succeeded"
            assert watched.mirror.missing(["six"]) == []
            until(lambda: watched.value("job:pypi_mirror_upstream_errors_per_request:ratio_rate5m") == 0, seconds=30)
            # Served requests are counted and scraped some seconds later.
            served = 'max(job_route:pypi_mirror_served_5xx_per_request:ratio_rate5m{route!="control"})'
            until(lambda: watched.value(served) == 0, seconds=30)
            yield watched
    finally:
        stack.down()


def test_prometheus_reaches_its_target(watched: Watched) -> None:
    """Prometheus reaches control in its network, and control reaches the syncer."""
    assert watched.value('up{job="pypi-mirror"}') == 1
    assert watched.value("pypi_mirror_syncer_up") == 1
    assert watched.value('pypi_mirror_last_completion_timestamp_seconds{kind="sync"} > time() - 600') is not None
    assert watched.value("count(pypi_mirror_build_info)") == 2
    assert watched.firing() == set()


def test_mirror_has_few_series(watched: Watched) -> None:
    """The whole mirror has some hundred series."""
    assert 100 < (watched.value('count({__name__=~"pypi_mirror_.*"})') or 0) < 400


@pytest.mark.proves("reliability/host")
def test_prometheus_runs_unprivileged(watched: Watched) -> None:
    """Prometheus runs as the user that owns its volume, and can write nowhere else."""
    assert watched.stack.execute("prometheus", "id", "-u") == "65534"
    watched.stack.execute("prometheus", "touch", "/etc/prometheus/x", status=1)
    assert watched.stack.inspect("prometheus", "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}") == "true [ALL]"


# This stack has no edge; test_stack_edge.py reads the metrics of one.
OF_THE_STACK = [query for query in queries() if "pypi_mirror_edge_" not in query.expression]


@pytest.mark.parametrize("query", [pytest.param(query, id=query.panel) for query in OF_THE_STACK])
def test_every_panel_shows_data(watched: Watched, query: Query) -> None:
    """Every query of every dashboard, sent as Grafana sends it, returns data."""
    assert watched.query(query.over(rate="15s", shown="5m"), seconds=120), query.expression


def test_broken_upstream_fires_an_alert(watched: Watched) -> None:
    """MirrorSyncFailing fires when upstream breaks, the Overview shows it, and it ends with the next good sync."""
    for target in ("root", "page"):
        watched.upstream.fault(target, {"status": {"code": 503, "retry_after": 3600}})
    assert watched.mirror.sync()["state"] == "failed"
    until(lambda: ("MirrorSyncFailing", "") in watched.firing(), seconds=30)
    (told,) = [query.expression for query in queries() if query.panel == "overview: Firing alerts"]
    assert "MirrorSyncFailing" in {series["metric"]["alertname"] for series in watched.query(told)}

    watched.upstream.do("clear")
    assert watched.mirror.sync()["state"] == "succeeded"
    until(lambda: watched.firing() == set(), seconds=30)


def test_stopped_syncer_fires_an_alert(watched: Watched) -> None:
    """MirrorTargetDown fires when the syncer stops, its last state stays visible, and a restart ends the alert."""
    projects = watched.value("sum(pypi_mirror_projects)")
    watched.stack.compose("stop", "syncer")
    try:
        until(lambda: ("MirrorTargetDown", "syncer") in watched.firing(), seconds=30)
        assert watched.value("sum(pypi_mirror_projects)") == projects
        assert watched.value('up{job="pypi-mirror"}') == 1
        assert watched.mirror.missing(["six"]) == []
    finally:
        watched.stack.up("syncer", "control")
    until(lambda: watched.firing() == set(), seconds=30)
