"""Where advisories come from: a directory, a file, or a URL."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from mirror_syncer.config.advisories.archive import SUFFIXES
from mirror_syncer.config.advisories.download import parse_url, shown_url

DEFAULT_DIRECTORY = "advisories"


class Signature(NamedTuple):
    """The status of a file, which changes when the file does."""

    name: str
    size: int
    mtime_ns: int
    inode: int


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
            ValueError: it is a URL with a mistake or a login.
        """
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
            found = [(entry.name, entry.stat()) for entry in wanted]
        except FileNotFoundError:
            return Listing(problem=f"{self.path} is missing")
        except OSError as error:
            return Listing(problem=f"{self.path} cannot be read ({error.strerror})")
        signatures = (Signature(name, status.st_size, status.st_mtime_ns, status.st_ino) for name, status in found)
        return Listing(tuple(wanted), tuple(signatures))
