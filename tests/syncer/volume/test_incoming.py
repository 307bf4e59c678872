"""A download is published only when complete and correct, and an interrupted one is resumed."""

import hashlib
import io
import itertools
import random
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from fakepypi.distributions import Recipe, build_wheel
from mirror_syncer.errors import FileRejectedError, VolumeFullError
from mirror_syncer.model.names import MAX_FILE_BYTES, Filename, PackagePath, Sha256
from mirror_syncer.volume import MAX_METADATA_BYTES, MIN_FREE_BYTES, AnyIncoming, Incoming, Volume, wheel_metadata

PLACE = PackagePath("packages/ab/six.whl")
BODY = random.Random(3).randbytes(3_000)
LARGE = 2**26  # such a download outlives a restart


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Volume]:
    """A new tree, taken."""
    with Volume(tmp_path, mirror_id="4f9c", known=False) as taken:
        yield taken


def digest(body: bytes) -> Sha256:
    """Return a content's sha256."""
    return Sha256(hashlib.sha256(body).hexdigest())


def begin(
    volume: Volume, *, body: bytes = BODY, size: int | None = len(BODY), place: PackagePath | None = PLACE
) -> AnyIncoming:
    """Begin a file."""
    return volume.incoming(NormalizedName("six"), Filename("six.whl"), digest(body), size=size, place=place)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(body=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=8), told=st.booleans())
def test_chunks_of_any_size_yield_the_file(volume: Volume, body: bytes, cuts: list[int], *, told: bool) -> None:
    """In chunks of any size, a file is published with exactly its bytes, and only when complete."""
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    incoming = begin(volume, body=body, size=len(body) if told else None)
    volume.path(PLACE).unlink(missing_ok=True)
    for start, end in itertools.pairwise(edges):
        incoming.write(body[start:end])
        assert incoming.position == end
        assert volume.digest(PLACE) is None
    incoming.check()
    incoming.publish_file(str(volume.path(PLACE)), mtime=None)
    assert volume.path(PLACE).read_bytes() == body
    assert not Path(incoming.temporary).exists()


def test_published_file_is_readable_and_dated(volume: Volume) -> None:
    """A published file is readable by all, has its upload time, and replaces an old one."""
    volume.path(PLACE).write_bytes(b"damaged")
    incoming = begin(volume, size=None)
    assert stat.S_IMODE(Path(incoming.temporary).stat().st_mode) == 0o600
    incoming.write(BODY)
    incoming.publish_file(str(volume.path(PLACE)), mtime=1_700_000_000.5)
    found = volume.path(PLACE).stat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime) == (0o644, 1_700_000_000.5)
    assert volume.digest(PLACE) == digest(BODY)


@pytest.mark.parametrize("place", [PLACE, None], ids=["large", "unaddressed"])
def test_resumable_download_continues(volume: Volume, place: PackagePath | None) -> None:
    """A large download, or one whose place is unknown, keeps its bytes and continues from there."""
    whole = BODY + bytes(LARGE - len(BODY)) if place else BODY
    first = begin(volume, body=whole, size=len(whole), place=place)
    first.write(whole[:1_000])
    first.abandon()
    second = begin(volume, body=whole, size=len(whole), place=place)
    assert second.position == 1_000
    second.write(whole[1_000:])
    second.check()
    assert place is not None or second.blake2b == hashlib.blake2b(BODY, digest_size=32).hexdigest()
    second.abandon()


def test_abandoned_download_leaves_nothing(volume: Volume, tmp_path: Path) -> None:
    """An abandoned small download leaves nothing, nor does a large one without a byte."""
    small, large = begin(volume), begin(volume, size=LARGE)
    small.write(BODY[:10])
    for incoming in (small, large):
        incoming.abandon()
    assert [path for path in (tmp_path / "pypi").rglob("*") if path.is_file() and not path.name.startswith(".")] == []
    assert not any(Path(incoming.temporary).exists() for incoming in (small, large))


def test_leftover_longer_than_the_file_is_discarded(volume: Volume) -> None:
    """A leftover longer than the file is not used as its beginning."""
    first = begin(volume, size=LARGE)
    Path(first.temporary).write_bytes(b"")
    first.write(BODY)
    first.abandon()
    with Path(first.temporary).open("r+b") as file:
        file.truncate(LARGE + 1)
    second = begin(volume, size=LARGE)
    assert (second.position, Path(second.temporary).stat().st_size) == (0, 0)
    second.abandon()


def test_restart_discards_bytes_and_hashes(volume: Volume) -> None:
    """When upstream starts over, bytes and hashes start over, too."""
    incoming = begin(volume)
    incoming.write(b"something else")
    incoming.restart()
    assert incoming.position == 0
    incoming.write(BODY)
    incoming.check()
    incoming.publish_file(str(volume.path(PLACE)), mtime=None)
    assert volume.path(PLACE).read_bytes() == BODY


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize(
    ("arrived", "size", "reason"),
    [
        (BODY[:-1], len(BODY), "the page declares 3,000 bytes, upstream sent 2,999"),
        (BODY[:-1] + b"x", len(BODY), "its sha256 is [0-9a-f]{64}, the page says"),
        (b"", None, "its sha256 is e3b0c442"),
    ],
)
def test_wrong_content_is_refused_and_discarded(volume: Volume, arrived: bytes, size: int | None, reason: str) -> None:
    """Content of another size or hash is refused with both values, and discarded for the next attempt."""
    incoming = begin(volume, size=size)
    incoming.write(arrived)
    with pytest.raises(FileRejectedError, match=reason):
        incoming.check()
    assert incoming.position == 0
    incoming.write(BODY)
    incoming.check()
    incoming.abandon()


@pytest.mark.parametrize("size", [0, 1, 2_999])
def test_file_over_its_size_is_refused(volume: Volume, size: int) -> None:
    """The first byte over the size ends a download; a file of unknown size has a limit, too."""
    incoming = begin(volume, size=size)
    with pytest.raises(FileRejectedError, match=f"more than the {size:,} bytes"):
        incoming.write(BODY)
    incoming.abandon()
    endless = begin(volume, size=None)
    assert isinstance(endless, Incoming)
    endless._position = MAX_FILE_BYTES
    with pytest.raises(FileRejectedError, match=f"more than the {MAX_FILE_BYTES:,} bytes"):
        endless.write(b"x")
    endless.abandon()


@pytest.mark.proves("reliability/disk")
def test_file_of_unknown_size_on_a_full_disk_fails_the_run(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    """If discarding the file leaves no space either, the disk is full, which is not the file's fault."""
    endless = begin(volume, size=None)
    monkeypatch.setattr(volume._room, "_reserve", 1.0)
    with pytest.raises(VolumeFullError, match="MIRROR_DISK_RESERVE"):
        endless.write(bytes(MIN_FREE_BYTES))
    assert endless.position == 0
    endless.abandon()


@pytest.mark.proves("reliability/disk")
def test_reserve_refuses_every_transfer(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    """After one transfer is refused at the reserve, the others are refused at their next byte, not 16 MiB later."""
    volume._room.reserve(16 * 2**20 - 1)
    monkeypatch.setattr(volume._room, "_reserve", 1.0)
    for _ in range(10):
        with pytest.raises(VolumeFullError, match="MIRROR_DISK_RESERVE"):
            volume._room.reserve(1)
    monkeypatch.setattr(volume._room, "_reserve", 0.0)
    volume._room.reserve(1)
    monkeypatch.setattr(volume._room, "_reserve", 1.0)
    volume._room.reserve(1)


def wheel(members: dict[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip file."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return body.getvalue()


def test_metadata_of_a_wheel_is_read(tmp_path: Path) -> None:
    """A wheel's METADATA is read unchanged, stored or deflated; other members do not matter."""
    built = build_wheel(Recipe(name="Foo.Bar", version="1.0"))
    (tmp_path / built.filename).write_bytes(built.content)
    assert wheel_metadata(tmp_path / built.filename) == built.metadata
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        members = {"a-1.dist-info/METADATA": b"Name: a", "a/b-1.dist-info/METADATA": b"no"}
        (tmp_path / "a.whl").write_bytes(content := wheel(members, compression=compression))
        assert wheel_metadata(tmp_path / "a.whl") == wheel_metadata(content) == b"Name: a"


@pytest.mark.parametrize("last", [True, False])
def test_metadata_of_a_large_wheel_is_read_wherever_it_lies(tmp_path: Path, *, last: bool) -> None:
    """A wheel's METADATA is found at its end, where tools write it, and also before a megabyte of other members."""
    content = {"a/a.bin": random.Random(1).randbytes(2**20)}
    members = {"a-1.dist-info/METADATA": b"Name: a"}
    (tmp_path / "a.whl").write_bytes(wheel({**content, **members} if last else {**members, **content}))
    assert wheel_metadata(tmp_path / "a.whl") == b"Name: a"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"PK\x05\x06",
        b"no zip at all" * 100,
        wheel({}),
        wheel({"a-1.dist-info/WHEEL": b"x"}),
        wheel({"a-1.dist-info/METADATA": b"x", "b-1.dist-info/METADATA": b"x"}),
        wheel({"a-1.dist-info/METADATA": bytes(MAX_METADATA_BYTES + 1)}),
        wheel({"a-1.dist-info/METADATA": b"x"}, compression=zipfile.ZIP_LZMA),
    ],
    ids=["empty", "short", "noise", "nothing", "no metadata", "two", "bomb", "lzma"],
)
def test_wheel_without_usable_metadata_returns_none(tmp_path: Path, body: bytes) -> None:
    """An invalid wheel, or one with no METADATA, two, or a decompression bomb, returns none."""
    (tmp_path / "a.whl").write_bytes(body)
    assert wheel_metadata(tmp_path / "a.whl") is None
    assert wheel_metadata(body) is None


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_wheel_never_raises(tmp_path: Path, compression: int) -> None:
    """A damaged wheel returns its METADATA or none, and never raises."""
    whole, choose = wheel({"a-1.dist-info/METADATA": b"Name: a\n" * 30}, compression=compression), random.Random(1)
    for _ in range(200):
        body = bytearray(whole)
        for _ in range(choose.randint(1, 6)):
            body[choose.randrange(len(body))] = choose.randrange(256)
        (tmp_path / "a.whl").write_bytes(body)
        assert isinstance(wheel_metadata(tmp_path / "a.whl"), bytes | None)
