"""Decompression bombs: what a page unpacks to, and what the syncer builds from it, is bounded in memory and time."""

import asyncio
import gzip
import json
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import fakepypi
from mirror_contract import RunState
from syncer.site import IMPATIENT, Site, memory_below
from syncer.wire import Answer, Wire, page, send, wire

pytestmark = pytest.mark.proves("security/upstream")

MIB = 2**20
JSON = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/vnd.pypi.simple.v1+json\r\n"
# Generous timeouts: on busy cores the last of nine connections opens seconds after the first.
SMALL = replace(IMPATIENT, max_page_bytes=16 * MIB, silence_seconds=10)


@pytest.fixture
async def raw() -> AsyncIterator[Wire]:
    """A raw upstream."""
    async with wire() as upstream:
        yield upstream


def empty_page(name: str, *, spaces: int) -> bytes:
    """Return a page without files, of this length."""
    body = {"meta": {"api-version": "1.1"}, "name": name, "files": [], "versions": []}
    return json.dumps(body).encode().replace(b"{", b"{" + b" " * spaces, 1)


def bomb(name: str, *, together: asyncio.Barrier) -> Answer:
    """Send a page of 15 MiB in 15 kB: ten of them first, and the rest once all other answers are as far."""
    packer = zlib.compressobj(9, wbits=31)
    body = empty_page(name, spaces=15 * MIB)
    first = packer.compress(body[: 10 * MIB]) + packer.flush(zlib.Z_SYNC_FLUSH)
    rest = packer.compress(body[10 * MIB :]) + packer.flush()

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(JSON + b"Content-Encoding: gzip\r\n\r\n" + first)
        await writer.drain()
        await together.wait()
        writer.write(rest)

    return answer


async def test_bombs_at_once_share_one_memory_limit(tmp_path: Path, raw: Wire) -> None:
    """Nine pages that unpack to a thousand times their size together stay below the shared memory limit."""
    names = [f"bad-{number}" for number in range(9)]
    together = asyncio.Barrier(len(names))
    for name in names:
        raw.answers[f"/simple/{name}/"] = bomb(name, together=together)
    raw.answers["/simple/good/"] = page("good")
    site = Site(tmp_path, upstream=raw.url)
    site.select(*names, "good")
    async with site.running(limits=SMALL) as running:
        with memory_below(96 * MIB):
            run = await running.sync()

    assert run.state is RunState.INCOMPLETE
    assert run.counts.projects_failed >= 8
    assert all("together are larger than 16,777,216 bytes" in failure.reason for failure in run.failures)
    assert "good" in site.pages()


async def test_bombs_in_turn_take_the_memory_of_one(tmp_path: Path, raw: Wire) -> None:
    """Bombs that arrive in turn, and whose files never arrive, take no more memory than one of them."""
    names = [f"bad-{number}" for number in range(9)]
    told = [asyncio.Event() for _ in range(len(names) + 1)]
    told[0].set()

    def bomb_in_turn(name: str, number: int) -> Answer:
        url = f"{raw.url}/files/{name}-1.0.tar.gz"
        listed = f'"files": [{{"filename": "{name}-1.0.tar.gz", "url": "{url}", "hashes": {{"sha256": "{"0" * 64}"}}}}]'
        body = gzip.compress(empty_page(name, spaces=15 * MIB).replace(b'"files": []', listed.encode()), mtime=0)

        async def answer(writer: asyncio.StreamWriter) -> None:
            await told[number].wait()
            writer.write(JSON + b"Content-Encoding: gzip\r\n\r\n" + body)
            if number:  # refused, so its file is never requested
                told[number + 1].set()

        return answer

    async def silent(_: asyncio.StreamWriter) -> None:
        told[1].set()
        await told[-1].wait()

    for number, name in enumerate(names):
        raw.answers[f"/simple/{name}/"] = bomb_in_turn(name, number)
        raw.answers[f"/files/{name}-1.0.tar.gz"] = silent
    site = Site(tmp_path, upstream=raw.url)
    site.select(*names)
    async with site.running(limits=SMALL, connections=20) as running:
        with memory_below(64 * MIB):
            run = await running.sync()

    assert sum("together are larger than 16,777,216 bytes" in failure.reason for failure in run.failures) >= 7


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "gzip, gzip, gzip"])
async def test_nested_bomb_counts_by_its_final_size(tmp_path: Path, raw: Wire, encoding: str) -> None:
    """A page compressed several times counts by the size of what comes out at the end."""
    body = empty_page("bad", spaces=100 * MIB)
    for _ in encoding.split(","):
        body = gzip.compress(body, 9, mtime=0)
    head = JSON + f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    raw.answers["/simple/bad/"] = send(head + body)
    raw.answers["/simple/good/"] = page("good")
    del body
    site = Site(tmp_path, upstream=raw.url)
    site.select("bad", "good")
    async with site.running(limits=SMALL) as running:
        with memory_below(64 * MIB):
            run = await running.sync()

    assert [failure.project for failure in run.failures] == ["bad"]
    assert "larger than 16,777,216 bytes" in run.failures[0].reason
    assert site.pages() == ["good"]


async def test_list_bomb_fails_the_run(tmp_path: Path, raw: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that unpacks to more than the limit fails its run, takes little memory, and leaves nothing on the disk."""
    monkeypatch.setattr("mirror_syncer.upstream.index._MAX_LIST_BYTES", 16 * MIB)
    body = gzip.compress(b'{"meta":{"api-version":"1.1"},"projects":[' + b" " * 100 * MIB, 9, mtime=0)
    head = JSON + f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    raw.answers["/simple/"] = send(head + body)
    site = Site(tmp_path, upstream=raw.url)
    site.everything()
    async with site.running() as running:
        with memory_below(16 * MIB):
            run = await running.sync()

    assert (run.state, run.message) == (RunState.FAILED, "the project list is larger than 16,777,216 bytes")
    assert sum(path.stat().st_size for path in site.state.rglob("*")) < 2 * MIB


@asynccontextmanager
async def never_still_for(seconds: float) -> AsyncIterator[None]:
    """Assert that the event loop never blocks for this long."""
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - began)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
    assert longest < seconds


async def test_slow_names_do_not_block_the_event_loop(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Five thousand names of 200 dots, none of them a version, never block the event loop."""
    for name in ("bad", "good"):
        pypi.index.project(name).upload("1.0")
    site.select("bad", "good", latest=1)

    def crowd(document: dict[str, list[dict[str, object]]]) -> None:
        entry = document["files"][0]
        document["files"] += [{**entry, "filename": f"bad-{number}{'.' * 200}.egg"} for number in range(5_000)]

    pypi.faults.on_page("bad").edit(crowd)
    async with site.running() as running, never_still_for(3):  # it was 5 s
        run = await running.sync()

    assert run.state is RunState.SUCCEEDED
    assert site.pages() == ["bad", "good"]
