"""The patterns of ``[dependencies] locks``, and the files that they match."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

_MAX_LENGTH = 500
_MAX_PARTS = 16
_MAX_ENTRIES = 100_000  # that one look at the directories may see
_MAGIC = frozenset("*?[")
_ANY_DEPTH = "**"
MISSING = "is missing"


def parse_lock_pattern(text: str) -> str:
    """
    Return a pattern such as ``locks/*.lock``, relative to the directory of ``mirror.toml``.

    Raises:
        ValueError: it is not relative, or could leave the directory.
    """
    parts = text.split("/")
    if not text or text.startswith(("/", "~")) or ".." in parts or "" in parts or "." in parts:
        raise ValueError('must be a path below the directory of mirror.toml, as in "locks/*.lock"')
    if not text.isprintable() or "\\" in text or len(text) > _MAX_LENGTH or len(parts) > _MAX_PARTS:
        raise ValueError('must be a plain path with "/" and *, as in "locks/*.lock"')
    if any(_ANY_DEPTH in part and part != _ANY_DEPTH for part in parts) or parts.count(_ANY_DEPTH) > 1:
        raise ValueError('** stands alone for any directories, and once, as in "locks/**/uv.lock"')
    return text


@dataclass(slots=True)
class Matches:
    """The files that patterns match at one time."""

    files: list[str] = field(default_factory=list)
    """Relative to the directory, sorted; a directory among them is one that a pattern names."""
    silent: list[str] = field(default_factory=list)
    """Patterns that match nothing."""
    unlisted: dict[str, str] = field(default_factory=dict)
    """Directories of patterns that cannot be listed, each with the reason."""
    unprintable: list[str] = field(default_factory=list)
    """Names that no message can show, escaped; such files are not read."""


def find_files(directory: Path, patterns: Iterable[str]) -> Matches:
    """Return the files below a directory that match any of the patterns; as in a shell, ``*`` skips hidden files."""
    return _Finder(directory).find(patterns)


class _Finder:
    def __init__(self, directory: Path) -> None:
        self._directory = os.fspath(directory)
        self._matches = Matches()
        self._entries = 0

    def find(self, patterns: Iterable[str]) -> Matches:
        files = set[str]()
        for pattern in dict.fromkeys(patterns):
            found = set[str]()
            self._walk("", pattern.split("/"), found)
            if not found:
                self._matches.silent.append(pattern)
            files |= found
        self._matches.files = sorted(filter(str.isprintable, files))
        self._matches.unprintable = sorted(ascii(file) for file in files if not file.isprintable())
        return self._matches

    def _walk(self, base: str, parts: list[str], found: set[str]) -> None:
        head, *rest = parts
        if head == _ANY_DEPTH:
            for below in self._directories_below(base):
                self._walk(below, rest or ["*"], found)
        elif not _MAGIC & set(head):
            path = _join(base, head)
            if rest:
                self._walk(path, rest, found)
            elif self._exists(path, base):
                found.add(path)
        else:
            for entry in self._list(base):
                is_hidden = entry.name.startswith(".") and not head.startswith(".")
                if is_hidden or not fnmatchcase(entry.name, head):
                    continue
                if rest and _is_directory(entry):
                    self._walk(_join(base, entry.name), rest, found)
                elif not rest and not _is_directory(entry):
                    found.add(_join(base, entry.name))

    def _directories_below(self, base: str) -> list[str]:
        below = [base]
        for path in below:
            below += [
                _join(path, entry.name)
                for entry in self._list(path)
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
            ]
        return below

    def _list(self, base: str) -> "list[os.DirEntry[str]]":
        try:
            with os.scandir(os.path.join(self._directory, base)) as entries:  # noqa: PTH118 - base may be empty
                listed = []
                for entry in entries:
                    self._entries += 1
                    if self._entries > _MAX_ENTRIES:
                        self._matches.unlisted["."] = f"has more than {_MAX_ENTRIES:,} files"
                        break
                    listed.append(entry)
                return listed
        except OSError as error:
            self._matches.unlisted[base or "."] = _reason(error)
            return []

    def _exists(self, path: str, base: str) -> bool:
        try:
            os.lstat(os.path.join(self._directory, path))  # noqa: PTH118
        except FileNotFoundError as error:
            if not os.path.isdir(os.path.join(self._directory, base)):  # noqa: PTH112, PTH118
                self._matches.unlisted[base or "."] = _reason(error)
            return False
        except OSError as error:
            self._matches.unlisted[base or "."] = _reason(error)
            return False
        return True


def is_match(file: str, pattern: str) -> bool:
    """Return whether a pattern names a file, whether it exists or not."""
    return _is_match(file.split("/"), pattern.split("/"))


def is_below(file: str, directory: str) -> bool:
    """Return whether a file lies below a directory, at any depth; both are relative, and ``.`` is the whole."""
    return directory == "." or file.startswith(f"{directory}/")


def _is_match(file: list[str], pattern: list[str]) -> bool:
    if not file or not pattern:
        return not file and not pattern
    if pattern[0] == _ANY_DEPTH:
        rest = pattern[1:] or ["*"]
        return any(_is_match(file[start:], rest) for start in range(len(file)))
    return fnmatchcase(file[0], pattern[0]) and _is_match(file[1:], pattern[1:])


def _is_directory(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a symlink to itself; reading it tells why
        return False


def _join(base: str, name: str) -> str:
    return f"{base}/{name}" if base else name


def _reason(error: OSError) -> str:
    return MISSING if isinstance(error, FileNotFoundError) else f"cannot be listed ({error.strerror})"
