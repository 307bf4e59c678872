"""Requirements files whose lines pin versions, as ``pip freeze``, ``pip-compile`` and ``uv export`` write them."""

import posixpath
from collections.abc import Callable, Iterator, Sequence

from packaging.requirements import Requirement

from mirror_contract.distributions import parse_version
from mirror_syncer.config.locks.collector import Collector, Reading
from mirror_syncer.config.locks.problem import LockError
from mirror_syncer.config.locks.requirement_lines import LineKind, RequirementLine, read_requirement_lines

_KIND = "requirements.txt"
_MAX_FILES = 100  # with all that it includes
_MAX_REQUIREMENT = 2_000

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
            for line in read_requirement_lines(file, text):
                match line.kind:
                    case LineKind.INCLUDE | LineKind.CONSTRAINTS:
                        waiting += self._included(line.text, file, line.number)
                    case LineKind.EDITABLE:
                        self._report("an editable requirement is ignored; no index has it", line.number, file)
                    case LineKind.LOCATION:  # never show a URL's password
                        message = "a requirement by path or URL is ignored; the mirror cannot keep it"
                        self._report(message, line.number, file)
                    case LineKind.OPTION:
                        self._understood += 1  # other options say where pip looks, which has no effect here
                    case LineKind.REQUIREMENT:
                        self._requirement(line, file)

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

    def _requirement(self, line: RequirementLine, file: str) -> None:
        text, number = line.text.partition(";")[0].strip(), line.number  # all machines of a lock count
        try:
            requirement = Requirement("" if len(text) > _MAX_REQUIREMENT else text)
        except ValueError:
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
        self._pin(requirement, line.hashes, number, file)

    def _pin(self, requirement: Requirement, hashes: Sequence[str], line: int, file: str) -> None:
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
