"""Indexes that give md5, another digest or none: what comes first is published with its sha256, and held to it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import fakepypi
from mirror_contract import RunState
from mirror_syncer.config.settings import Settings
from syncer.site import Site
from syncer.wire import Answer, Wire, send, wire

NAME = "alpha-1.0.tar.gz"
CONTENT, OTHER = b"what came first" * 100, b"what came later" * 100


@dataclass
class Plain:
    """An index in HTML, of one project with one file, as directory listings and small servers have it."""

    wire: Wire
    content: bytes = CONTENT
    fragment: str = ""
    host: str = ""

    def publish(self, answer: Answer | None = None) -> None:
        """Serve the page and the file as they are set."""
        page = f'<title>Links for alpha</title><a href="{self.host}/files/{NAME}{self.fragment}">{NAME}</a>'.encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n"
        self.wire.answers["/simple/alpha/"] = send(head.encode() + page)
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(self.content)}\r\n\r\n"
        self.wire.answers[f"/files/{NAME}"] = answer or send(head.encode() + self.content)

    def downloads(self) -> int:
        """Return how often the file was asked for."""
        return sum(f"/files/{NAME}" in head for head in self.wire.heads)


@pytest.fixture
async def plain() -> AsyncIterator[Plain]:
    """Such an index."""
    async with wire() as upstream:
        yield Plain(upstream)


@pytest.fixture
def mirror(tmp_path: Path, plain: Plain) -> Site:
    """A host that mirrors it."""
    site = Site(tmp_path, upstream=plain.wire.url)
    site.select("alpha")
    return site


def digest(algorithm: str, content: bytes) -> str:
    """Return a fragment with a digest."""
    return f"#{algorithm}={hashlib.new(algorithm, content).hexdigest()}"


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha224", "sha384", "sha512", "blake2b", "sha3_256", None])
async def test_file_without_sha256_is_published_with_one(mirror: Site, plain: Plain, algorithm: str | None) -> None:
    """Whatever digest an index gives, or none, clients of the mirror have a sha256; and nothing is fetched twice."""
    plain.fragment = "" if algorithm is None else digest(algorithm, CONTENT)
    plain.publish()

    first, second = await mirror.sync(), await mirror.sync()

    assert (first.state, second.state) == (RunState.SUCCEEDED, RunState.SUCCEEDED)
    file = mirror.published("alpha").files[NAME]
    assert file.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert file.size == len(CONTENT)
    assert f"#sha256={file.sha256}" in (mirror.web / "simple/alpha/index.html").read_text()
    assert plain.downloads() == 1
    mirror.assert_whole()


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize("algorithm", ["md5", "sha512", None])
async def test_verify_upstream_alarms_only_of_what_upstream_denies(
    mirror: Site, plain: Plain, algorithm: str | None
) -> None:
    """What an index without sha256 says of the published content holds; another digest of its own is an alarm."""
    plain.fragment = "" if algorithm is None else digest(algorithm, CONTENT)
    plain.publish()
    await mirror.sync()
    async with mirror.running() as running:
        as_promised = await running.verify(upstream=True)
        plain.fragment = digest(algorithm or "sha256", OTHER)
        plain.publish()
        denied = await running.verify(upstream=True)

    assert (as_promised.state, as_promised.failures) == (RunState.SUCCEEDED, [])
    assert (denied.state, [failure.file for failure in denied.failures]) == (RunState.INCOMPLETE, [NAME])


@pytest.mark.parametrize("algorithm", ["md5", "sha512"])
async def test_other_digest_is_checked(mirror: Site, plain: Plain, algorithm: str) -> None:
    """A file with another content than its md5 or sha512 tells is not published."""
    plain.fragment = digest(algorithm, OTHER)
    plain.publish()

    run = await mirror.sync()

    assert run.state is not RunState.SUCCEEDED
    assert f"its {algorithm} is" in run.failures[0].reason
    assert mirror.pages() == []


@pytest.mark.proves("reliability/upstream")
async def test_first_content_is_held_to(mirror: Site, plain: Plain) -> None:
    """Where an index gives no digest, a file that changes there stays what it was here, as its lock files know it."""
    plain.publish()
    await mirror.sync()
    plain.content = OTHER
    plain.publish()

    assert (await mirror.sync()).state is RunState.SUCCEEDED
    assert mirror.content("alpha", NAME) == CONTENT


@pytest.mark.parametrize("fragment", ["", digest("md5", CONTENT)])
async def test_file_without_sha256_is_no_alarm_to_a_verify(mirror: Site, plain: Plain, fragment: str) -> None:
    """A verify that asks upstream compares what upstream gives: without a sha256, what came first is what is right."""
    plain.fragment = fragment
    plain.publish()
    async with mirror.running() as running:
        await running.sync()
        verified = await running.verify(upstream=True)

    assert (verified.state, verified.counts.files_damaged) == (RunState.SUCCEEDED, 0)


@pytest.mark.proves("reliability/upstream")
async def test_changed_md5_is_a_changed_file(mirror: Site, plain: Plain) -> None:
    """Where the md5 changes, the deletion guard judges, and what comes then has a place of its own."""
    plain.fragment = digest("md5", CONTENT)
    plain.publish()
    await mirror.sync()
    before = mirror.published("alpha").places[NAME]
    plain.content, plain.fragment = OTHER, digest("md5", OTHER)
    plain.publish()
    async with mirror.running() as running:
        await running.sync(allow_removals=1)

    assert mirror.content("alpha", NAME) == OTHER
    assert mirror.published("alpha").places[NAME] != before
    assert (mirror.web / before).read_bytes() == CONTENT


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize("later", ["", digest("md5", CONTENT)])
async def test_sha256_that_is_withdrawn(mirror: Site, plain: Plain, later: str) -> None:
    """An index that forgets the sha256 it gave changes nothing, whatever it has by that name then."""
    plain.fragment = digest("sha256", CONTENT)
    plain.publish()
    await mirror.sync()
    plain.content, plain.fragment = OTHER, later
    plain.publish()

    await mirror.sync()

    assert mirror.content("alpha", NAME) == CONTENT


@pytest.mark.proves("security/upstream")
async def test_file_on_another_host_needs_a_sha256(tmp_path: Path, plain: Plain) -> None:
    """Without sha256 a file comes from the index's own host alone, unless MIRROR_WITHOUT_HASH trusts the others."""
    async with wire() as files:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(CONTENT)}\r\n\r\n".encode()
        files.answers[f"/files/{NAME}"] = send(head + CONTENT)
        plain.host = files.url
        plain.publish()
        results = {}
        for accepted in ("never", "own-host", "any-host"):
            results[accepted] = await sync_accepting(tmp_path / accepted, plain, accepted, files=files.url)

    assert results["any-host"] is None
    assert "MIRROR_WITHOUT_HASH=any-host accepts it" in (results["own-host"] or "")
    assert "the page gives no sha256" in (results["never"] or "")


@pytest.mark.proves("security/upstream")
async def test_redirect_to_another_host_needs_a_sha256(tmp_path: Path, plain: Plain) -> None:
    """A file without sha256 that its index's host sends elsewhere is refused like one that lies there."""
    async with wire() as files:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(CONTENT)}\r\n\r\n".encode()
        files.answers["/elsewhere"] = send(head + CONTENT)
        moved = f"HTTP/1.1 302 Found\r\nLocation: {files.url}/elsewhere\r\nContent-Length: 0\r\n\r\n"
        plain.publish(send(moved.encode()))
        refused = await sync_accepting(tmp_path / "own", plain, "own-host", files=files.url)
        taken = await sync_accepting(tmp_path / "any", plain, "any-host", files=files.url)

    assert "is on another host" in (refused or "")
    assert taken is None


async def sync_accepting(directory: Path, plain: Plain, accepted: str, *, files: str) -> str | None:
    """Sync by a setting; return the first failure's reason."""
    await asyncio.to_thread(directory.mkdir)
    site = Site(directory, upstream=plain.wire.url)
    site.select("alpha")
    async with site.running(without_hash=accepted, file_hosts=files.removeprefix("http://")) as running:
        run = await running.sync()
    return run.failures[0].reason if run.failures else None


@pytest.mark.proves("reliability/upstream")
async def test_content_whose_end_nobody_sees_is_refused(mirror: Site, plain: Plain) -> None:
    """A content without digest, size and length could be cut, and would be held to for ever: it is refused."""
    plain.publish(send(b"HTTP/1.1 200 OK\r\n\r\n" + CONTENT))

    run = await mirror.sync()

    assert "the file may be cut off" in run.failures[0].reason
    plain.fragment = digest("md5", CONTENT)
    plain.publish(send(b"HTTP/1.1 200 OK\r\n\r\n" + CONTENT))
    async with mirror.running() as running:
        assert (await running.sync("alpha")).state is RunState.SUCCEEDED


@pytest.mark.proves("reliability/upstream")
async def test_content_that_breaks_off_is_not_put_together(mirror: Site, plain: Plain) -> None:
    """Without a digest nobody knows whether two halves belong together, so each attempt begins again."""
    cut = f"HTTP/1.1 200 OK\r\nContent-Length: {len(CONTENT)}\r\n\r\n".encode() + OTHER[:700]
    plain.publish()
    whole, calls = plain.wire.answers[f"/files/{NAME}"], []

    async def first_cut(writer: asyncio.StreamWriter) -> None:
        calls.append(writer)
        await (send(cut) if len(calls) == 1 else whole)(writer)

    plain.publish(first_cut)

    assert (await mirror.sync()).state is RunState.SUCCEEDED
    assert mirror.content("alpha", NAME) == CONTENT
    assert not any("range:" in head.lower() for head in plain.wire.heads)


@pytest.mark.proves("security/upstream")
def test_default_trusts_no_other_host() -> None:
    """Nobody has to set anything to be safe from a file host that is not the index's own."""
    assert Settings().without_hash.value == "own-host"


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize(
    "base", ["/root/dev/+simple", "/root/dev", "/whl/cpu", "/index", "/repository/pypi/simple", ""]
)
async def test_index_by_the_url_that_pip_takes(tmp_path: Path, base: str) -> None:
    """devpi, PyTorch, proxpi, Nexus and NVIDIA are mirrored by the URL of their pages, wherever these lie."""
    async with wire() as upstream:
        content = CONTENT
        page = f'<title>Links for alpha</title><a href="/f/{NAME}{digest("sha256", content)}">{NAME}</a>'.encode()
        place = "/root/dev/+simple" if base == "/root/dev" else base
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n"
        upstream.answers[f"{place}/alpha/"] = send(head.encode() + page)
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\n\r\n"
        upstream.answers[f"/f/{NAME}"] = send(head.encode() + content)
        site = Site(tmp_path, upstream=f"{upstream.url}{base}".removesuffix("/simple"))
        site.select("alpha")
        async with site.running() as running:
            first = await running.sync()
            asked = len(upstream.heads)
            second = await running.sync()
        assert len(upstream.heads) == asked + 1, "once it is known where pages lie, they are asked for nowhere else"

    assert (first.state, second.state) == (RunState.SUCCEEDED, RunState.SUCCEEDED)
    site.assert_whole()


@pytest.mark.proves("reliability/upstream")
async def test_index_that_is_not_there_is_reported(tmp_path: Path) -> None:
    """Where the whole index answers 404, the run names MIRROR_UPSTREAM and what was asked, and not the project."""
    async with wire() as upstream:
        site = Site(tmp_path, upstream=f"{upstream.url}/wrong/path")
        site.select("alpha")
        run = await site.sync()

    assert f"no index at MIRROR_UPSTREAM ({upstream.url}/wrong/path/simple/" in run.failures[0].reason
    assert "mirror.toml" not in run.failures[0].reason


async def test_project_that_is_not_there_is_reported(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Where the index is there, a project that it lacks is looked for in mirror.toml."""
    site.select("alpha")
    run = await site.sync()

    assert run.failures[0].reason == "upstream has no such project; look at its name in mirror.toml"


async def test_blocked_content_without_a_digest_is_not_published(mirror: Site, plain: Plain) -> None:
    """A content that is blocked by its sha256 is not published, even if only its download tells its sha256."""
    plain.publish()
    blocks = f'[block]\nhashes = ["sha256:{hashlib.sha256(CONTENT).hexdigest()}"]\n'
    mirror.policy.write_text(f"{mirror.policy.read_text()}\n{blocks}")
    run = await mirror.sync()

    assert any("its content is blocked" in failure.reason for failure in run.failures)
    assert mirror.pages() == []
    assert list(mirror.web.rglob(NAME)) == []
