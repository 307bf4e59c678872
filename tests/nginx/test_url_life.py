"""The life of a file's URLs, short and long, through a real syncer and the real nginx."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest

import fakepypi
from mirror_contract import RunKind, RunState
from nginx.containers import LOGS, connect, mirror
from nginx.tree import long_path
from syncer.site import Site, same_directory

pytestmark = [pytest.mark.docker, pytest.mark.proves("reliability/removal")]

FILENAME = "six-other-1.0-py3-none-any.whl"  # six's, or six-other's
PREFIXES = ("", "/pypi/web")
FIRST = b"the first owner's content\n"
SECOND = same_directory(FIRST)
THIRD = b"in another directory, maybe\n"
ABSENT = "absent"


@pytest.fixture
async def pypi() -> AsyncIterator[fakepypi.FakePyPI]:
    """An empty index, served over real HTTP."""
    async with fakepypi.serve() as server:
        yield server


@pytest.fixture
def site(tmp_path: Path, pypi: fakepypi.FakePyPI) -> Site:
    """A mirror host of one project, whose files leave as soon as no page names them."""
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(0o755)  # nginx reads as another user
    host = Site(tmp_path, upstream=pypi.url)
    host.select("six", grace="0h")
    return host


@pytest.fixture
def life(image: str, network: str, site: Site) -> Iterator["Life"]:
    """What a client finds that asks for everything, again and again."""
    options = (LOGS, f"--network={network}", "--dns=127.0.0.1")
    with mirror(image, site.data, *options) as container, connect(container) as client:
        yield Life(client)


class Life:
    """What every URL of the file answered, from its first day on."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client
        self._for_ever: dict[str, str] = {}
        self._own: dict[str, str] = {}

    def look(self) -> dict[bytes, str]:
        """
        Ask for every URL; fail where one that was promised to stay has other bytes.

        Returns:
            Of each content, what its long URL answers.
        """
        found: dict[bytes, str] = {}
        for content in (FIRST, SECOND, THIRD):
            address = hashlib.blake2b(content, digest_size=32).hexdigest()
            own = {"": _digest(content), ".metadata": _digest(_metadata(content))}
            for suffix in ("", ".metadata"):
                for prefix in PREFIXES:
                    long = f"{prefix}/packages/{long_path(address, FILENAME)}{suffix}"
                    said = self._ask(long)
                    if said == own[suffix]:
                        self._own[long] = said
                    assert said in (ABSENT, self._own.get(long, said)), long
                    self._ask(f"{prefix}/packages/{address[:2]}/{FILENAME}{suffix}")
                    if not suffix:
                        found[content] = said
        return found

    def _ask(self, url: str) -> str:
        answer = self._client.get(url)
        if answer.status_code == 404:
            return ABSENT
        assert answer.status_code == 200
        digest = _digest(answer.content)
        assert self._for_ever.get(url, digest) == digest, url
        if "immutable" in answer.headers["Cache-Control"]:
            self._for_ever[url] = digest
        return digest


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _metadata(content: bytes) -> bytes:
    return b"Metadata-Version: 2.1\nName: six\nVersion: 1.0\nSummary: " + _digest(content).encode() + b"\n"


@pytest.mark.proves("security/project-owners")
async def test_no_url_changes_its_bytes(site: Site, pypi: fakepypi.FakePyPI, life: Life) -> None:
    """After replacement, removal, re-creation, quarantine and restoration, each URL has its own bytes or none."""
    project = pypi.index.project("six")

    async def upload(content: bytes) -> dict[bytes, str]:
        project.upload_file(FILENAME, content, version="1.0", metadata=_metadata(content), replace=True)
        return await sync()

    async def sync() -> dict[bytes, str]:
        async with site.running() as running:
            run = running.ask(RunKind.SYNC)
            while running.mirror.runs.active(run.id):
                life.look()  # also in the middle, of which the tree tells nobody
                await asyncio.sleep(0.01)
            assert (await running.ended(run)).state in (RunState.SUCCEEDED, RunState.INCOMPLETE)
        return life.look()

    first, second, third = map(_digest, (FIRST, SECOND, THIRD))
    assert await upload(FIRST) == {
        FIRST: first,
        SECOND: first,
        THIRD: ABSENT,
    }  # by two digits: called no URL's for ever
    assert await upload(SECOND) == {FIRST: ABSENT, SECOND: second, THIRD: ABSENT}
    assert await upload(FIRST) == {FIRST: first, SECOND: ABSENT, THIRD: ABSENT}
    project.delete()
    assert set((await sync()).values()) == {ABSENT}
    project.create()
    assert await upload(SECOND) == {FIRST: ABSENT, SECOND: second, THIRD: ABSENT}
    project.quarantine()
    assert set((await sync()).values()) == {ABSENT}
    project.clear_quarantine()
    assert await upload(FIRST) == {FIRST: first, SECOND: ABSENT, THIRD: ABSENT}
    assert await upload(THIRD) == {FIRST: ABSENT, SECOND: ABSENT, THIRD: third}
    assert await upload(SECOND) == {FIRST: ABSENT, SECOND: second, THIRD: ABSENT}
    assert site.content("six", FILENAME) == SECOND


async def test_quarantined_file_is_404_at_both_paths(site: Site, pypi: fakepypi.FakePyPI, life: Life) -> None:
    """If a file is quarantined at its full path and the short path has other content, neither serves it."""
    project = pypi.index.project("six")
    other = pypi.index.project("six-other")
    site.select("six", "six-other", grace="0h")
    other.upload_file(FILENAME, FIRST, version="1.0", metadata=_metadata(FIRST))
    await site.sync()
    project.upload_file(FILENAME, SECOND, version="1.0", metadata=_metadata(SECOND), replace=True)
    await site.sync()
    assert life.look()[SECOND] == _digest(SECOND)
    project.quarantine()
    await site.sync()
    assert life.look() == {FIRST: _digest(FIRST), SECOND: ABSENT, THIRD: ABSENT}
    project.clear_quarantine()
    run = await site.sync()
    assert (run.counts.files_fetched, life.look()[SECOND]) == (0, _digest(SECOND))
