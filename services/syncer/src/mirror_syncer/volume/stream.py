"""A page too long for memory: written as it is rendered, published like any other."""

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
    One form of a page, and its ``.gz`` twin, growing side by side.

    Args:
        plain, twin: where they grow.
    """

    def __init__(self, plain: Path, twin: Path, *, durability: Durability) -> None:
        self._paths = plain, twin
        self._durability = durability
        self._packer = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, GZIP)  # whose header holds no time
        self._digest = hashlib.sha256()
        with explain_disk_errors(plain):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            raws = [io.FileIO(os.open(path, flags, 0o644), "wb") for path in self._paths]
            self._files = [io.BufferedWriter(raw, 2**20) for raw in raws]

    def write(self, text: str) -> None:
        """Add to it."""
        body = text.encode()
        self._digest.update(body)
        with explain_disk_errors(self._paths[0]):
            self._files[0].write(body)
            self._files[1].write(self._packer.compress(body))

    def close(self) -> None:
        """Write nothing more; what is not written yet is lost."""
        for file in self._files:
            with suppress(OSError):
                file.raw.close()  # a buffer that is closed itself would be written first

    def finish(self, *, mtime: int) -> tuple[str, bool]:
        """Close it; return the digest of the plain form, and whether the twin is worth keeping."""
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
    """A page in both formats, each written in pieces; ``finish`` returns what to publish, or to discard."""

    def __init__(self, directory: Path, *, durability: Durability) -> None:
        self._directory = directory
        self._durability = durability
        with explain_disk_errors(directory):
            self._times = mtimes(directory)
        self.html = self._form("index.html")
        self.json = self._form("index.v1_json")

    def finish(self) -> tuple[StagedPages, str]:
        """Close it; return the page, and a digest of all it says."""
        digests = []
        names: list[str] = []
        for form, name in ((self.html, "index.html"), (self.json, "index.v1_json")):
            digest, twin = form.finish(mtime=self._times[name])
            digests.append(digest)
            names += [f"{name}.gz", name] if twin else [name]
        staged = StagedPages(self._directory, names=names)
        return staged, digest_of(digests)

    def discard(self) -> None:
        """Take it back; on a full disk its bytes are wanted at once."""
        for form in (self.html, self.json):
            form.close()
        with explain_disk_errors(self._directory):
            discard_temporaries(self._directory)

    def _form(self, name: str) -> StreamedForm:
        paths = (temporary(self._directory, name), temporary(self._directory, f"{name}.gz"))
        return StreamedForm(*paths, durability=self._durability)


def digest_of(forms: Iterable[str]) -> str:
    """Return the digest of a page as a whole, of its forms' digests: HTML's, then JSON's."""
    return hashlib.sha256("".join(forms).encode()).hexdigest()
