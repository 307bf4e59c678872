"""Watching runs: events for clients, and the cost of many, slow and lost clients."""

import asyncio
import json
import resource
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from typing import NamedTuple

import httpx2
import pytest

from control.conftest import Serve
from control.fake_syncer import NOW, FakeSyncer
from control.live import Background, control
from mirror_contract import Counts, Run, RunKind, RunRequest, RunState, Trigger
from mirror_control.settings import Settings
from mirror_control.syncer import run_watch
from mirror_control.syncer.run_watch import MAX_WATCHERS, RunWatches

RUN = Run(id="1", request=RunRequest(kind=RunKind.SYNC), trigger=Trigger.API, state=RunState.RUNNING, created_at=NOW)


class Event(NamedTuple):
    """What a browser would dispatch."""

    name: str
    data: str
    id: str


@pytest.fixture
def run_id(holder: httpx2.Client) -> str:
    """A run that is queued."""
    identifier: str = holder.post("/api/v1/runs", json={"kind": "sync"}).json()["id"]
    return identifier


def parse(lines: Iterator[str]) -> Iterator[Event]:
    """Yield events, by the letter of the HTML standard as far as control goes."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield Event(fields["event"], fields["data"], fields.get("id", ""))
            fields = {}


@contextmanager
def watch(client: httpx2.Client, run_id: str, **headers: str) -> Iterator[tuple[httpx2.Response, Iterator[Event]]]:
    """Open a run's events."""
    with client.stream("GET", f"/api/v1/runs/{run_id}/events", headers=headers) as answer:
        yield answer, parse(answer.iter_lines())


def test_each_event_is_the_whole_run(client: httpx2.Client, run_id: str, syncer: FakeSyncer) -> None:
    """A client gets each change as a whole run with an ascending id; the final state comes last."""
    syncer.script = [RunState.QUEUED, RunState.RUNNING, RunState.RUNNING, RunState.INCOMPLETE]
    with watch(client, run_id) as (answer, events):
        heard = list(events)
    runs = [Run.model_validate_json(event.data) for event in heard]

    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-cache", "no")
    assert {event.name for event in heard} == {"run"}
    assert [run.state for run in runs] == [RunState.QUEUED, RunState.RUNNING, RunState.INCOMPLETE]
    assert runs[-1] == Run.model_validate_json(client.get(f"/api/v1/runs/{run_id}").content)
    assert [event.id for event in heard] == sorted({event.id for event in heard})


def test_unknown_run_is_404(client: httpx2.Client) -> None:
    """An unknown run is 404 with the syncer's message, without a stream."""
    answer = client.get("/api/v1/runs/none/events")

    assert (answer.status_code, answer.json()["detail"]) == (404, "There is no run none.")


def test_reconnecting_client_gets_only_changes(
    client: httpx2.Client, run_id: str, syncer: FakeSyncer, serve: Serve
) -> None:
    """With Last-Event-ID, no event repeats, even after a restart of control; a finished run is 204."""
    with watch(client, run_id) as (_, events):
        known = next(events).id
    with serve() as another, watch(another, run_id, **{"Last-Event-ID": known}) as (_, events):
        syncer.move(run_id, RunState.SUCCEEDED)
        heard = list(events)
    last = client.get(f"/api/v1/runs/{run_id}/events", headers={"Last-Event-ID": heard[-1].id})

    assert [json.loads(event.data)["state"] for event in heard] == ["succeeded"]
    assert (last.status_code, last.content) == (204, b"")
    assert client.get(f"/api/v1/runs/{run_id}/events", headers={"Last-Event-ID": "nonsense"}).status_code == 200


def test_stream_survives_an_outage_of_the_syncer(
    client: httpx2.Client, run_id: str, syncer: FakeSyncer, background: Background
) -> None:
    """With the syncer down, the stream stays open and sends one `away`; after recovery, it sends the run."""
    with watch(client, run_id) as (_, events):
        names = [next(events).name]
        background.run(syncer.stop())
        names.append(next(events).name)
        background.run(syncer.start())
        names.append(next(events).name)
        syncer.move(run_id, RunState.FAILED)
        names += [event.name for event in events]

    assert names == ["run", "away", "run", "run"]


def test_idle_stream_sends_comments(client: httpx2.Client, run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without changes, the stream sends comments before a proxy times out."""
    monkeypatch.setattr(run_watch, "_KEEPALIVE_SECONDS", 0.05)
    with client.stream("GET", f"/api/v1/runs/{run_id}/events") as answer:
        assert ": ping" in answer.iter_lines()


def test_control_stops_quickly_with_open_streams(
    settings: Settings, syncer: FakeSyncer, background: Background
) -> None:
    """A stop ends event streams and does not wait for their clients."""
    syncer.runs["1"] = RUN
    with ExitStack() as running:
        url = running.enter_context(control(settings, background=background))
        with httpx2.Client(base_url=url) as client, watch(client, "1") as (_, events):
            next(events)
            begin = time.monotonic()
            running.close()

            assert time.monotonic() - begin < 3
            assert list(events) == []


def test_watcher_beyond_the_limit_is_503(client: httpx2.Client, run_id: str, background: Background) -> None:
    """Beyond a thousand watchers, the next is 503 with Retry-After, until one disconnects."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    request = f"GET /api/v1/runs/{run_id}/events HTTP/1.1\r\nHost: control\r\n\r\n".encode()
    host, port = client.base_url.host, client.base_url.port
    writers: list[asyncio.StreamWriter] = []

    async def open_one() -> tuple[bytes, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(host, port)
        writers.append(writer)
        writer.write(request)
        return await reader.readuntil(b"\r\n\r\n"), writer

    async def scenario() -> tuple[set[bytes], bytes, bytes]:
        crowd = [
            one for _ in range(MAX_WATCHERS // 50) for one in await asyncio.gather(*(open_one() for _ in range(50)))
        ]
        refused, _ = await open_one()
        crowd[0][1].close()
        while not (again := await open_one())[0].startswith(b"HTTP/1.1 200"):
            pass
        for writer in writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)
        return {head.split(b"\r\n")[0] for head, _ in crowd}, refused, again[0]

    try:
        welcome, refused, again = asyncio.run(asyncio.wait_for(scenario(), 250))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert welcome == {b"HTTP/1.1 200 OK"}
    assert refused.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 30" in refused
    assert b"application/problem+json" in refused
    assert again.startswith(b"HTTP/1.1 200")


class Looks:
    """A syncer's answers, with the number of calls."""

    def __init__(self) -> None:
        self.count = 0
        self.run = RUN

    async def look(self, _: str) -> Run:
        """Answer."""
        self.count += 1
        await asyncio.sleep(0)
        return self.run

    async def more(self) -> None:
        """Return once it was looked at what is there now, and told."""
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """Return a syncer that is polled without a pause."""
    monkeypatch.setattr(run_watch, "_POLL_SECONDS", 0)
    return Looks()


async def test_all_watchers_share_one_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred watchers of a run share one poll of the syncer."""
    monkeypatch.setattr(run_watch, "_POLL_SECONDS", 60)
    looks = Looks()
    hub = RunWatches(looks.look)
    async with AsyncExitStack() as clients:
        crowd = await asyncio.gather(*(clients.enter_async_context(hub.watch("1")) for _ in range(100)))
        heard = [await anext(one.events()) for one in crowd]

    assert looks.count == 1
    assert len(set(map(id, heard))) == 1, "encoded once, too"


async def test_watch_ends_with_its_last_client(looks: Looks) -> None:
    """Without clients, polling stops."""
    hub = RunWatches(looks.look)
    async with hub.watch("1"):
        async with hub.watch("1"):
            pass
        before = looks.count
        await looks.more()
        assert looks.count > before
    before = looks.count
    await looks.more()

    assert looks.count == before
    assert hub.clients == 0


async def test_slow_client_gets_only_the_latest_run(looks: Looks) -> None:
    """A slow client gets the latest run next, without the intermediate ones."""
    hub = RunWatches(looks.look)
    async with hub.watch("1") as one:
        events = one.events()
        await anext(events)
        for done in range(50):
            looks.run = RUN.model_copy(update={"counts": Counts(projects_done=done)})
            await looks.more()
        heard = await anext(events)

    assert b'"projects_done":49' in heard


async def test_unexpected_error_ends_the_streams(looks: Looks) -> None:
    """An unexpected error ends a watch and blocks no client."""

    async def defect(_: str) -> Run:
        raise ZeroDivisionError

    hub = RunWatches(defect)
    async with asyncio.timeout(60), hub.watch("1") as one:
        assert [event async for event in one.events()] == []
