"""A host of many machines behind one name, some of them broken: the next attempt uses another one."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from multidict import CIMultiDict

import fakepypi
from fakepypi.answer import Answer
from mirror_contract import Run, RunState
from mirror_syncer.upstream.http import addresses
from mirror_syncer.upstream.http.addresses import Addresses, NextAttempt
from syncer.site import IMPATIENT, Site

# libcurl resolves names below localhost to 127.0.0.1, without DNS: so it begins with the broken one.
HOST = "edges.localhost"
EDGES = tuple(f"127.0.0.{number}" for number in range(1, 7))
PROJECTS = tuple(f"project-{number}" for number in range(30))
CONNECTIONS = 10
Breakage = Callable[[web.Request, Answer], None]


def answers_502(_: web.Request, answer: Answer) -> None:
    """Answer as an edge does whose way to the origin is broken."""
    answer.status, answer.body, answer.headers = 502, b"Bad Gateway", CIMultiDict({"Content-Type": "text/plain"})


def answers_502_without_body(_: web.Request, answer: Answer) -> None:
    """Answer likewise, with nothing behind the head."""
    answer.status, answer.body, answer.headers = 502, b"", CIMultiDict()


def resets(request: web.Request, _: Answer) -> None:
    """Break the connection."""
    assert request.transport is not None
    request.transport.abort()


@dataclass
class Edges:
    """Six edges of one index, and how often each was asked."""

    port: int
    broken: dict[str, Breakage]
    asked: Counter[str] = field(default_factory=Counter)
    connections: set[tuple[str, int]] = field(default_factory=set)

    def answer(self, request: web.Request, answer: Answer) -> None:
        """Count a request, and break its answer where its edge is broken."""
        assert request.transport is not None
        edge = request.transport.get_extra_info("sockname")[0]
        self.asked[edge] += 1
        self.connections.add((edge, request.transport.get_extra_info("peername")[1]))
        if edge in self.broken:
            self.broken[edge](request, answer)


@asynccontextmanager
async def serving(broken: dict[str, Breakage], edges: tuple[str, ...] = EDGES) -> AsyncIterator[Edges]:
    """Serve an index of some projects at each of the edges."""
    index, faults = fakepypi.Index(), fakepypi.Faults()
    for name in PROJECTS:
        index.project(name).upload("1.0", wheel=False)
    runner = web.AppRunner(
        fakepypi.create_app(index, faults), access_log=None, handler_cancellation=True, shutdown_timeout=1
    )
    await runner.setup()
    first = socket.create_server((edges[0], 0))
    served = Edges(first.getsockname()[1], broken)
    faults.everywhere().change(served.answer)
    try:
        for listening in (first, *(socket.create_server((edge, served.port)) for edge in edges[1:])):
            await web.SockSite(runner, listening).start()
        yield served
    finally:
        await runner.cleanup()


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What DNS says of the name, to be changed by a test."""
    told = list(EDGES)

    async def resolve_host(_host: str, _port: int) -> list[str]:
        await asyncio.sleep(0)
        return told

    monkeypatch.setattr(addresses, "resolve_host", resolve_host)
    return told


async def sync(tmp_path: Path, edges: Edges) -> tuple[Run, Site]:
    """Sync all projects from the edges' one name."""
    site = Site(tmp_path, upstream=f"http://{HOST}:{edges.port}")
    site.select(*PROJECTS)
    async with site.running(limits=IMPATIENT, connections=CONNECTIONS) as running:
        return await running.sync(), site


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize("breakage", [answers_502, answers_502_without_body, resets])
async def test_one_broken_address_of_six_fails_no_project(tmp_path: Path, dns: list[str], breakage: Breakage) -> None:
    """With one of six addresses broken, the sync succeeds, and each connection meets the broken one at most once."""
    async with serving({EDGES[0]: breakage}) as edges:
        run, site = await sync(tmp_path, edges)

    assert (run.state, run.failures) == (RunState.SUCCEEDED, [])
    assert site.pages() == sorted(PROJECTS)
    site.assert_whole()
    assert 1 <= edges.asked[EDGES[0]] <= CONNECTIONS
    assert edges.asked.total() - edges.asked[EDGES[0]] == 2 * len(PROJECTS), "nothing else is asked twice"


@pytest.mark.proves("reliability/upstream")
async def test_three_broken_addresses_of_six_fail_no_project(tmp_path: Path, dns: list[str]) -> None:
    """With half of the addresses broken, each in its own way, the sync succeeds."""
    broken = {EDGES[0]: answers_502, EDGES[1]: resets, EDGES[2]: answers_502_without_body}
    async with serving(broken) as edges:
        run, site = await sync(tmp_path, edges)

    assert (run.state, run.failures) == (RunState.SUCCEEDED, [])
    site.assert_whole()
    assert sum(edges.asked[edge] for edge in broken) <= 3 * CONNECTIONS


@pytest.mark.proves("reliability/upstream")
async def test_silent_address_is_avoided_after_its_timeout(tmp_path: Path, dns: list[str]) -> None:
    """An address that accepts requests and never answers is avoided after its first timeout."""
    async with serving({}) as edges:
        edges.broken = {}
        site = Site(tmp_path, upstream=f"http://{HOST}:{edges.port}")
        site.select(*PROJECTS)
        silent = asyncio.Event()

        def hang(request: web.Request, answer: Answer) -> None:
            silent.set()
            answer.status, answer.body, answer.headers = 200, b"", CIMultiDict({"Content-Length": "9"})

        edges.broken = {EDGES[0]: hang}
        async with site.running(limits=IMPATIENT, connections=CONNECTIONS) as running:
            run = await running.sync()

    assert silent.is_set()
    assert (run.state, run.failures) == (RunState.SUCCEEDED, [])
    assert edges.asked[EDGES[0]] <= CONNECTIONS


@pytest.mark.proves("reliability/upstream")
async def test_only_address_is_retried_on_a_new_connection(tmp_path: Path, dns: list[str]) -> None:
    """With one address in DNS, a retry goes there again, on a new connection."""
    dns[:] = EDGES[:1]
    met = set[int]()

    def fails_by_connection(request: web.Request, answer: Answer) -> None:
        """Behind one address are two machines; a connection stays with the one that it came to."""
        assert request.transport is not None
        port = request.transport.get_extra_info("peername")[1]
        if len(met) < CONNECTIONS or port in met:
            met.add(port)
            answers_502(request, answer)

    async with serving({EDGES[0]: fails_by_connection}, EDGES[:1]) as edges:
        run, site = await sync(tmp_path, edges)

    assert (run.state, run.failures) == (RunState.SUCCEEDED, [])
    site.assert_whole()
    # Each of the first connections fails once or twice: another request may be on it already.
    assert edges.asked.total() - 2 * len(PROJECTS) <= 3 * CONNECTIONS


@pytest.mark.proves("reliability/upstream")
async def test_page_that_fails_everywhere_fails_only_its_project(tmp_path: Path, dns: list[str]) -> None:
    """A page that every address answers with 500 fails its project, without extra retries or failures for others."""

    def fail(request: web.Request, answer: Answer) -> None:
        if request.path == f"/simple/{PROJECTS[3]}/":
            answer.status, answer.body = 500, b""

    async with serving(dict.fromkeys(EDGES, fail)) as edges:
        run, site = await sync(tmp_path, edges)

    assert (run.state, [failure.project for failure in run.failures]) == (RunState.INCOMPLETE, [PROJECTS[3]])
    assert site.pages() == sorted(set(PROJECTS) - {PROJECTS[3]})
    assert edges.asked.total() == 2 * (len(PROJECTS) - 1) + IMPATIENT.attempts


@pytest.mark.proves("reliability/upstream")
async def test_failing_address_is_avoided_for_longer_each_time(dns: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing address is avoided for a minute, then for two; a success resets that."""
    now = 1_000.0
    monkeypatch.setattr("mirror_syncer.upstream.http.addresses.time.monotonic", lambda: now)
    known = Addresses()
    waits = []
    for _ in range(8):
        address_override = known.address_override(HOST, 80)
        assert address_override is None
        assert await known.record_failure(HOST, 80, EDGES[0], by=address_override) is NextAttempt.OTHER_ADDRESS
        began = now
        while (address_override := known.address_override(HOST, 80)) is not None:
            assert EDGES[0] not in address_override.resolve.split(":")[-1].split(",")
            now += 10
        waits.append(round((now - began) / 60))
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    known.record_success(HOST, 80, EDGES[0])
    assert await known.record_failure(HOST, 80, EDGES[0], by=None) is NextAttempt.OTHER_ADDRESS
    now += 70
    assert known.address_override(HOST, 80) is None


async def test_addresses_that_all_failed_are_all_used(dns: list[str]) -> None:
    """If every address failed, none is avoided; an address that is not in DNS is never used."""
    known = Addresses()
    for edge in EDGES:
        await known.record_failure(HOST, 80, edge, by=known.address_override(HOST, 80))
    address_override = known.address_override(HOST, 80)
    assert address_override is not None
    assert address_override.resolve.endswith(":" + ",".join(EDGES))
    assert await known.record_failure(HOST, 80, "10.0.0.1", by=address_override) is NextAttempt.ANY_CONNECTION
    assert known.address_override("other.example", 80) is None


async def test_simultaneous_failures_change_addresses_once(dns: list[str]) -> None:
    """Ten simultaneous failures of one machine redirect the other requests once, not ten times."""
    known = Addresses()
    moved = await asyncio.gather(*(known.record_failure(HOST, 80, EDGES[0], by=None) for _ in range(10)))
    address_override = known.address_override(HOST, 80)
    assert moved == [NextAttempt.OTHER_ADDRESS] * 10
    assert address_override is not None
    assert address_override.generation == 1


async def test_only_address_is_retried_after_the_usual_wait(dns: list[str]) -> None:
    """With one address in DNS, the next attempt opens a new connection and waits as usual."""
    dns[:] = EDGES[:1]
    known = Addresses()
    assert await known.record_failure(HOST, 80, EDGES[0], by=None) is NextAttempt.NEW_CONNECTION
    address_override = known.address_override(HOST, 80)
    assert address_override is not None
    assert await known.record_failure(HOST, 80, EDGES[0], by=None) is NextAttempt.NEW_CONNECTION
    assert await known.record_failure(HOST, 80, EDGES[0], by=address_override) is NextAttempt.ANY_CONNECTION, (
        "renewed a moment ago"
    )
