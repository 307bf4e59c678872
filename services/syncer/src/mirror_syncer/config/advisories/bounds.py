"""Bounds for reading advisories: any of their sources is untrusted."""

from dataclasses import dataclass

from mirror_syncer.errors import MirrorError


class ArchiveError(MirrorError, ValueError):
    """A file cannot be read as an archive, or exceeds a bound."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """
    Bounds of all files of a source together, except where a field says otherwise.

    PyPI's part of OSV has 25,000 records in 32 MB, which are 150 MB of JSON.
    """

    file_bytes: int = 512 * 2**20
    """For one file on the disk, or a download."""
    members: int = 300_000
    directory_bytes: int = 16 * 2**20
    """For the directory of a zip, which is in memory as a whole."""
    member_bytes: int = 16 * 2**20
    """For one document."""
    content_bytes: int = 2**30
    """For the content of all files, decompressed."""
    entries: int = 3_000_000
    """Versions, events and aliases in all records; PyPI's part of OSV has some 500,000. They take 20 s."""
    ratio: int = 200
    """Of the decompressed size to the compressed one. Deflate reaches 1,032, JSON of records about 20."""
    ratio_from_bytes: int = 2**20
    """Smaller content may have any ratio."""


class Budget:
    """What has been read of a source so far, against its bounds."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self._members = 0
        self._content = 0
        self._entries = 0

    def add_member(self) -> None:
        """Count an entry of an archive, a line, or a file."""
        self._members += 1
        if self._members > self.bounds.members:
            raise ArchiveError(f"more than {self.bounds.members:,} entries")

    def add_content(self, count: int) -> None:
        """Count decompressed bytes."""
        self._content += count
        if self._content > self.bounds.content_bytes:
            raise ArchiveError(f"more than {self.bounds.content_bytes:,} bytes of content")

    def add_entries(self, count: int) -> None:
        """Count versions, events and aliases."""
        self._entries += count
        if self._entries > self.bounds.entries:
            raise ArchiveError(f"more than {self.bounds.entries:,} versions, events and aliases")

    def check_member(self, size: int) -> None:
        """Check the size of one document."""
        if size > self.bounds.member_bytes:
            raise ArchiveError(f"a record of more than {self.bounds.member_bytes:,} bytes")

    def check_ratio(self, content: int, compressed: int) -> None:
        """Check how much a file expands."""
        if content > self.bounds.ratio_from_bytes and content > compressed * self.bounds.ratio:
            raise ArchiveError(f"it expands to more than {self.bounds.ratio} times its size")
