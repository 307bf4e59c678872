"""Real servers of other projects as upstream: the mirror holds what pip installs from them."""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from fakepypi import Index
from mirror_contract import RunState
from mirror_syncer.config.settings import Settings
from syncer import real_index
from syncer.site import Site

pytestmark = [pytest.mark.internet, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A directory with two releases of one project and one of another."""
    directory = tmp_path / "packages"
    directory.mkdir()
    index = Index()
    for name, version in (("alpha", "1.0"), ("alpha", "1.1"), ("beta-lib", "2.0")):
        release = index.project(name).upload(version, wheel=False)
        for filename, file in release.files.items():
            (directory / filename).write_bytes(file.content)
    return directory


def digests(packages: Path) -> dict[str, str]:
    """Return the sha256 of each package, by file name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in packages.glob("*.tar.gz")}


@contextmanager
def serving(kind: str, packages: Path, directory: Path) -> Iterator[str]:
    """Serve the packages by a real server; yield the URL that pip takes."""
    directory.mkdir()
    with ExitStack() as running:
        if kind == "devpi":
            yield running.enter_context(real_index.devpi(directory, sorted(packages.glob("*.tar.gz"))))
        elif kind.startswith("pypiserver"):
            yield running.enter_context(real_index.pypiserver(packages, hash_algo=kind.partition(" ")[2]))
        else:
            outdated = running.enter_context(real_index.pypiserver(packages, hash_algo=kind.partition(" ")[2]))
            yield running.enter_context(real_index.proxpi(outdated, directory))


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize(
    "kind",
    ["devpi", "pypiserver sha256", "pypiserver md5", "pypiserver off", "proxpi sha256", "proxpi md5", "proxpi off"],
)
async def test_real_index_is_mirrored(tmp_path: Path, packages: Path, kind: str) -> None:
    """devpi, pypiserver and proxpi are mirrored by the URL that pip uses, with every kind of hash and without any."""
    with serving(kind, packages, tmp_path / "server") as url:
        site = Site(tmp_path, upstream=Settings(upstream=url).upstream)
        site.select("alpha", "beta-lib")
        async with site.running() as running:
            first = await running.sync()
            second = await running.sync()

    assert (first.state, first.failures) == (RunState.SUCCEEDED, [])
    assert (second.state, second.counts.files_fetched) == (RunState.SUCCEEDED, 0)
    site.assert_whole()
    published = {
        filename: file.sha256 for name in site.pages() for filename, file in site.published(name).files.items()
    }
    assert published == digests(packages)


@pytest.mark.proves("reliability/upstream")
async def test_devpi_is_found_by_its_index_url(tmp_path: Path, packages: Path) -> None:
    """devpi is also found by the URL that `devpi use` accepts."""
    with serving("devpi", packages, tmp_path / "server") as url:
        site = Site(tmp_path, upstream=url.removesuffix("/+simple/"))
        site.select("alpha")
        run = await site.sync()

    assert (run.state, run.failures) == (RunState.SUCCEEDED, [])
    assert len(site.filenames("alpha")) == 2


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize("kind", ["devpi", "pypiserver sha256", "proxpi sha256"])
async def test_project_missing_from_a_real_index_is_reported(tmp_path: Path, packages: Path, kind: str) -> None:
    """A project that such an index lacks is reported as missing, and affects no other project."""
    with serving(kind, packages, tmp_path / "server") as url:
        site = Site(tmp_path, upstream=Settings(upstream=url).upstream)
        site.select("missing", "alpha")
        run = await site.sync()

    assert run.state is RunState.INCOMPLETE
    assert [failure.project for failure in run.failures] == ["missing"]
    assert site.pages() == ["alpha"]
