"""Control while the syncer is down, hangs, or returns invalid answers."""

import shutil
import time
from collections.abc import Callable, Iterator

import httpx2
import pytest

from control.conftest import Serve
from control.fake_syncer import INTERNALS, FakeSyncer, Mood
from control.live import Background
from mirror_contract import Status
from mirror_control.settings import Settings

Trouble = Callable[[FakeSyncer, Background], None]


MOODS = (Mood.HANGING, Mood.GARBLED, Mood.BROKEN, Mood.MISSHAPEN)


def _die(syncer: FakeSyncer, background: Background) -> None:
    background.run(syncer.stop())


def _take(mood: Mood) -> Trouble:
    def take(syncer: FakeSyncer, _: Background) -> None:
        syncer.mood = mood

    return take


TROUBLES = pytest.mark.parametrize("trouble", [_die, *map(_take, MOODS)], ids=["DEAD", *(mood.name for mood in MOODS)])


@TROUBLES
def test_last_known_status_is_returned(
    trouble: Trouble, client: httpx2.Client, syncer: FakeSyncer, background: Background
) -> None:
    """With the syncer down, /status is 200 within 3 s: the last known state with syncer_up false."""
    before = Status.model_validate_json(client.get("/api/v1/status").content)
    trouble(syncer, background)
    start = time.monotonic()
    answer = client.get("/api/v1/status")

    assert answer.status_code == 200
    assert time.monotonic() - start < 3
    assert Status.model_validate_json(answer.content) == before.model_copy(update={"syncer_up": False})


def test_last_known_state_survives_a_restart(serve: Serve, syncer: FakeSyncer, background: Background) -> None:
    """A restarted control returns the last known status and metrics while the syncer is down."""
    with serve() as client:
        client.get("/metrics")
        client.get("/api/v1/status")
        syncer.schedule = syncer.schedule.model_copy(update={"paused": True})
        before = client.get("/api/v1/status").json()
    background.run(syncer.stop())

    with serve() as client:
        assert client.get("/api/v1/status").json() == before | {"syncer_up": False}
        assert 'pypi_mirror_projects{state="current"} 7.0' in client.get("/metrics").text


@pytest.mark.parametrize("kept", [b"", b"{", b"\xff\xfe", b'{"syncer_up": true}'])
def test_unreadable_last_known_state_is_ignored(
    serve: Serve, settings: Settings, syncer: FakeSyncer, background: Background, kept: bytes
) -> None:
    """An unreadable saved state, or another version's, is ignored."""
    background.run(syncer.stop())
    for name in ("last-status.json", "last-metrics.txt"):
        (settings.control_state / name).write_bytes(kept)

    with serve() as client:
        assert client.get("/api/v1/status").status_code == 503
        assert "pypi_mirror_syncer_up 0.0" in client.get("/metrics").text


def test_missing_state_directory_stops_nothing(serve: Serve, settings: Settings) -> None:
    """If the state directory disappears, control continues and stops in order."""
    with serve() as client:
        shutil.rmtree(settings.control_state)
        assert client.get("/api/v1/status").json()["syncer_up"] is True


def test_unknown_status_is_503(serve: Serve, syncer: FakeSyncer, background: Background) -> None:
    """Without a known status, /status is 503 with Retry-After and the remedy."""
    background.run(syncer.stop())
    with serve() as client:
        answer = client.get("/api/v1/status")

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "docker compose ps syncer" in answer.json()["detail"]
    assert "docker compose logs syncer" in answer.json()["detail"]


def test_recovered_syncer_needs_no_restart(client: httpx2.Client, syncer: FakeSyncer, background: Background) -> None:
    """Once the syncer answers again, control works without a restart."""
    client.get("/api/v1/status")
    background.run(syncer.stop())
    away = client.get("/api/v1/status").json()["syncer_up"]
    background.run(syncer.start())

    assert (away, client.get("/api/v1/status").json()["syncer_up"]) == (False, True)


CALLS = [
    ("POST", "runs"),
    ("GET", "runs"),
    ("GET", "runs/1"),
    ("GET", "runs/1/events"),
    ("POST", "runs/1/cancel"),
    ("GET", "projects"),
    ("GET", "projects/six"),
    ("POST", "schedule/pause"),
    ("POST", "schedule/resume"),
]


def _call_everything(client: httpx2.Client) -> Iterator[httpx2.Response]:
    for method, path in CALLS:
        yield client.request(method, f"/api/v1/{path}", json={"kind": "sync"} if path == "runs" else None)


def test_call_to_dead_syncer_is_503(holder: httpx2.Client, syncer: FakeSyncer, background: Background) -> None:
    """Calls that need the syncer are 503 with Retry-After and the remedy."""
    background.run(syncer.stop())
    for answer in _call_everything(holder):
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json"), answer.url
        assert answer.headers["retry-after"] == "5"
        assert "docker compose logs syncer" in answer.json()["detail"]


def test_call_to_hanging_syncer_times_out(holder: httpx2.Client, syncer: FakeSyncer) -> None:
    """A syncer that never answers costs a caller five seconds."""
    syncer.mood = Mood.HANGING
    start = time.monotonic()
    answer = holder.get("/api/v1/runs")

    assert answer.status_code == 503
    assert 4 < time.monotonic() - start < 20  # on a machine that is busy with other tests, too


@pytest.mark.parametrize("mood", [Mood.GARBLED, Mood.BROKEN, Mood.MISSHAPEN])
def test_failing_syncer_is_502_without_details(holder: httpx2.Client, syncer: FakeSyncer, mood: Mood) -> None:
    """Invalid answers and internal errors of the syncer are 502 with the remedy and without their content."""
    syncer.mood = mood
    for answer in _call_everything(holder):
        assert (answer.status_code, answer.headers["content-type"]) == (502, "application/problem+json"), answer.url
        assert INTERNALS not in answer.text
        assert "docker compose logs syncer" in answer.json()["detail"]


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
@TROUBLES
def test_readiness_lists_each_check(
    trouble: Trouble, client: httpx2.Client, syncer: FakeSyncer, background: Background, prefix: str
) -> None:
    """/readyz is 200 with all checks, or 503 with the failed one; /healthz is always 200."""
    well = client.get(f"{prefix}/readyz")
    trouble(syncer, background)
    ill = client.get(f"{prefix}/readyz")

    assert (well.status_code, {one["name"]: one["ok"] for one in well.json()["checks"]}) == (
        200,
        {"syncer": True, "token": True, "access log": True},
    )
    assert client.get(f"{prefix}/healthz").status_code == 200
    assert (ill.status_code, ill.headers["content-type"]) == (503, "application/problem+json")
    assert {one["name"]: one["ok"] for one in ill.json()["checks"]} == {
        "syncer": False,
        "token": True,
        "access log": True,
    }
    assert ill.json()["detail"].startswith("syncer: ")
