"""Symlinks planted in the tree: nothing is written, moved or removed at their targets."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import fakepypi
from mirror_contract import RunState
from mirror_syncer.errors import VolumeError
from mirror_syncer.model.names import PackagePath
from mirror_syncer.volume import Volume
from syncer.site import Site

pytestmark = pytest.mark.proves("security/upstream")

WHEEL = "six-1.0-py3-none-any.whl"
DIGITS = "0" * 60


class Outside:
    """A directory that a symlink leads to, with files by every name that something of ours might have."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for number in range(256):
            (directory / f"{number:02x}").mkdir(parents=True)
        for name in ("index.html", "index.v1_json", "json", WHEEL, f"{DIGITS}/{WHEEL}", f"cd/{DIGITS}/{WHEEL}"):
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("theirs")
        self._before = self._snapshot()

    def _snapshot(self) -> dict[str, tuple[int, bytes]]:
        return {
            str(path): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
            for path in self.directory.rglob("*")
        }

    def assert_untouched(self) -> None:
        """Assert that all is as it was."""
        assert self._snapshot() == self._before


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    """A directory beside the tree."""
    return Outside(tmp_path / "outside")


@pytest.fixture
def six(site: Site, pypi: fakepypi.FakePyPI) -> Site:
    """A host that is to mirror one project, with its legacy document, beside another that must not care."""
    for name in ("six", "idna"):
        pypi.index.project(name).upload("1.0")
    site.select("six", "idna", legacy_json=True)
    return site


def plant(at: Path, outside: Outside) -> None:
    """Put a symlink to a directory in a directory's place."""
    if at.is_dir():
        at.rename(at.with_name("aside"))
    at.parent.mkdir(parents=True, exist_ok=True)
    at.symlink_to(outside.directory)


@pytest.mark.parametrize(
    "at", ["web", "web/simple", "web/pypi", "web/packages", "web/packages/ab", ".staging", ".withdrawn"]
)
async def test_symlinked_main_directory_fails_the_run(six: Site, outside: Outside, at: str) -> None:
    """A symlink in place of a main directory fails the run and the start, each naming the path."""
    planted = six.data / "pypi" / at
    async with six.running() as running:
        await running.sync("idna")
        plant(planted, outside)
        run = await running.sync()
    with pytest.raises(VolumeError, match="is a symlink") as refused:
        await six.sync()
    planted.unlink()
    if (aside := planted.with_name("aside")).exists():
        aside.rename(planted)
    mended = await six.sync()

    outside.assert_untouched()
    assert run.state is RunState.FAILED
    assert f"{planted} is a symlink" in (run.message or "")
    assert f"{planted} is a symlink" in str(refused.value)
    assert mended.state is RunState.SUCCEEDED


@pytest.mark.parametrize("at", ["simple/six", "pypi/six"])
async def test_symlinked_page_directory_is_replaced(
    six: Site, pypi: fakepypi.FakePyPI, outside: Outside, at: str
) -> None:
    """A symlink in place of a project's directory is replaced; if it showed a page, that is reported."""
    await six.sync("idna")
    runs = []
    for version in ("2.0", "3.0"):
        plant(six.web / at, outside)
        pypi.index.project("six").upload(version)
        runs.append(await six.sync())
        assert not (six.web / at).is_symlink()

    outside.assert_untouched()
    told = {failure.project for run in runs for failure in run.failures}
    assert {run.state for run in runs} <= {RunState.SUCCEEDED, RunState.INCOMPLETE}
    assert told == ({"six"} if at == "simple/six" else set())
    assert "six-3.0.tar.gz" in six.filenames("six")


@pytest.mark.parametrize("at", ["simple/six", "pypi/six"])
async def test_withdrawal_removes_a_symlink_but_not_its_target(six: Site, outside: Outside, at: str) -> None:
    """Withdrawing a project removes a symlink in place of its directory, but not the symlink's target."""
    await six.sync()
    plant(six.web / at, outside)
    six.select("idna", legacy_json=True)

    run = await six.sync(allow_removals=1)

    outside.assert_untouched()
    assert (run.state, run.counts.projects_withdrawn) == (RunState.SUCCEEDED, 1)
    assert not (six.web / at).is_symlink()


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Volume]:
    """A new tree, taken."""
    (tmp_path / "data").mkdir()
    with Volume(tmp_path / "data", mirror_id="4f9c", known=False) as taken:
        yield taken


@pytest.mark.parametrize("at", ["web/packages/ab/cd", f"web/packages/ab/cd/{DIGITS}", ".withdrawn/packages/ab"])
def test_symlink_above_a_full_path_is_not_followed(volume: Volume, outside: Outside, at: str) -> None:
    """A symlink above a full path, or out of the document root, is not followed."""
    place = PackagePath(f"packages/ab/cd/{DIGITS}/{WHEEL}")
    planted = volume.base / at
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.symlink_to(outside.directory)
    for touch in (volume.remove, volume.withdraw, volume.restore):
        touch(place)
    volume.make_directory(place)
    volume.path(place).write_bytes(b"ours")
    volume.withdraw(place)
    volume.restore(place)

    outside.assert_untouched()
    assert volume.path(place).read_bytes() == b"ours"


def test_symlinked_marker_is_not_followed(tmp_path: Path, outside: Outside) -> None:
    """A symlink in place of the new marker, or among staged downloads, is not followed."""
    base = tmp_path / "data" / "pypi"
    (base / ".staging").mkdir(parents=True)
    (base / ".mirror-id.new").symlink_to(outside.directory / "index.html")
    (base / ".staging" / "dangling").symlink_to("nowhere")
    with Volume(tmp_path / "data", mirror_id="4f9c", known=False) as volume:
        volume.clean_staging()

    outside.assert_untouched()
    assert (base / ".mirror-id").read_text() == "4f9c\n"
