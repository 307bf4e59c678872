"""A page too large for memory: written while it is rendered, and published like any other."""

import hashlib
import io
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from isal import isal_zlib

from mirror_syncer.volume.disk import explain_disk_errors
from mirror_syncer.volume.durability import Durability
from mirror_syncer.volume.hashing import GZIP
from mirror_syncer.volume.pages import StagedPages, discard_temporaries, mtimes, saves_packet, temporary

_LEVEL = 1  # isal's: 90 MB of project list in 0.5 s, where zlib's 6 takes 1.4 s


class StreamedForm:
    """
    One form of a page and its ``.gz`` twin, written in parallel.

    Args:
        plain, twin: their paths.
    """

    def __init__(self, plain: Path, twin: Path, *, durability: Durability) -> None:
        self._paths = plain, twin
        self._durability = durability
        self._packer = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, GZIP)  # its gzip header contains no time
        self._digest = hashlib.sha256()
        with explain_disk_errors(plain):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            raws = [io.FileIO(os.open(path, flags, 0o644), "wb") for path in self._paths]
            self._files = [io.BufferedWriter(raw, 2**20) for raw in raws]

    def write(self, text: str) -> None:
        """Append text."""
        body = text.encode()
        self._digest.update(body)
        with explain_disk_errors(self._paths[0]):
            self._files[0].write(body)
            self._files[1].write(self._packer.compress(body))

    def close(self) -> None:
        """Close both files without writing buffered text."""
        for file in self._files:
            with suppress(OSError):
                file.raw.close()  # closing the buffer would write it first

    def finish(self, *, mtime: int) -> tuple[str, bool]:
        """Complete and close both; return the digest of the plain form, and whether the twin was kept."""
        with explain_disk_errors(self._paths[0]):
            self._files[1].write(self._packer.flush())
            sizes = []
            for file in self._files:
                file.flush()
                sizes.append(file.tell())
                os.utime(file.fileno(), (mtime, mtime))
                self._durability.file_written(file.fileno())
                file.close()
            twin = saves_packet(plain=sizes[0], packed=sizes[1])
            if not twin:
                self._paths[1].unlink()
        return self._digest.hexdigest(), twin


class StreamedPages:
    """A page in both formats, each written in pieces; ``finish`` returns the staged page."""

    def __init__(self, directory: Path, *, durability: Durability) -> None:
        self._directory = directory
        self._durability = durability
        with explain_disk_errors(directory):
            self._times = mtimes(str(directory))
        self.html = self._form("index.html")
        self.json = self._form("index.v1_json")

    def finish(self) -> tuple[StagedPages, str]:
        """Close it; return the staged page and its digest."""
        digests = []
        names: list[str] = []
        for form, name in ((self.html, "index.html"), (self.json, "index.v1_json")):
            digest, twin = form.finish(mtime=self._times[name])
            digests.append(digest)
            names += [f"{name}.gz", name] if twin else [name]
        staged = StagedPages(str(self._directory), names=names)
        return staged, digest_of(digests)

    def discard(self) -> None:
        """Remove it at once, because a full disk needs the space."""
        for form in (self.html, self.json):
            form.close()
        with explain_disk_errors(self._directory):
            discard_temporaries(str(self._directory))

    def _form(self, name: str) -> StreamedForm:
        directory = str(self._directory)
        paths = (Path(temporary(directory, name)), Path(temporary(directory, f"{name}.gz")))
        return StreamedForm(*paths, durability=self._durability)


def digest_of(forms: Iterable[str]) -> str:
    """Return the digest of a whole page, computed from the digests of its HTML and its JSON form."""
    return hashlib.sha256("".join(forms).encode()).hexdigest()
