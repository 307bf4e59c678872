"""
A member of a plain ZIP archive in memory, found by the archive's central directory (APPNOTE 4.3).

zipfile makes an object for each member: 140 µs for a wheel of 50 files, where this takes 50 µs. Whatever is odd about
an archive is left to zipfile: a comment, ZIP64, bytes before the first member, encryption, another compression, extra
fields, names outside ASCII, members that overlap.
"""

import re
import struct
import zlib
from typing import NamedTuple

# APPNOTE 4.3.16: signature, number of this disk and of the directory's, entries here and in all, the directory's size
# and offset, length of the comment
_END = struct.Struct("<4s4H2LH")
# APPNOTE 4.3.12: signature, version needed, flags, method, time and date, CRC, both sizes, lengths of name, extra field
# and comment, disk, attributes, offset of the local header
_ENTRY = struct.Struct("<4s2xHHH4xLLLHHHH6xL")
# APPNOTE 4.3.7: signature, version, flags, method, time and date, CRC, both sizes, lengths of name and extra field
_LOCAL = struct.Struct("<4s2xHH16xHH")
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 0x2061  # APPNOTE 4.4.4: encrypted, patched, strongly encrypted, its directory masked
_NEWEST_VERSION = 63  # APPNOTE 4.4.3: the last that zipfile reads
_ZIP64 = 0xFFFFFFFF  # APPNOTE 4.4.8: the number is in an extra field


class _OddError(Exception):
    """Only zipfile can read it."""


class _Member(NamedTuple):
    """An entry of the directory, and where the next member begins; places are those in the bytes that are given."""

    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    unpacked: int
    offset: int
    limit: int = 0


def read_plain_member(archive: bytes, name: re.Pattern[bytes], *, max_bytes: int, skipped: int = 0) -> bytes | None:
    """
    Return the only member of an archive with such a name.

    None says nothing about the archive but that zipfile must read it: there may be no such member, or several.

    Args:
        archive: an archive, or its end, if that holds the directory and the member.
        max_bytes: a member that is longer, packed or not, is not read.
        skipped: how many bytes of the archive precede ``archive``.
    """
    try:
        member = _find(archive, name, skipped)
        if max(member.packed, member.unpacked) > max_bytes:
            return None
        return _unpacked(member, _data(archive, member))
    except (_OddError, struct.error, zlib.error):
        return None


def _find(archive: bytes, name: re.Pattern[bytes], skipped: int) -> _Member:
    position, entries, end = _directory(archive, skipped)
    found: list[_Member] = []
    offsets = [position]
    for _ in range(entries):
        signature, version, flags, method, crc, packed, unpacked, length, extra, comment, disk, offset = (
            _ENTRY.unpack_from(archive, position)
        )
        position += _ENTRY.size
        spelled = archive[position : position + length]
        position += length + comment
        _require(signature == b"PK\1\2" and version <= _NEWEST_VERSION and not disk and not extra)
        _require(spelled.isascii() and b"\0" not in spelled)
        offsets.append(offset - skipped)
        if name.fullmatch(spelled):
            _require(_ZIP64 not in (packed, unpacked, offset))
            found.append(_Member(spelled, flags, method, crc, packed, unpacked, offset - skipped))
    _require(position == end and len(found) == 1)
    (member,) = found
    return member._replace(limit=min((other for other in offsets if other > member.offset), default=0))


def _directory(archive: bytes, skipped: int) -> tuple[int, int, int]:
    """Return where the directory begins, how many entries it has, and where it ends."""
    end = len(archive) - _END.size
    signature, *disks, entries, total, size, start, comment = _END.unpack_from(archive, max(0, end))
    start -= skipped
    _require(signature == b"PK\5\6" and not any(disks) and entries == total and not comment)
    _require(start >= 0 and start + size == end)
    _require(not archive[max(0, end - 20) : end].startswith(b"PK\6\7"))  # APPNOTE 4.3.15: ZIP64
    return start, entries, end


def _data(archive: bytes, member: _Member) -> bytes:
    _require(not member.flags & _ENCRYPTED and member.offset >= 0)
    signature, flags, method, length, extra = _LOCAL.unpack_from(archive, member.offset)
    begin = member.offset + _LOCAL.size
    _require(signature == b"PK\3\4" and (flags, method) == (member.flags, member.method))
    _require(archive[begin : begin + length] == member.name)
    begin += length + extra
    _require(begin + member.packed <= member.limit)  # otherwise it overlaps the next one
    return archive[begin : begin + member.packed]


def _unpacked(member: _Member, body: bytes) -> bytes:
    if member.method == _DEFLATED:
        decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
        body = decompressor.decompress(body, member.unpacked + 1)
        _require(decompressor.eof and not decompressor.unused_data)
    else:
        _require(member.method == _STORED)
    _require(len(body) == member.unpacked and zlib.crc32(body) == member.crc)
    return body


def _require(plain: bool) -> None:  # noqa: FBT001 - the one thing that it is given
    if not plain:
        raise _OddError
