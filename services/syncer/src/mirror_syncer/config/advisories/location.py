"""Where advisories come from: a directory, a file, or a URL."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple, Self

from mirror_syncer.config.advisories.download import parse_url, shown_url

DEFAULT_DIRECTORY = "advisories"
SUFFIXES = (".json", ".jsonl", ".zip", ".tar", ".tar.gz", ".tgz")
STALE_AFTER = timedelta(days=7)


class Signature(NamedTuple):
    """The status of a file, which changes when the file does."""

    name: str
    size: int
    mtime_ns: int
    ctime_ns: int
    """A copy may keep the old mtime, and chmod changes nothing else."""
    inode: int
    error: int = 0
    """Why its status cannot be asked for; reading it will tell."""


class Listing(NamedTuple):
    """The files of a location."""

    files: tuple[Path, ...] = ()
    signatures: tuple[Signature, ...] = ()
    problem: str | None = None
    """Why they cannot be listed."""


@dataclass(frozen=True, slots=True)
class Location:
    """A directory, a file, or a URL."""

    path: Path | None
    """None: a URL."""
    url: str = ""
    optional: bool = False
    """Whether the directory may be missing or empty, because ``mirror.toml`` does not name it."""

    @classmethod
    def parse(cls, text: str | None, *, beside: Path) -> Self:
        """
        Return the location that ``source`` names; without one, the directory ``advisories``, which may be missing.

        Args:
            beside: ``mirror.toml``; a relative path is relative to its directory.

        Raises:
            ValueError: it is a URL with a mistake or a login, or no file can have the name.
        """
        if text is not None and not text.isprintable():
            raise ValueError("must be a path or a URL without control characters")
        if text is None:
            return cls(beside.parent / DEFAULT_DIRECTORY, optional=True)
        if "://" in text:
            return cls(None, parse_url(text))
        return cls(beside.parent / text)

    def __str__(self) -> str:
        return shown_url(self.url) if self.path is None else str(self.path)

    def list_files(self) -> Listing:
        """Return the files in the order of their names, without reading them; a URL has none."""
        if self.path is None:
            return Listing()
        try:
            entries = sorted(self.path.iterdir()) if self.path.is_dir() else [self.path]
            wanted = [
                entry
                for entry in entries
                if entry == self.path or (entry.name.endswith(SUFFIXES) and not entry.name.startswith("."))
            ]
            if wanted == [self.path]:
                self.path.stat()
        except FileNotFoundError:
            return Listing(problem=f"{self.path} is missing")
        except OSError as error:
            return Listing(problem=f"{self.path} cannot be read ({error.strerror})")
        return Listing(tuple(wanted), tuple(map(_sign, wanted)))


def _sign(path: Path) -> Signature:
    try:
        found = path.stat()
    except OSError as error:  # a symlink to nowhere, or a file that was replaced just now
        return Signature(path.name, 0, 0, 0, 0, error.errno or -1)
    return Signature(path.name, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
