"""Bodies that do not arrive as promised, read over a bare connection."""

import asyncio

import aiohttp
import pytest

import fakepypi


async def connect(pypi: fakepypi.FakePyPI, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, int]:
    """Request a path over a bare connection; return it after the headers, with the length that they promise."""
    host, _, port = pypi.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    promised = next((line for line in head.splitlines() if line.startswith("content-length: ")), "content-length: -1")
    return reader, writer, int(promised.removeprefix("content-length: "))


async def test_reset_comes_after_half_of_the_body(pypi: fakepypi.FakePyPI, wheel: fakepypi.File) -> None:
    """A reset comes after half of the body, although the headers promise all of it."""
    pypi.faults.on_file().reset()
    reader, writer, promised = await connect(pypi, f"/{wheel.path}")
    half = await reader.readexactly(promised // 2)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    assert (promised, half) == (len(wheel.content), wheel.content[: promised // 2])


async def test_cut_body_ends_in_an_orderly_close(pypi: fakepypi.FakePyPI, wheel: fakepypi.File) -> None:
    """A cut body ends early in a connection that closes in order."""
    pypi.faults.on_file(project="foo").cut(at=0.25)
    reader, writer, promised = await connect(pypi, f"/{wheel.path}")
    assert (promised, await reader.read()) == (len(wheel.content), wheel.content[: promised // 4])
    writer.close()


async def test_shortened_and_corrupt_bodies_look_right_to_http(pypi: fakepypi.FakePyPI, wheel: fakepypi.File) -> None:
    """A shortened body keeps its false promise, a corrupt one has the right length: HTTP detects neither."""
    pypi.faults.on_file().shortened()
    pypi.faults.on_metadata().corrupt()
    metadata = wheel.metadata or b""
    reader, writer, promised = await connect(pypi, f"/{wheel.path}")
    assert await reader.readexactly(promised) == wheel.content[: len(wheel.content) // 2]
    writer.close()
    reader, writer, promised = await connect(pypi, f"/{wheel.path}.metadata")
    got = await reader.readexactly(promised)
    assert got != metadata
    assert len(got) == len(metadata)
    writer.close()


async def test_dripping_body_pauses_after_a_drop(pypi: fakepypi.FakePyPI, wheel: fakepypi.File) -> None:
    """A dripping body sends a first drop, then nothing for the given time."""
    pypi.faults.on_file().drip(size=10, every=3600)
    reader, writer, promised = await connect(pypi, f"/{wheel.path}")
    assert await reader.readexactly(10) == wheel.content[:10]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), timeout=0.05)
    assert promised == len(wheel.content)
    writer.close()


async def test_endless_body_promises_no_length(pypi: fakepypi.FakePyPI, wheel: fakepypi.File) -> None:
    """An endless body promises no length and continues long after the file's end."""
    pypi.faults.on_file().endless()
    reader, writer, promised = await connect(pypi, f"/{wheel.path}")
    await reader.readexactly(len(wheel.content) + 1_000_000)
    assert promised == -1
    writer.close()


async def test_broken_gzip_arrives_complete(pypi: fakepypi.FakePyPI) -> None:
    """Broken gzip arrives complete and cannot be unpacked."""
    pypi.faults.on_page().broken_gzip()
    async with aiohttp.ClientSession(pypi.url) as client:
        with pytest.raises(aiohttp.ClientPayloadError):
            await (await client.get("/simple/foo/")).read()
