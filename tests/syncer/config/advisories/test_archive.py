"""Archives of records: every form is read, and a hostile one is refused before it costs anything."""

import gzip
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from mirror_syncer.config.advisories.archive import read_documents
from mirror_syncer.config.advisories.bounds import ArchiveError, Bounds, Budget
from syncer.osv import Record, record, zipped
from syncer.site import memory_below

SMALL = Bounds(
    file_bytes=200_000,
    members=20,
    directory_bytes=5_000,
    member_bytes=20_000,
    content_bytes=60_000,
    ratio=50,
    ratio_from_bytes=5_000,
)
TWO = [record("MAL-2026-1", versions=["1"]), record("MAL-2026-2", versions=["2"])]


def read(content: bytes, directory: Path, *, bounds: Bounds = SMALL, name: str = "feed") -> list[str]:
    """Return the ids of the records in a file, by the content alone."""
    path = directory / name
    path.write_bytes(content)
    return [json.loads(document.content)["id"] for document in read_documents(path, Budget(bounds), name=name)]


def encoded(records: Iterable[Record]) -> list[bytes]:
    """Return records as JSON."""
    return [json.dumps(one).encode() for one in records]


def tarred(members: Iterable[tuple[str, bytes]], *, form: int = tarfile.PAX_FORMAT) -> bytes:
    """Return a tar of named contents."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zip_of(members: Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip of named contents."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def as_tar(form: int) -> Callable[[list[Record]], bytes]:
    """Return a function that writes records as a tar of a format, one below a long path."""
    long = "/".join(["a-directory-with-a-long-name"] * 12)

    def write(records: list[Record]) -> bytes:
        return tarred(
            [(f"{long}/{one['id']}.json", json.dumps(one).encode()) for one in records] + [("README.md", b"# OSV")],
            form=form,
        )

    return write


def halves(content: bytes) -> tuple[bytes, bytes]:
    """Return a content in two parts."""
    return content[:700], content[700:]


FORMS: dict[str, Callable[[list[Record]], bytes]] = {
    "zip": zipped,
    "pax tar": as_tar(tarfile.PAX_FORMAT),
    "gnu tar": as_tar(tarfile.GNU_FORMAT),
    "tar.gz": lambda records: gzip.compress(as_tar(tarfile.GNU_FORMAT)(records)),
    "tar.gz of two members": lambda records: b"".join(
        gzip.compress(part) for part in halves(as_tar(tarfile.PAX_FORMAT)(records))
    ),
    "jsonl": lambda records: b"\n".join(encoded(records)) + b"\n",
    "jsonl without a last line end": lambda records: b"\r\n\r\n".join(encoded(records)),
    "array": lambda records: json.dumps(records, indent=1).encode(),
    "array on a line": lambda records: json.dumps(records).encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read(form: str, tmp_path: Path) -> None:
    """Records come in a zip, a tar or JSON; the content says which, whatever the file is called."""
    assert read(FORMS[form](TWO), tmp_path) == ["MAL-2026-1", "MAL-2026-2"]


@pytest.mark.parametrize("indent", [None, 2])
def test_single_record_is_read(indent: int | None, tmp_path: Path) -> None:
    """A file may be one record, on one line or many, also with a byte order mark."""
    content = b"\xef\xbb\xbf" + json.dumps(TWO[0], indent=indent).encode()

    assert read(content, tmp_path) == ["MAL-2026-1"]


def test_paths_in_an_archive_are_only_words(tmp_path: Path) -> None:
    """A member's path, whatever it says, leads nowhere: nothing is written, and its record is read."""
    (content,) = encoded(TWO[:1])
    inside = tmp_path / "in"
    inside.mkdir()

    for name in ("../../evil.json", "/etc/evil.json", "C:\\evil.json", "a\x1b[2J.json"):
        assert read(zip_of([(name, content)]), inside) == ["MAL-2026-1"]
        assert read(tarred([(name, content)]), inside) == ["MAL-2026-1"]

    assert {path.name for path in tmp_path.rglob("*")} == {"in", "feed"}


def test_links_in_a_tar_are_skipped(tmp_path: Path) -> None:
    """Links and devices in a tar are not followed, nor opened."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE):
            info = tarfile.TarInfo("MAL-1.json")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)

    assert read(buffer.getvalue(), tmp_path) == []


def test_archive_in_an_archive_is_not_opened(tmp_path: Path) -> None:
    """A zip inside a zip, and a tar inside a tar, are skipped."""
    inner = zipped(TWO)

    assert read(zip_of([("inner.zip", inner), ("inner.tar", inner)]), tmp_path) == []
    assert read(tarred([("inner.zip", inner), ("inner.tar", tarred([("a.json", b"{}")]))]), tmp_path) == []


def lying_zip(size: int = 10_000) -> bytes:
    """Return a zip whose directory declares 1,000 bytes for a larger member."""
    content = bytearray(zip_of([("a.json", b"{" + b" " * size + b"}")]))
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = (1_000).to_bytes(4, "little")
    return bytes(content)


SPACES = b'{"id": "MAL-1"' + b" " * 15_000 + b"}"
HOSTILE: dict[str, tuple[bytes, str]] = {
    "zip: large member": (zip_of([("a.json", os.urandom(30_000))]), "a record of more than 20,000 bytes"),
    "zip: high ratio": (zip_of([("a.json", SPACES)]), "more than 50 times its size"),
    "zip: large in sum": (
        zip_of([(f"{number}.json", SPACES) for number in range(9)], zipfile.ZIP_STORED),
        "more than 60,000 bytes of content",
    ),
    "zip: many members": (zip_of([(f"{number}.txt", b"") for number in range(30)]), "more than 20 entries"),
    "zip: large directory": (zip_of([(f"{number}" * 40, b"") for number in range(99)]), "its directory has more than"),
    "zip: lying size": (lying_zip(), "not a whole zip file"),
    "zip: other method": (zip_of([("a.json", b"{}")], zipfile.ZIP_BZIP2), "another way than deflate"),
    "zip: lzma": (zip_of([("a.json", b"{}")], zipfile.ZIP_LZMA), "another way than deflate"),
    "zip: cut": (zipped(TWO)[:-40], "not a whole zip file"),
    "zip: damaged": (
        zip_of([("a.json", b'{"id": "MAL-1"}')], zipfile.ZIP_STORED).replace(b"MAL-1", b"MAL-2"),
        "not a whole zip file",
    ),
    "tar: large member": (tarred([("a.json", b"{" * 30_000)]), "a record of more than 20,000 bytes"),
    "tar: many members": (tarred([(f"{number}.txt", b"") for number in range(30)]), "more than 20 entries"),
    "tar: large long name": (tarred([("a/" * 50_000, b"")]), "more than 60,000 bytes of content"),
    "tar: cut": (tarred([("a.json", b"{}" * 600)])[:1_000], "not a whole tar file"),
    "tar: cut at a block": (tarred([("a.json", b'{"id": "MAL-1"}')])[:1_024], "not a whole tar file"),
    "tar.gz: high ratio": (gzip.compress(tarred([("a.txt", b" " * 30_000)])), "more than 50 times its size"),
    "gzip: high ratio": (gzip.compress(b"{" + b" " * 50_000), "more than 50 times its size"),
    "gzip: cut": (gzip.compress(os.urandom(900))[:-9], "not a whole gzip file"),
    "json: long": (b"{" + b" " * 30_000, "a record of more than 20,000 bytes"),
    "json: long line": (b'{"id": "MAL-1"}\n{' + b" " * 30_000, "a record of more than 20,000 bytes"),
    "json: many lines": (b'{"id": "MAL-1"}\n' * 30, "more than 20 entries"),
    "json: many items": (b"[" + b'{"id": "MAL-1"},' * 30 + b"{}]", "more than 20 entries"),
    "json: deep": (b"[" * 10_000, "not valid JSON"),
    "html": (b"<!DOCTYPE html><title>Sign in</title>", "neither JSON nor a zip or tar file"),
    "empty": (b"", "neither JSON nor a zip or tar file"),
    "large file": (b"{}\n" + b" " * 300_000, "more than 200,000 bytes"),
}


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_advisory_archive_is_refused(kind: str, tmp_path: Path) -> None:
    """A bomb, a damaged archive and other files are refused within the bounds, with file and reason."""
    content, reason = HOSTILE[kind]

    with pytest.raises(ArchiveError, match=f"^feed: .*{reason}"):
        read(content, tmp_path)


def test_lying_archive_costs_no_memory(tmp_path: Path) -> None:
    """A member that unpacks to more than its entry declares is unpacked no further than that."""
    content = lying_zip(30_000_000)

    with memory_below(2_000_000), pytest.raises(ArchiveError, match="not a whole zip file"):
        read(content, tmp_path)


@pytest.mark.parametrize("item", [b"1", b"{}"])
def test_array_of_many_items_costs_no_memory(item: bytes, tmp_path: Path) -> None:
    """An array of a million items is refused before each of them takes 80 bytes."""
    budget = Budget(replace(SMALL, file_bytes=10**7, content_bytes=10**7, member_bytes=10**7))
    path = tmp_path / "feed.json"
    path.write_bytes(b"[" + b",".join([item] * 1_000_000) + b"]")

    with memory_below(40_000_000), pytest.raises(ArchiveError):
        list(read_documents(path, budget, name="feed"))


def test_bounds_hold_for_all_files_together(tmp_path: Path) -> None:
    """A directory of many archives has the same bounds as one."""
    budget = Budget(replace(SMALL, members=3))
    path = tmp_path / "feed.zip"
    path.write_bytes(zipped(TWO))

    assert len(list(read_documents(path, budget, name="feed.zip"))) == 2
    with pytest.raises(ArchiveError, match="more than 3 entries"):
        list(read_documents(path, budget, name="feed.zip"))


def test_pipe_is_not_opened(tmp_path: Path) -> None:
    """A pipe in the directory is refused; opening it would wait for ever."""
    os.mkfifo(tmp_path / "feed.json")

    with pytest.raises(ArchiveError, match="not a regular file"):
        list(read_documents(tmp_path / "feed.json", Budget(SMALL), name="feed.json"))
