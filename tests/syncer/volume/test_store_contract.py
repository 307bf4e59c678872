"""What a tree promises, in a directory and in a bucket alike."""

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

import buckets
from mirror_syncer.errors import VolumeInUseError, VolumeMissingError
from mirror_syncer.model.generation import Generation
from mirror_syncer.model.names import Filename, PackagePath, Sha256
from mirror_syncer.volume import AnyVolume, Bucket, PageSet, StagedPages, Volume

ID = "4f9c"
SIX = NormalizedName("six")
SHORT = PackagePath("packages/ab/six-1.0.tar.gz")
DIGITS = f"ab/cd/{'0' * 60}"
FULL = PackagePath(f"packages/{DIGITS}/six-1.0.tar.gz")
PAGE = PageSet(b"<html>", b"{}")
LONG_PAGE = PageSet(b"<html>" * 1_000, b"{}" * 3_000)

Open = Callable[..., AnyVolume]


@pytest.fixture(params=["directory", "moto", pytest.param("radosgw", marks=pytest.mark.docker)])
def kind(request: pytest.FixtureRequest) -> str:
    """Where the tree is, each place in turn."""
    kind: str = request.param
    return kind


@pytest.fixture
def bucket_of_kind(kind: str, request: pytest.FixtureRequest) -> buckets.TestBucket | None:
    """An empty bucket, or None for a directory."""
    if kind == "directory":
        return None
    server: buckets.ObjectStoreServer = request.getfixturevalue("gateway" if kind == "radosgw" else "moto_server")
    return server.new_bucket("some/prefix")


@pytest.fixture
def open_tree(bucket_of_kind: buckets.TestBucket | None, tmp_path: Path) -> Open:
    """Return a function that opens the tree as a syncer does."""

    def opened(mirror_id: str = ID, *, known: bool = False, scratch: str = "scratch") -> AnyVolume:
        if bucket_of_kind is None:
            return Volume(tmp_path, mirror_id=mirror_id, known=known)
        return Bucket(bucket_of_kind.access, scratch=tmp_path / scratch, mirror_id=mirror_id, known=known)

    return opened


@pytest.fixture
def tree(open_tree: Open) -> Iterator[AnyVolume]:
    """An empty tree."""
    with open_tree() as volume:
        yield volume


@pytest.fixture
def content(bucket_of_kind: buckets.TestBucket | None, tmp_path: Path) -> Callable[[], dict[str, bytes]]:
    """Return a function that returns what is below ``pypi/web``, by path."""

    def read() -> dict[str, bytes]:
        if bucket_of_kind is not None:
            objects = bucket_of_kind.objects().items()
            return {key.removeprefix("pypi/web/"): body for key, body in objects if key.startswith("pypi/web/")}
        web = tmp_path / "pypi/web"
        return {path.relative_to(web).as_posix(): path.read_bytes() for path in web.rglob("*") if path.is_file()}

    return read


def put(tree: AnyVolume, place: PackagePath, body: bytes, *, known_size: bool = True) -> None:
    """Store a file as a download does."""
    tree.make_directory(place)
    incoming = tree.incoming(
        SIX,
        Filename(place.rpartition("/")[2]),
        Sha256(hashlib.sha256(body).hexdigest()),
        size=len(body) if known_size else None,
        place=place,
    )
    incoming.write(body)
    incoming.check()
    incoming.publish_file(tree.target(place), mtime=1_700_000_000)


def hash_in_pieces(tree: AnyVolume, place: PackagePath) -> str | None:
    """Return the sha256 of a file, read in pieces of a megabyte."""
    pieces = tree.hash_in_pieces(place, piece=1 << 20)
    try:
        while True:
            next(pieces)
    except StopIteration as end:
        found: str | None = end.value
        return found


def show(tree: AnyVolume, pages: PageSet) -> StagedPages:
    """Publish a page."""
    staged = tree.stage(SIX, pages)
    assert staged is not None
    tree.sync()
    tree.publish(staged)
    return staged


@pytest.mark.parametrize("size", [0, 5, 300_000, 17 * 2**20], ids=["empty", "small", "staged", "in-parts"])
def test_file_is_what_was_downloaded(tree: AnyVolume, content: Callable[[], dict[str, bytes]], size: int) -> None:
    """A file of any size has its bytes, its digest and its size at its place, and nothing else is there."""
    body = b"x" * size
    put(tree, SHORT, body)
    assert content() == {SHORT: body}
    assert tree.size(SHORT) == size
    assert tree.digest(SHORT) == hashlib.sha256(body).hexdigest()
    assert hash_in_pieces(tree, SHORT) == hashlib.sha256(body).hexdigest()
    assert tree.size(FULL) is None
    assert tree.digest(FULL) is None


def test_file_of_unknown_size_is_stored(tree: AnyVolume, content: Callable[[], dict[str, bytes]]) -> None:
    """A file whose page gives no size is stored like any other."""
    put(tree, SHORT, b"six", known_size=False)
    assert content() == {SHORT: b"six"}


def test_same_file_twice_changes_nothing(tree: AnyVolume, content: Callable[[], dict[str, bytes]]) -> None:
    """A file that is there already is stored again without an error, and damage at its place is replaced."""
    put(tree, SHORT, b"damaged")
    put(tree, SHORT, b"six")
    put(tree, SHORT, b"six")
    assert content() == {SHORT: b"six"}


def test_wheel_gives_its_metadata(tree: AnyVolume) -> None:
    """METADATA is read out of a stored wheel; what is no wheel has none."""
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("six.py", b"x" * 200_000)
        archive.writestr("six-1.0.dist-info/METADATA", b"Name: six\n")
    place = PackagePath("packages/ab/six-1.0-py3-none-any.whl")
    put(tree, place, wheel.getvalue())
    assert tree.wheel_metadata(place) == b"Name: six\n"
    put(tree, SHORT, b"no wheel")
    assert tree.wheel_metadata(SHORT) is None
    tree.write_metadata(SIX, place, b"Name: six\n")
    assert tree.metadata_head(place) == b"Name: six\n"
    assert tree.metadata_head(place, most=4) == b"Name"
    assert tree.metadata_head(SHORT) is None


def test_page_is_visible_when_it_is_published(tree: AnyVolume, content: Callable[[], dict[str, bytes]]) -> None:
    """A staged page changes nothing that a client sees; published, it is there in all forms, and only once."""
    put(tree, SHORT, b"six")
    staged = tree.stage(SIX, LONG_PAGE)
    assert staged is not None
    assert staged.is_first
    assert tree.page(SIX) is None
    assert list(tree.projects()) == []
    tree.publish(staged)
    forms = {f"simple/six/{name}": body for name, body in LONG_PAGE.files().items()}
    assert content() == {SHORT: b"six", **forms}
    assert len(forms) == 4
    assert tree.page_digest(SIX) == LONG_PAGE.digest
    assert list(tree.projects()) == [SIX]
    assert tree.stage(SIX, LONG_PAGE) is None


def test_shorter_page_loses_its_twins(tree: AnyVolume, content: Callable[[], dict[str, bytes]]) -> None:
    """A page that needs no gzip twins has none left of its predecessor; its state is another one."""
    show(tree, LONG_PAGE)
    before = tree.page_state(SIX)
    assert not show(tree, PAGE).is_first
    assert content() == {"simple/six/index.html": b"<html>", "simple/six/index.v1_json": b"{}"}
    assert tree.page_state(SIX) not in (before, ())
    tree.remove_page(SIX)
    assert content() == {}
    assert tree.page_state(SIX) == ()


def test_legacy_document_comes_and_goes(tree: AnyVolume, content: Callable[[], dict[str, bytes]]) -> None:
    """A legacy document is visible when it is published, with its twin, and a planned removal removes both."""
    body = b'{"info": 1}' * 1_000
    staged = tree.stage_legacy(SIX, body)
    assert staged is not None
    assert tree.legacy(SIX) is None
    tree.publish_legacy(staged)
    assert tree.legacy(SIX) == body
    assert sorted(content()) == ["pypi/six/json", "pypi/six/json.gz"]
    assert tree.stage_legacy(SIX, body) is None
    removal = tree.stage_legacy(SIX, None)
    assert removal is not None
    tree.publish_legacy(removal)
    assert content() == {}


def test_removed_file_leaves_a_tombstone_at_its_full_path(
    tree: AnyVolume, content: Callable[[], dict[str, bytes]]
) -> None:
    """A full path whose short one has other content keeps a tombstone; a short path leaves nothing."""
    put(tree, SHORT, b"other content")
    put(tree, FULL, b"six")
    tree.write_metadata(SIX, FULL, b"metadata")
    tree.remove(FULL)
    assert tree.has_tombstone(FULL)
    assert content() == {SHORT: b"other content", f"packages/{DIGITS}/.gone/six-1.0.tar.gz": b""}
    tree.remove(SHORT)
    assert not tree.has_tombstone(SHORT)
    assert SHORT not in content()


def test_withdrawn_file_is_not_served_and_returns(open_tree: Open, content: Callable[[], dict[str, bytes]]) -> None:
    """A withdrawn file and its metadata are not served, survive a restart, and return to their free place."""
    with open_tree() as tree:
        put(tree, SHORT, b"six")
        tree.write_metadata(SIX, SHORT, b"metadata")
        tree.withdraw(SHORT)
        assert content() == {}
    with open_tree(known=True) as again:
        again.restore(SHORT)
        assert content() == {SHORT: b"six", f"{SHORT}.metadata": b"metadata"}
        again.withdraw(SHORT)
        again.discard_withdrawn(SHORT)
        again.restore(SHORT)
        assert content() == {}


def test_held_file_has_a_marker(tree: AnyVolume, content: Callable[[], dict[str, bytes]]) -> None:
    """A held file has a marker with a printable text, written once; a released one has none."""
    assert tree.hold(SHORT, "403: too young\n\x1b[31m", address=None)
    assert not tree.hold(SHORT, "403: too young\n\x1b[31m", address=None)
    assert content() == {"packages/ab/.held/six-1.0.tar.gz": b"403: too young [31m\n"}
    assert tree.is_held(SHORT, address=None)
    assert tree.held_text(SHORT) == "403: too young [31m"
    assert [name for name, _ in tree.held_at_short_paths("ab")] == ["six-1.0.tar.gz"]
    tree.release(SHORT, address=None)
    assert content() == {}
    assert not tree.is_held(SHORT, address=None)
    assert tree.held_text(SHORT) is None


def test_files_of_a_directory_are_listed(tree: AnyVolume) -> None:
    """The files at short paths are listed with their sizes, without markers, full paths and other directories."""
    put(tree, SHORT, b"six")
    put(tree, FULL, b"seven")
    tree.write_metadata(SIX, SHORT, b"metadata")
    tree.hold(SHORT, "held", address=None)
    put(tree, PackagePath("packages/ac/six-1.0.tar.gz"), b"eight")
    found = sorted((file.name, file.size) for file in tree.files_at_short_paths("ab"))
    assert found == [("six-1.0.tar.gz", 3), ("six-1.0.tar.gz.metadata", 8)]


def test_project_list_is_replaced_as_a_whole(tree: AnyVolume, content: Callable[[], dict[str, bytes]]) -> None:
    """A streamed list is visible when it is published, in both formats with right twins."""
    assert not tree.has_project_list()
    streamed = tree.stream_list()
    streamed.html.write("<a>" * 2_000)
    streamed.json.write("{}" * 2_000)
    page, _ = streamed.finish()
    assert not any(path.endswith("index.html") for path in content())
    tree.publish(page)
    assert tree.has_project_list()
    assert sorted(content()) == [
        f"simple/{form}" for form in ("index.html", "index.html.gz", "index.v1_json", "index.v1_json.gz")
    ]
    for form, text in (("index.html", "<a>"), ("index.v1_json", "{}")):
        digest = hashlib.sha256((text * 2_000).encode()).hexdigest()
        assert tree.list_digests(form) == (digest, digest)


def test_edges_hear_of_changes(tree: AnyVolume, bucket_of_kind: buckets.TestBucket | None, tmp_path: Path) -> None:
    """The list of changes names each file that leaves and each page that is replaced."""
    put(tree, SHORT, b"six")
    tree.remove(SHORT)
    tree.list_changed_pages([SIX])
    path = tmp_path / "pypi/.changes"
    body = path.read_bytes() if bucket_of_kind is None else bucket_of_kind.read("pypi/.changes")
    head, *lines = body.decode().splitlines()
    assert head.startswith("pypi-mirror-changes 1 ")
    assert [line.split(" ", 1)[1] for line in lines] == [SHORT, "simple/six"]


def test_generation_and_status_are_replaced(tree: AnyVolume, content: Callable[[], dict[str, bytes]]) -> None:
    """A tree keeps the last generation and the last status."""
    assert tree.generation() == Generation()
    tree.write_generation(Generation(7, "0123456789abcdef"))
    assert tree.generation() == Generation(7, "0123456789abcdef")
    for body in (b"1", b"2"):
        tree.write_status(body)
    assert content() == {"status.json": b"2"}
    assert tree.write_blocked_names({"evil": "malware"}, {})
    assert not tree.write_blocked_names({"evil": "malware"}, {})
    assert tree.write_blocked_names({}, {})


@pytest.mark.proves("security/mistakes")
def test_tree_of_another_catalog_is_refused(open_tree: Open) -> None:
    """A tree belongs to one catalog; the message names both ids."""
    with open_tree() as volume:
        assert volume.marker() == volume.mirror_id == ID
    with pytest.raises(VolumeMissingError, match=f"{ID}; ours is other"):
        open_tree("other", known=True)
    with open_tree(known=True) as again:
        again.check_present()


@pytest.mark.proves("security/mistakes")
def test_empty_place_under_a_full_catalog_is_refused(open_tree: Open) -> None:
    """Where the catalog holds projects and the tree is missing, nothing is created."""
    with pytest.raises(VolumeMissingError, match=r"\.mirror-id"):
        open_tree(known=True)
    with open_tree() as volume:
        assert list(volume.projects()) == []


def test_second_process_is_refused(open_tree: Open, tree: AnyVolume) -> None:
    """A second process of the same mirror cannot open its tree."""
    tree.check_usable()
    with pytest.raises(VolumeInUseError, match="another syncer"):
        open_tree(known=True)
