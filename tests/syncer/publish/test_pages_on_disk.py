"""A page becomes visible atomically, and nginx's ETag never repeats for different content."""

import gzip
import math
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from mirror_syncer.errors import PathError
from mirror_syncer.volume import PageSet, Volume

pytestmark = pytest.mark.proves("reliability/time-and-order", "security/upstream")

SIX = NormalizedName("six")
NAMES = {"index.html", "index.v1_json"}
TWINS = {"index.html.gz", "index.v1_json.gz"}
PACKET = 1_448
LARGE = PageSet(html=b"<html>" * 2_000, json=b'{"a":1}' * 2_000)


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Volume]:
    """A new tree, taken."""
    with Volume(tmp_path, mirror_id="4f9c", known=False) as taken:
        yield taken


def page(text: str) -> PageSet:
    """Return a small page."""
    return PageSet(html=f"<{text}>".encode(), json=f'"{text}"'.encode())


def publish(volume: Volume, content: PageSet) -> dict[str, tuple[int, int]]:
    """Publish a page; return each file's mtime and size, which is what nginx makes an ETag of."""
    staged = volume.stage(SIX, content)
    assert staged is not None
    staged.publish(volume.durability)
    directory = volume.page_directory(SIX)
    return {path.name: (int(path.stat().st_mtime), path.stat().st_size) for path in directory.iterdir()}


def test_page_is_invisible_until_published(volume: Volume) -> None:
    """Before publication nothing has its name; afterwards both formats are complete, and no temporary is left."""
    staged = volume.stage(SIX, LARGE)
    assert staged is not None
    directory = volume.page_directory(SIX)
    assert all(path.name.startswith(".") for path in directory.parent.iterdir())
    assert volume.page(SIX) is None
    staged.publish(volume.durability)
    assert {path.name for path in directory.iterdir()} == NAMES | TWINS
    assert (directory / "index.html").read_bytes() == LARGE.html
    assert volume.page(SIX) == LARGE.json
    assert gzip.decompress((directory / "index.html.gz").read_bytes()) == LARGE.html
    assert gzip.decompress((directory / "index.v1_json.gz").read_bytes()) == LARGE.json


def test_etags_never_repeat(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even with a stopped or reset clock, mtimes increase with each page, and differ between HTML and JSON."""
    choose, now = random.Random(2), 1_800_000_000
    seen: list[int] = []
    for number in range(60):
        now += choose.choice((-86_400, -1, 0, 0, 1, 5))
        monkeypatch.setattr(time, "time", lambda: float(now) + 0.9)  # noqa: B023 - called in this turn
        content = page(f"{number:04}") if choose.random() < 0.5 else PageSet(LARGE.html + b"%d" % number, LARGE.json)
        files = publish(volume, content)
        times = {name: mtime for name, (mtime, _) in files.items()}
        assert times["index.html"] != times["index.v1_json"]
        assert not seen or min(times.values()) > max(seen)
        assert max(times.values()) >= now
        for twin in TWINS & set(times):
            assert times[twin] == times[twin.removesuffix(".gz")], "nginx sends the twin's own Last-Modified"
        seen += times.values()


@pytest.mark.parametrize("size", [0, 1, PACKET, PACKET + 1, 2 * PACKET, 2 * PACKET + 1, 100_000])
@pytest.mark.parametrize("noise", [False, True])
def test_twin_exists_only_if_it_saves_a_packet(size: int, *, noise: bool) -> None:
    """A ``.gz`` exists exactly if it saves a packet, and is published before the plain file."""
    body = random.Random(1).randbytes(size) if noise else bytes(size)
    files = PageSet(html=body, json=b"{}").files()
    packets = {name: math.ceil(len(content) / PACKET) for name, content in files.items()}
    if "index.html.gz" in files:
        assert packets["index.html.gz"] < packets["index.html"]
        assert list(files).index("index.html.gz") < list(files).index("index.html")
        assert gzip.decompress(files["index.html.gz"]) == body
    else:
        assert noise or size <= PACKET
    assert "index.v1_json.gz" not in files


def test_compression_is_deterministic() -> None:
    """Compressing a page again yields the same bytes, so that a published page is recognized."""
    assert LARGE.files() == LARGE.files()


def test_obsolete_twin_is_removed(volume: Volume) -> None:
    """nginx would prefer an old twin to the new page, so it is removed when the page becomes small."""
    publish(volume, LARGE)
    assert set(publish(volume, page("small"))) == NAMES
    assert set(publish(volume, LARGE)) == NAMES | TWINS


def test_unchanged_page_is_not_written(volume: Volume) -> None:
    """A page that is already published byte by byte keeps its files and ETags."""
    before = publish(volume, LARGE)
    assert volume.stage(SIX, LARGE) is None
    directory = volume.page_directory(SIX)
    assert {path.name for path in directory.iterdir()} == set(before)
    assert {path.name: int(path.stat().st_mtime) for path in directory.iterdir()} == {
        name: mtime for name, (mtime, _) in before.items()
    }


@pytest.mark.parametrize("damage", sorted(NAMES | TWINS))
@pytest.mark.parametrize("lost", [False, True])
def test_damaged_page_is_written_again(volume: Volume, damage: str, *, lost: bool) -> None:
    """A page with a missing or changed file does not count as published."""
    publish(volume, LARGE)
    path = volume.page_directory(SIX) / damage
    path.unlink() if lost else path.write_bytes(path.read_bytes()[:-1])
    publish(volume, LARGE)
    assert volume.stage(SIX, LARGE) is None


def test_stray_twin_counts_as_a_change(volume: Volume) -> None:
    """A twin of a page that should have none counts as a change, because nginx would serve it."""
    publish(volume, page("small"))
    (volume.page_directory(SIX) / "index.html.gz").write_bytes(gzip.compress(b"old"))
    assert set(publish(volume, page("small"))) == NAMES


def test_discarded_page_leaves_no_trace(volume: Volume) -> None:
    """A discarded page leaves the old one unchanged, and no directory if there was none."""
    staged = volume.stage(SIX, LARGE)
    assert staged is not None
    staged.discard()
    assert not volume.page_directory(SIX).exists()
    before = publish(volume, page("old"))
    staged = volume.stage(SIX, LARGE)
    assert staged is not None
    staged.discard()
    assert {path.name for path in volume.page_directory(SIX).iterdir()} == set(before)


def test_staging_again_replaces_a_leftover(volume: Volume) -> None:
    """A partial leftover of a crash is overwritten, never published."""
    volume.page_directory(SIX).mkdir()
    (volume.page_directory(SIX) / ".index.html.new").write_bytes(b"x" * 100_000)
    publish(volume, page("new"))
    assert (volume.page_directory(SIX) / "index.html").read_bytes() == b"<new>"


@pytest.mark.parametrize("kind", ["file", "symlink", "directory"])
def test_obstacle_to_a_first_page_is_removed(volume: Volume, tmp_path: Path, kind: str) -> None:
    """Anything in the place of a first page's temporary is removed, and not followed."""
    way, other = volume.page_directory(SIX).with_name(".six.new"), tmp_path / "other"
    other.mkdir()
    (other / "kept").touch()
    match kind:
        case "file":
            way.touch()
        case "symlink":
            way.symlink_to(other)
        case _:
            (way / "deeper").mkdir(parents=True)
    publish(volume, page("six"))
    assert not os.path.lexists(way)
    assert (other / "kept").exists()


def test_removed_page_leaves_no_directory(volume: Volume) -> None:
    """A removed page's directory is removed, too; removing it twice is no error."""
    publish(volume, LARGE)
    for _ in range(2):
        volume.remove_page(SIX)
        assert volume.page(SIX) is None
        assert not volume.page_directory(SIX).exists()


def test_unwritable_page_is_a_path_error(volume: Volume) -> None:
    """A write error is a PathError that names the path."""
    volume.page_directory(SIX).write_bytes(b"a file where a directory should be")
    staged = volume.stage(SIX, LARGE)
    assert staged is not None
    with pytest.raises(PathError, match="six cannot be written: Not a directory"):
        staged.publish(volume.durability)
