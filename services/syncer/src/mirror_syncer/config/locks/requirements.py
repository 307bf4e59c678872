"""Requirements files whose lines pin versions, as ``pip freeze``, ``pip-compile`` and ``uv export`` write them."""

import posixpath
import re
from collections.abc import Callable, Iterator

from packaging.requirements import Requirement

from mirror_contract.distributions import parse_version
from mirror_syncer.config.locks.collector import Collector, Reading
from mirror_syncer.config.locks.problem import WRONG_FILE, LockError

_KIND = "requirements.txt"
_MAX_FILES = 100  # with all that it includes
_MAX_LINE = 1_000_000  # characters after joining; 10,000 hashes would be less
_MAX_REQUIREMENT = 2_000
_COMMENT = re.compile(r"(?:^|(?<=[ \t]))#.*")
_OPTION = re.compile(r"[ \t](?=-)")  # options follow the requirement
_HASH = re.compile(r"--hash(?:=|[ \t]+)(\S+)")
_INCLUDE = re.compile(r"(?:-[rc][ \t=]*|--(?:requirement|constraint)(?:[ \t]+|=))(.*)")
_EDITABLE = re.compile(r"-e\b|--editable\b")
_PATH = re.compile(r"[./~\\]|[A-Za-z]:[/\\]")
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")

Include = Callable[[str], str]
"""Return the text of another file, by its path relative to the directory of ``mirror.toml``."""


def read_requirements(file: str, text: str, *, include: Include) -> Reading:
    """
    Return the pins of a requirements file and of all that it includes; markers and extras have no effect.

    Raises:
        LockError: no line is a requirement, or an included file cannot be used.
    """
    return _Reader(file, include).read(text)


class _Reader:
    def __init__(self, file: str, include: Include) -> None:
        self._file = file
        self._include = include
        self._collector = Collector(file)
        self._seen = {file}
        self._understood = 0
        self._first_unknown: int | None = None

    def read(self, text: str) -> Reading:
        self._read(self._file, text)
        if self._first_unknown is not None and not self._understood:
            message = (
                "is not a lock that this mirror reads; use uv.lock, poetry.lock, pdm.lock, Pipfile.lock, pylock.toml"
            )
            raise LockError(self._file, f"{message} or requirements with ==", line=self._first_unknown)
        return self._collector.reading(_KIND)

    def _read(self, file: str, text: str) -> None:
        waiting = [(file, text)]
        while waiting:
            file, text = waiting.pop()
            for line, number in _logical_lines(file, text):
                if match := _INCLUDE.fullmatch(line):
                    waiting += self._included(match[1].strip().strip("\"'"), file, number)
                else:
                    self._requirement(line, number, file)

    def _included(self, path: str, file: str, line: int) -> Iterator[tuple[str, str]]:
        self._understood += 1
        if "://" in path:
            self._collector.report("a file at a URL is not read; copy it beside this one", line, file=file)
            return
        inside = posixpath.normpath(posixpath.join(posixpath.dirname(file), path))
        if not path or not path.isprintable() or posixpath.isabs(inside) or inside.split("/")[0] == "..":
            message = "includes a file outside the directory of mirror.toml, which is not read; copy it there"
            self._collector.report(message, line, file=file)
        elif inside not in self._seen:
            self._seen.add(inside)
            if len(self._seen) > _MAX_FILES:
                raise LockError(self._file, f"includes more than {_MAX_FILES} files")
            yield inside, self._include(inside)

    def _requirement(self, line: str, number: int, file: str) -> None:
        if line.startswith("-"):
            if _EDITABLE.match(line):
                self._report("an editable requirement is ignored; no index has it", number, file)
            self._understood += 1  # other options say where pip looks, which has no effect here
            return
        text, *options = _OPTION.split(line, maxsplit=1)
        hashes = _HASH.findall(options[0]) if options else []
        text = text.partition(";")[0].strip()  # without the marker: all machines of a lock count
        is_file = "@" not in text and text.lower().endswith(_ARCHIVES)
        try:
            requirement = Requirement("" if is_file or len(text) > _MAX_REQUIREMENT else text)
        except ValueError:
            if is_file or "://" in text or _PATH.match(text):  # never show a URL's password
                self._report("a requirement by path or URL is ignored; the mirror cannot keep it", number, file)
            else:
                self._first_unknown = self._first_unknown or number
                message = "is not a requirement; write a name and a version, as in idna==3.10"
                self._collector.report(message, number, file=file)
            return
        self._understood += 1
        if requirement.url:
            if project := self._collector.project(requirement.name, number, file=file):
                message = f"{project} comes from a URL, so the mirror does not keep it"
                self._collector.report(message, number, file=file)
            return
        self._pin(requirement, hashes, number, file)

    def _pin(self, requirement: Requirement, hashes: list[str], line: int, file: str) -> None:
        exact = [
            one for one in requirement.specifier if one.operator in {"==", "==="} and not one.version.endswith("*")
        ]
        # Installers compare === as text; a text that is no version can only be kept by hash.
        versions = {parse_version(one.version) for one in exact}
        version = versions.pop() if len(versions) == 1 else None
        others = [one for one in requirement.specifier if one.operator != "==="]
        if version and all(one.contains(version, prereleases=True) for one in others):
            self._collector.pin(requirement.name, str(version), hashes, line, file=file)
        elif hashes:
            self._collector.pin(requirement.name, None, hashes, line, file=file)
        elif project := self._collector.project(requirement.name, line, file=file):
            message = f"{project} is not pinned to one version, so nothing is kept; write {project}==VERSION"
            self._collector.report(message, line, file=file)

    def _report(self, message: str, line: int, file: str) -> None:
        self._understood += 1
        self._collector.report(message, line, file=file)


def _logical_lines(file: str, text: str) -> Iterator[tuple[str, int]]:
    """
    Yield each line that is not empty, with its number; lines that end in a backslash are joined, comments removed.

    A comment ends a joined line, as pip has it.
    """
    parts = list[str]()
    length = first = 0
    for number, raw in enumerate(text.splitlines(), start=1):
        is_comment = raw.lstrip().startswith("#")
        more = raw.endswith("\\") and not is_comment
        first = first if parts else number
        parts.append(raw[:-1] if more else f" {raw}" if is_comment else raw)
        length += len(raw)
        if length > _MAX_LINE:
            raise LockError(file, f"has a line that is too long; {WRONG_FILE}", line=first)
        if not more:
            if line := _COMMENT.sub("", "".join(parts)).strip():
                yield line, first
            parts, length = [], 0
    if line := _COMMENT.sub("", "".join(parts)).strip():
        yield line, first
