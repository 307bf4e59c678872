"""URLs with the digest of other content: a page cannot claim a path that belongs to another file."""

import re
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

import fakepypi
from fakepypi.pages import Document
from mirror_contract import RunState
from mirror_syncer.model.names import content_digest
from syncer.commands.test_cli import mirror_syncer
from syncer.site import Site, same_directory

# A file name that fits each of three projects, so that each may have a file of that name.
SDIST = "six-evil-worse-1.0.zip"
EVIL, WORSE = "six-evil", "six-evil-worse"
GENUINE = b"what its owner uploaded"


class FileHost:
    """Upstream's file host, which serves other content by a file's URL for a while."""

    def __init__(self, index: fakepypi.Index, monkeypatch: pytest.MonkeyPatch) -> None:
        self._contents: dict[str, bytes] = {}
        genuine = index.blob

        def blob(path: str) -> fakepypi.File | None:
            found = genuine(path)
            return found and replace(found, content=self._contents.get(path, found.content))

        monkeypatch.setattr(index, "blob", blob)

    def lie(self, victim: fakepypi.File, content: bytes) -> Callable[[Document], None]:
        """Serve content by another file's URL, and return an edit that makes a page name it there."""
        self._contents[victim.path] = content

        def change(document: Document) -> None:
            for file in document["files"]:
                file["hashes"], file["size"] = {"sha256": sha256(content).hexdigest()}, len(content)
                file["url"] = re.sub("/packages/.*", f"/{victim.path}", file["url"])

        return change

    def stop(self) -> None:
        """Serve the right content again."""
        self._contents.clear()


@pytest.fixture
def host(pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch) -> FileHost:
    """A file host."""
    return FileHost(pypi.index, monkeypatch)


@pytest.fixture
def victim(site: Site, pypi: fakepypi.FakePyPI) -> fakepypi.File:
    """A genuine file; two projects mirrored before it have pages that name it by its own URL."""
    site.select("six", EVIL, WORSE)
    for name in (EVIL, WORSE):
        pypi.index.project(name).upload_file(SDIST, name.encode(), version="1.0", replace=True)
    return pypi.index.project("six").upload_file(SDIST, GENUINE, version="1.0", replace=True)


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize("large", [False, True])
async def test_two_lying_pages_do_not_lock_a_genuine_file_out(
    site: Site,
    pypi: fakepypi.FakePyPI,
    host: FileHost,
    victim: fakepypi.File,
    monkeypatch: pytest.MonkeyPatch,
    *,
    large: bool,
) -> None:
    """Other content at a genuine file's URL is stored by its own digest; the genuine file gets its own path."""
    if large:
        monkeypatch.setattr("mirror_syncer.volume.tree.MAX_BUFFERED_BYTES", 0)
    # One of them is made to fit the short path, which holds any content with the same two digits.
    for name, content in ((EVIL, same_directory(GENUINE)), (WORSE, b"and this is nothing like it")):
        pypi.faults.on_page(name).edit(host.lie(victim, content))
        await site.sync(name)
    host.stop()

    run = await site.sync("six")

    assert run.state is RunState.SUCCEEDED
    assert site.content("six", SDIST) == GENUINE
    places = {name: site.published(name).places[SDIST] for name in ("six", EVIL, WORSE)}
    assert len(set(places.values())) == 3
    assert content_digest(f"/{places['six']}") == victim.blake2b_256  # the full path: the short one is evil's
    site.assert_whole()
    assert [path for path in site.web.glob("packages/??/??/*") if not any(path.iterdir())] == []


async def test_lying_url_that_harms_nobody_is_published_at_its_own_path(
    site: Site, pypi: fakepypi.FakePyPI, host: FileHost, victim: fakepypi.File
) -> None:
    """Content at a URL with another digest is published at its own path if no other file is affected."""
    pypi.faults.on_page(EVIL).edit(host.lie(victim, b"nothing like it"))
    await site.sync(EVIL)
    host.stop()
    await site.sync("six")

    assert site.content(EVIL, SDIST) == b"nothing like it"
    assert site.published("six").places[SDIST] == f"packages/{victim.blake2b_256[:2]}/{SDIST}"
    site.assert_whole()


async def cleared(site: Site, place: str) -> tuple[int, str]:
    """Run ``mirror-syncer clear``, and return its exit code and its output."""
    done = await mirror_syncer(site, "clear", place)
    return done.code, done.out + done.err


@pytest.mark.proves("security/upstream")
async def test_retired_path_is_free_after_clear(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """An operator frees a path that wrong content took with `clear`, which refuses while a page names it."""
    six = pypi.index.project("six")
    wrong = six.upload_file(SDIST, same_directory(GENUINE), version="1.0")
    short = f"packages/{wrong.blake2b_256[:2]}/{SDIST}"
    site.select("six", grace="0h", guard="100%")
    await site.sync()
    refused = await cleared(site, short)
    assert refused[0] == 1
    assert f"the page of six names {short}" in refused[1]
    assert (site.web / short).is_file()
    six.delete_file(SDIST)
    await site.sync()

    done = await cleared(site, short)
    again = await cleared(site, short)
    six.upload_file(SDIST, GENUINE, version="1.0", replace=True)
    run = await site.sync()

    assert (done[0], again[0]) == (0, 1)
    assert "is free" in done[1]
    assert run.state is RunState.SUCCEEDED
    assert site.published("six").places[SDIST] == short
    site.assert_whole()


async def test_clear_refuses_what_is_no_file_path(site: Site, tmp_path: Path) -> None:
    """`clear` refuses paths outside the tree and pages, and leaves a running service's tree alone."""
    site.select("six")
    outside = tmp_path / "outside"
    outside.write_text("theirs")
    await site.sync()
    for place in ("packages/ab/../../../../outside", "simple/six/index.html", "packages/ab/.hidden", "/etc/passwd"):
        assert (await cleared(site, place))[0] == 1
    async with site.running():
        code, said = await cleared(site, "packages/ab/six-1.0.zip")
    assert (code, "another syncer writes" in said) == (1, True)
    assert outside.read_text() == "theirs"
