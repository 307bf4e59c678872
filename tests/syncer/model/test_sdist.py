"""PKG-INFO and pyproject.toml are read out of source distributions, within limits."""

import bz2
import gzip
import io
import tarfile
import zipfile

import pytest

from mirror_syncer.model.sdist import SdistContents, read_sdist
from syncer.site import memory_below

INFO, PYPROJECT = b"Metadata-Version: 2.2\nName: a\n", b"[build-system]\nrequires = []\n"
WHOLE = {"a-1/setup.py": b"raise SystemExit", "a-1/PKG-INFO": INFO, "a-1/pyproject.toml": PYPROJECT}


def gzipped(content: bytes, level: int = 9) -> bytes:
    """Return the same bytes in each process, so that they may name a test."""
    return gzip.compress(content, level, mtime=0)


def tar(members: dict[str, bytes], *, form: int = tarfile.PAX_FORMAT) -> bytes:
    """Return a TAR archive."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    """Return a ZIP archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("filename", "content"),
    [
        ("a-1.tar.gz", gzipped(tar(WHOLE))),
        ("a-1.tgz", gzipped(tar(WHOLE, form=tarfile.GNU_FORMAT))),
        ("a-1.tar.bz2", bz2.compress(tar(WHOLE, form=tarfile.USTAR_FORMAT))),
        ("a-1.tar", tar(WHOLE)),
        ("a-1.zip", zipped(WHOLE)),
        ("A-1.TAR.GZ", gzipped(tar({"docs/" + "long/" * 60 + "x": b"y" * 70_000} | WHOLE))),
        ("a-1.tar.gz", gzipped(tar({f"./{name}": one for name, one in WHOLE.items()}))),
        ("a-1.tar.gz", gzipped(tar(WHOLE | {"a-1/src/a.egg-info/PKG-INFO": b"no", "a-1/b/pyproject.toml": b""}))),
    ],
)
def test_sdist_of_each_kind_is_read(filename: str, content: bytes) -> None:
    """Both files of the top directory are found, whatever the archive's format, order and long names."""
    assert read_sdist(io.BytesIO(content), filename) == SdistContents(INFO, PYPROJECT)


def test_sdist_without_either_file_says_nothing() -> None:
    """An old source distribution has no pyproject.toml; of two top directories neither speaks for the project."""
    old = gzipped(tar({"a-1/PKG-INFO": INFO}))
    two = gzipped(tar(WHOLE | {"b-1/PKG-INFO": b"Name: b"}))

    assert read_sdist(io.BytesIO(old), "a-1.tar.gz") == SdistContents(INFO, None)
    assert read_sdist(io.BytesIO(two), "a-1.tar.gz") == SdistContents(None, PYPROJECT)
    assert read_sdist(io.BytesIO(zipped({})), "a-1.zip") == SdistContents(None, None)


@pytest.mark.parametrize(
    ("filename", "content"),
    [
        ("a-1.tar.gz", b"no gzip"),
        ("a-1.tar.gz", gzipped(tar(WHOLE))[:200]),
        ("a-1.tar.gz", gzipped(b"no tar" * 1000)),
        ("a-1.tar.xz", b"not read"),
        ("a-1.tar.gz", gzipped(tar({"a-1/PKG-INFO": bytes(2**20 + 1)}))),
        ("a-1.tar.gz", gzipped(tar({"a-1/" + "n" * (2**20 + 1): b""} | WHOLE))),
    ],
)
def test_sdist_that_cannot_be_read_is_refused(filename: str, content: bytes) -> None:
    """Damaged archives, unknown formats, and members above the limits have no contents, and raise nothing."""
    assert read_sdist(io.BytesIO(content), filename) is None


@pytest.mark.proves("security/upstream")
def test_sdist_bomb_is_abandoned() -> None:
    """An archive that unpacks to 260 MiB, or to 60,000 members, is abandoned, and held in memory nowhere."""
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1) as packed:
        member = tarfile.TarInfo("a-1/zeros")
        member.size = 260 * 2**20
        packed.write(member.tobuf())
        for _ in range(260):
            packed.write(bytes(2**20))
        packed.write(tar(WHOLE))
    many = gzipped(b"".join(tarfile.TarInfo(f"a-1/{n}").tobuf() for n in range(60_000)) + tar(WHOLE), 1)

    with memory_below(8 * 2**20):
        assert read_sdist(io.BytesIO(file.getvalue()), "a-1.tar.gz") is None
        assert read_sdist(io.BytesIO(many), "a-1.tar.gz") is None


@pytest.mark.proves("security/upstream")
def test_sdist_with_an_endless_sparse_map_is_abandoned() -> None:
    """A sparse member's map, which tarfile keeps in memory, is read up to a limit."""
    headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a", "GNU.sparse.realsize": "1"}
    member = tarfile.TarInfo("a-1/sparse")
    member.pax_headers = headers
    member.size = 8 * 2**20
    content = member.tobuf(tarfile.PAX_FORMAT) + b"99999999\n" + b"0\n" * (4 * 2**20)

    with memory_below(120 * 2**20):
        assert read_sdist(io.BytesIO(gzipped(content)), "a-1.tar.gz") is None
