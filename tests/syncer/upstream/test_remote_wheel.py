"""METADATA is read out of wheels upstream by a few requests, whatever the server answers."""

import io
import random
import zipfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web

import fakepypi
from fakepypi.answer import Answer
from mirror_syncer.errors import FileRejectedError, RefusedError, UnreachableError, UpstreamError
from mirror_syncer.model.priority import Priority
from mirror_syncer.upstream import Client, ClientOptions, Index, read_remote_metadata
from mirror_syncer.upstream.remote_wheel import MAX_WHOLE_BYTES, TAIL_BYTES
from syncer.site import IMPATIENT, memory_below

WHEEL = "foo-1.0-py3-none-any.whl"
METADATA = b"Metadata-Version: 2.1\nName: foo\nVersion: 1.0\n"
NOISE = random.Random(1).randbytes(2**16)


def wheel(members: int = 1, *, before: int = 0, after: int = 0, metadata: bytes = METADATA) -> bytes:
    """Return a wheel with so many members, and so many bytes before and after its METADATA."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(members):
            archive.writestr(f"foo/{number:06}.py", b"")
        archive.writestr("foo/before", (NOISE * (before // len(NOISE) + 1))[:before])
        archive.writestr("foo-1.0.dist-info/METADATA", metadata, zipfile.ZIP_DEFLATED)
        archive.writestr("foo-1.0.dist-info/LICENSE", (NOISE * (after // len(NOISE) + 1))[:after])
    return file.getvalue()


@dataclass
class Remote:
    """A project on an index over real HTTP, and what reading its wheel costs."""

    pypi: fakepypi.FakePyPI
    index: Index
    counts: list[int] = field(default_factory=list)

    async def read(self, content: bytes, *, size: bool = True) -> bytes:
        """Upload a wheel and read its METADATA."""
        file = self.pypi.index.project("foo").upload_file(WHEEL, content, version="1.0", replace=True)
        length = len(content) if size else None
        url = f"{self.pypi.url}/{file.path}"
        return await read_remote_metadata(
            self.index, url, size=length, priority=Priority.CHANGED, count=self.counts.append
        )

    def ranges(self) -> list[str]:
        """Return the requested ranges."""
        return [exchange.headers["range"] for exchange in self.pypi.log.to(WHEEL)]


@pytest.fixture
async def remote(pypi: fakepypi.FakePyPI) -> AsyncIterator[Remote]:
    """An index that may be asked over real HTTP."""
    hosts = frozenset({pypi.url.removeprefix("http://")})
    options = ClientOptions(user_agent="test", hosts=hosts, connections=4, limits=IMPATIENT)
    async with Client(options) as client:
        yield Remote(pypi, Index(pypi.url, client=client))


async def test_small_wheel_takes_one_request(remote: Remote) -> None:
    """The end of a wheel has its directory and its METADATA: one request, of less than 100 kB."""
    assert await remote.read(wheel(before=3_000_000)) == METADATA

    assert len(remote.counts) == 1
    assert sum(remote.counts) == TAIL_BYTES < 100_000


async def test_tiny_wheel_comes_whole(remote: Remote) -> None:
    """Of a wheel below the size of a part, the request is for all of it, whether its size is known or not."""
    assert await remote.read(wheel()) == METADATA
    assert await remote.read(wheel(), size=False) == METADATA

    assert remote.counts == [len(wheel())] * 2
    assert remote.ranges() == [f"bytes=0-{len(wheel()) - 1}", f"bytes=-{TAIL_BYTES}"]


@pytest.mark.parametrize("size", [True, False])
async def test_metadata_before_the_last_part_takes_a_second_request(remote: Remote, *, size: bool) -> None:
    """METADATA before a long licence takes a second request, for just that."""
    assert await remote.read(wheel(before=3_000_000, after=200_000), size=size) == METADATA

    assert len(remote.counts) == 2
    assert remote.counts[1] < 2_000


async def test_large_directory_takes_a_second_request(remote: Remote) -> None:
    """The directory of a wheel with 3,000 members is requested with what lies before it: the METADATA."""
    assert await remote.read(wheel(3_000, before=1_000_000)) == METADATA

    assert len(remote.counts) == 2
    assert sum(remote.counts) < 400_000


async def test_large_directory_far_from_the_metadata_takes_three_requests(remote: Remote) -> None:
    """Even then the wheel is not downloaded."""
    assert await remote.read(wheel(3_000, before=1_000_000, after=200_000)) == METADATA

    assert len(remote.counts) == 3


@pytest.mark.proves("reliability/upstream")
async def test_server_that_ignores_range_sends_a_small_wheel(remote: Remote) -> None:
    """Where the server ignores Range, a wheel of up to 10 MB is read whole, in one request."""
    remote.pypi.faults.on_file(WHEEL).ignore_ranges()

    assert await remote.read(wheel(before=3_000_000, after=200_000)) == METADATA
    assert len(remote.counts) == 1


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize("header", ["Content-Length", "X-None"])
async def test_server_that_ignores_range_sends_no_large_wheel(remote: Remote, header: str) -> None:
    """A larger one is abandoned: at once if the server says its length, otherwise at 10 MB."""
    rule = remote.pypi.faults.on_file(WHEEL).ignore_ranges()
    if header != "Content-Length":
        rule.endless()

    with memory_below(4 * MAX_WHOLE_BYTES), pytest.raises(UpstreamError, match=r"ignores Range|more than"):
        await remote.read(wheel(before=0 if header != "Content-Length" else MAX_WHOLE_BYTES))
    assert remote.counts == []


def content_range(text: str) -> Callable[[web.Request, Answer], None]:
    """Return a change of an answer's Content-Range."""

    def change(_request: web.Request, answer: Answer) -> None:
        answer.headers["Content-Range"] = text

    return change


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize(
    "said", ["bytes 0-9/10", "bytes 0-98303/*", "bytes */7", "", "bytes 5-1/7", "items 0-1/2", "bytes 0-98303/98304"]
)
async def test_wrong_content_range_is_refused(remote: Remote, said: str) -> None:
    """A part that is not the requested one is not read."""
    remote.pypi.faults.on_file(WHEEL).change(content_range(said))

    with pytest.raises(RefusedError, match=r"Content-Range|another range"):
        await remote.read(wheel(before=3_000_000))


async def test_range_that_the_server_refuses_fails_the_file(remote: Remote) -> None:
    """A 416 fails the file, without retries."""
    remote.pypi.faults.on_file(WHEEL).status(416)

    with pytest.raises(RefusedError, match="416"):
        await remote.read(wheel())
    assert len(remote.ranges()) == 1


@pytest.mark.proves("reliability/upstream")
async def test_part_is_requested_again_after_a_failure(remote: Remote) -> None:
    """A server error and a broken connection are retried, up to the limit."""
    remote.pypi.faults.on_file(WHEEL).status(503).times(1)
    remote.pypi.faults.on_file(WHEEL).cut().times(1)
    assert await remote.read(wheel(before=3_000_000)) == METADATA

    remote.pypi.faults.on_file(WHEEL).status(500)
    with pytest.raises(UnreachableError):
        await remote.read(wheel())


@pytest.mark.proves("security/upstream")
async def test_wheel_that_changes_between_two_requests_is_refused(remote: Remote) -> None:
    """Parts of two different files are never read as one: the server says another length, or another ETag."""

    def other_length(request: web.Request, answer: Answer) -> None:
        if len(remote.pypi.log.to(WHEEL)):
            answer.headers["Content-Range"] = f"{answer.headers['Content-Range']}0"

    def other_etag(_request: web.Request, answer: Answer) -> None:
        answer.headers["ETag"] = f'"{len(remote.pypi.log)}"'

    for change in (other_length, other_etag):
        rule = remote.pypi.faults.on_file(WHEEL).change(change)
        with pytest.raises(FileRejectedError, match="changed between"):
            await remote.read(wheel(before=3_000_000, after=200_000))
        rule.times(0)
        remote.pypi.log.forget()


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize(
    "content",
    [
        b"no archive" * 10,
        wheel(metadata=bytes(17 * 2**20)),
        wheel(before=300_000)[:-30_000],
        wheel().replace(b"METADATA", b"METADATE"),
        wheel().replace(b"PK\1\2", b"PK\1\3"),
    ],
)
async def test_wheel_that_cannot_be_read_fails_only_itself(remote: Remote, content: bytes) -> None:
    """Damaged archives and a METADATA that unpacks to 17 MiB are errors of the file."""
    with memory_below(32 * 2**20), pytest.raises(FileRejectedError):
        await remote.read(content)
    assert len(remote.counts) <= 4
