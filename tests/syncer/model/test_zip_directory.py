"""A wheel's METADATA is found by its archive's directory alone, and is what zipfile reads."""

import io
import random
import re
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror_syncer.model.wheel import MAX_METADATA_BYTES, read_metadata
from mirror_syncer.model.zip_directory import read_plain_member

WANTED = re.compile(rb"[^/]+\.dist-info/METADATA")
METADATA = "a-1.dist-info/METADATA"
NAMES = (METADATA, "b-1.dist-info/METADATA", "a/b-1.dist-info/METADATA", "a.py", "é-1.dist-info/METADATA", "a/")


def archive(members: list[tuple[str, bytes]], *, method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    """Return a ZIP archive, whose names may repeat."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", method) as written:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            written.writestr(info, content)
        written.comment = comment
    return body.getvalue()


def by_zipfile(content: bytes) -> bytes | None:
    """Return the METADATA as zipfile reads it."""
    return read_metadata(io.BytesIO(content))


def by_directory(content: bytes) -> bytes | None:
    """Return the METADATA as found by the directory."""
    return read_plain_member(content, WANTED, max_bytes=MAX_METADATA_BYTES)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@given(
    members=st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=300)), max_size=6),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
def test_plain_archive_is_read_as_zipfile_reads_it(members: list[tuple[str, bytes]], method: int) -> None:
    """Of an archive with ASCII names, the directory gives what zipfile gives, and nothing where names repeat."""
    content = archive(members, method=method)
    found = by_directory(content)
    assert found in (None, by_zipfile(content))
    if all(name.isascii() for name, _ in members):
        assert found == by_zipfile(content)


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body + b"\0",
        lambda body: b"#!/bin/sh\n" + body,
        lambda body: body[:-2] + b"\1\0",
        lambda body: body[:-10],
        lambda _: archive([(METADATA, b"Name: a")], comment=b"comment"),
        lambda _: archive([(METADATA, b"Name: a")], method=zipfile.ZIP_BZIP2),
        lambda _: b"",
    ],
    ids=["a byte after it", "bytes before it", "a false comment", "cut", "comment", "bzip2", "nothing"],
)
def test_odd_archive_is_left_to_zipfile(change: Callable[[bytes], bytes]) -> None:
    """Whatever is odd about an archive, its directory gives nothing rather than a guess."""
    assert by_directory(change(archive([(METADATA, b"Name: a")]))) is None


def test_member_longer_than_allowed_is_not_read() -> None:
    """A member that is, or claims to be, longer than allowed is not unpacked."""
    content = archive([(METADATA, bytes(2_000))])
    assert read_plain_member(content, WANTED, max_bytes=2_000) == bytes(2_000)
    assert read_plain_member(content, WANTED, max_bytes=1_999) is None


@given(
    members=st.lists(
        st.tuples(st.sampled_from(NAMES[:2]), st.binary(max_size=99)), max_size=4, unique_by=lambda m: m[0]
    ),
    data=st.data(),
)
def test_end_of_an_archive_gives_what_the_whole_gives_or_nothing(
    members: list[tuple[str, bytes]], data: st.DataObject
) -> None:
    """Wherever an archive is cut, its end gives the member that the whole gives; where that is cut off, nothing."""
    content = archive(members)
    skipped = data.draw(st.integers(0, len(content)))
    found = read_plain_member(content[skipped:], WANTED, max_bytes=MAX_METADATA_BYTES, skipped=skipped)
    assert found in (None, by_directory(content))
    assert read_plain_member(content, WANTED, max_bytes=MAX_METADATA_BYTES, skipped=skipped + 1) is None


def test_damaged_archive_gives_what_zipfile_gives_or_nothing() -> None:
    """With any bytes changed, the directory never raises, and never gives what zipfile would not."""
    whole, choose = archive([("a/a.py", b"a" * 90), (METADATA, b"Name: a\n" * 30), ("b.py", b"b")]), random.Random(1)
    read = 0
    for _ in range(3_000):
        body = bytearray(whole)
        for _ in range(choose.randint(1, 3)):
            body[choose.randrange(len(body))] = choose.randrange(256)
        if (found := by_directory(bytes(body))) is not None:
            read += 1
            assert found == by_zipfile(bytes(body))
    assert read > 100
