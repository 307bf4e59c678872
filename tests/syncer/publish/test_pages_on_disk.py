"""A page is visible whole or not at all, and nginx's ETag never comes twice for two contents."""

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


def test_page_is_visible_when_it_is_published(volume: Volume) -> None:
    """Before, nothing has its name; after, both formats are there as they were rendered, and no temporary is."""
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


def test_no_etag_comes_twice(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the clock stands still or goes back, mtimes rise with each page, and differ between HTML and JSON."""
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
def test_twin_saves_a_packet(size: int, *, noise: bool) -> None:
    """A ``.gz`` exists exactly where it takes fewer packets than the plain file, and comes before it."""
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


def test_pages_are_packed_alike() -> None:
    """The same page packed again has the same bytes, so that it is known to be published already."""
    assert LARGE.files() == LARGE.files()


def test_twin_no_longer_wanted_goes(volume: Volume) -> None:
    """Nginx would prefer an old twin to the new page, so that it goes when the page gets small."""
    publish(volume, LARGE)
    assert set(publish(volume, page("small"))) == NAMES
    assert set(publish(volume, LARGE)) == NAMES | TWINS


def test_unchanged_page_is_not_written(volume: Volume) -> None:
    """A page that is published byte by byte is left alone, with the ETags that clients hold."""
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
    """A page of which any file is gone or changed is not taken for published."""
    publish(volume, LARGE)
    path = volume.page_directory(SIX) / damage
    path.unlink() if lost else path.write_bytes(path.read_bytes()[:-1])
    publish(volume, LARGE)
    assert volume.stage(SIX, LARGE) is None


def test_stray_twin_is_noticed(volume: Volume) -> None:
    """A twin beside a page that should have none is a change, since nginx would serve it."""
    publish(volume, page("small"))
    (volume.page_directory(SIX) / "index.html.gz").write_bytes(gzip.compress(b"old"))
    assert set(publish(volume, page("small"))) == NAMES


def test_discarded_page_leaves_no_trace(volume: Volume) -> None:
    """A page taken back leaves the old one as it was, and where there was none not even a directory."""
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
    """What a crash left half-written is written over, never published."""
    volume.page_directory(SIX).mkdir()
    (volume.page_directory(SIX) / ".index.html.new").write_bytes(b"x" * 100_000)
    publish(volume, page("new"))
    assert (volume.page_directory(SIX) / "index.html").read_bytes() == b"<new>"


@pytest.mark.parametrize("kind", ["file", "symlink", "directory"])
def test_what_is_in_the_way_of_a_first_page_goes(volume: Volume, tmp_path: Path, kind: str) -> None:
    """Whatever a tree has where first pages are written, planted or left, it stops no page, and is not followed."""
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


def test_removed_page_is_gone(volume: Volume) -> None:
    """A removed page takes its directory along; removing it twice is removing it once."""
    publish(volume, LARGE)
    for _ in range(2):
        volume.remove_page(SIX)
        assert volume.page(SIX) is None
        assert not volume.page_directory(SIX).exists()


def test_page_that_cannot_be_written(volume: Volume) -> None:
    """A tree that says no is a PathError that names the place."""
    volume.page_directory(SIX).write_bytes(b"a file where a directory should be")
    staged = volume.stage(SIX, LARGE)
    assert staged is not None
    with pytest.raises(PathError, match="six cannot be written: Not a directory"):
        staged.publish(volume.durability)
