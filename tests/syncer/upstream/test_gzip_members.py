"""Gzip pages of several members, which libcurl cannot decode: read like others, within the same limits."""

import gzip
import json
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror_contract import RunState
from mirror_syncer.upstream.http.gzip_members import GzipError, GzipMembers
from syncer.site import IMPATIENT, Site, memory_below
from syncer.wire import Wire, page, send, wire

MIB = 2**20
JSON = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/vnd.pypi.simple.v1+json\r\n"
SMALL = replace(IMPATIENT, max_page_bytes=16 * MIB, silence_seconds=10)
EMPTY = {"meta": {"api-version": "1.1"}, "name": "bad", "files": [], "versions": []}


@pytest.fixture
async def raw() -> AsyncIterator[Wire]:
    """An upstream by the byte."""
    async with wire() as upstream:
        yield upstream


def packed(body: bytes, *cuts: int) -> bytes:
    """Return a body in as many members as there are pieces between the cuts."""
    ends = (*sorted(cuts), len(body))
    return b"".join(gzip.compress(body[begin:end], mtime=0) for begin, end in zip((0, *ends), ends, strict=False))


def answer(body: bytes, encoding: str = "gzip") -> bytes:
    """Return a page's answer."""
    return JSON + f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def sync(tmp_path: Path, raw: Wire) -> tuple[RunState, list[str], Site]:
    """Sync one bad and one good project; return how it went, and what the failures say."""
    raw.answers["/simple/good/"] = page("good")
    site = Site(tmp_path, upstream=raw.url)
    site.select("bad", "good")
    async with site.running(limits=SMALL) as running:
        with memory_below(64 * MIB):
            run = await running.sync()
    return run.state, [failure.reason for failure in run.failures], site


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP"])
async def test_gzip_page_of_several_members_is_read(tmp_path: Path, raw: Wire, encoding: str) -> None:
    """A gzip page of several members, one of them empty, is published like any other."""
    raw.answers["/simple/bad/"] = send(answer(packed(json.dumps(EMPTY).encode(), 10, 40, 40, 41), encoding))

    state, _, site = await sync(tmp_path, raw)

    assert state is RunState.SUCCEEDED
    assert site.pages() == ["bad", "good"]


@pytest.mark.proves("security/upstream")
async def test_bomb_in_several_members_is_refused(tmp_path: Path, raw: Wire) -> None:
    """The size limit of a page applies to the decompressed content of all members together."""
    body = json.dumps(EMPTY).encode().replace(b"{", b"{" + b" " * 100 * MIB, 1)
    raw.answers["/simple/bad/"] = send(answer(packed(body, 50, 5 * MIB, 90 * MIB)))
    del body

    _, [reason], site = await sync(tmp_path, raw)

    assert "larger than 16,777,216 bytes" in reason
    assert site.pages() == ["good"]


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize("spoil", [lambda body: body[:-4], lambda body: body + b"no gzip", lambda body: body[:60]])
async def test_damaged_members_fail_their_project(tmp_path: Path, raw: Wire, spoil: object) -> None:
    """A gzip page that is truncated or continues with other data fails its project and publishes nothing."""
    assert callable(spoil)
    raw.answers["/simple/bad/"] = send(answer(spoil(packed(json.dumps(EMPTY).encode(), 10))))

    _, [reason], site = await sync(tmp_path, raw)

    assert "gzip" in reason
    assert site.pages() == ["good"]


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize("coding", ["br", "zstd", "deflate"])
async def test_unknown_content_coding_is_named(tmp_path: Path, raw: Wire, coding: str) -> None:
    """A page with a content coding other than gzip fails with the coding's name, not as malformed JSON."""
    raw.answers["/simple/bad/"] = send(answer(b"\x1b\x00\x80\xaa\xaa\xaa\xea\xff", coding))

    _, [reason], site = await sync(tmp_path, raw)

    assert reason.endswith(f"answered with Content-Encoding {coding}, but only gzip was accepted")
    assert site.pages() == ["good"]


@pytest.mark.proves("reliability/upstream")
async def test_invalid_content_coding_is_ignored(tmp_path: Path, raw: Wire) -> None:
    """A page whose server sends a character set as content coding is read."""
    raw.answers["/simple/bad/"] = send(answer(json.dumps(EMPTY).encode(), "UTF-8"))

    state, _, site = await sync(tmp_path, raw)

    assert state is RunState.SUCCEEDED
    assert site.pages() == ["bad", "good"]


@given(st.lists(st.binary(max_size=300), max_size=6), st.integers(1, 50))
def test_members_decompress_to_their_concatenation(parts: list[bytes], step: int) -> None:
    """Members of any content, in chunks of any size, decompress to their concatenation."""
    wire_bytes = b"".join(gzip.compress(part, mtime=0) for part in parts)
    members = GzipMembers()
    chunks = (wire_bytes[at : at + step] for at in range(0, len(wire_bytes), step))
    assert b"".join(piece for chunk in chunks for piece in members.decompress(chunk)) == b"".join(parts)
    assert members.complete


@pytest.mark.proves("security/upstream")
def test_decompressed_pieces_are_small() -> None:
    """Data that expands a thousandfold is returned in pieces, so that the receiver can stop."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = packer.compress(bytes(10 * MIB)) + packer.flush()
    assert max(map(len, GzipMembers().decompress(bomb))) <= 64 * 1024
    with pytest.raises(GzipError):
        list(GzipMembers().decompress(b"plain text"))
