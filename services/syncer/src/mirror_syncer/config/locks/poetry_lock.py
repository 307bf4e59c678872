"""``poetry.lock`` of Poetry 1.1 and newer, and ``pdm.lock``, which has the same packages."""

from collections.abc import Collection

from mirror_syncer.config.locks.collector import Collector, Reading
from mirror_syncer.config.locks.lock_index import PYPI
from mirror_syncer.config.locks.problem import LockError
from mirror_syncer.config.locks.toml_lock import Table, TomlLock, file_hashes, major

_POETRY, _PDM = "poetry.lock", "pdm.lock"
_POETRY_VERSIONS, _PDM_VERSIONS = frozenset({"1", "2"}), frozenset({"4"})
_ELSEWHERE = {"git": "a git repository", "url": "a URL", "hg": "a repository", "svn": "a repository"}
_LOCAL = frozenset({"directory", "file", "path"})  # the project's own parts


def is_poetry_lock(lock: TomlLock) -> bool:
    """Return whether a document has Poetry's form."""
    return "lock-version" in lock.table("metadata")


def is_pdm_lock(lock: TomlLock) -> bool:
    """Return whether a document has PDM's form."""
    return "lock_version" in lock.table("metadata")


def read_poetry_lock(lock: TomlLock) -> Reading:
    """
    Return the pins of all packages; a legacy source is an index, and a package without a source comes from PyPI.

    Raises:
        LockError: its format is unknown.
    """
    metadata = lock.table("metadata")
    _check(lock, _POETRY, metadata["lock-version"], _POETRY_VERSIONS)
    collector, files = Collector(lock.file), metadata.get("files")  # lock-version 1 has them apart, by name
    for package, line in lock.packages("package"):
        source = package.get("source", {"url": PYPI})
        kind, index = (source.get("type"), source.get("url")) if isinstance(source, dict) else (None, None)
        if _is_indexed(collector, package, line, [kind] if isinstance(kind, str) else []):
            name = package.get("name")
            apart = files.get(name) if isinstance(files, dict) and isinstance(name, str) else None
            hashes = file_hashes(package.get("files", apart))
            collector.pin(name, package.get("version"), hashes, line, index=index)
    return collector.reading(_POETRY)


def read_pdm_lock(lock: TomlLock) -> Reading:
    """
    Return the pins of all packages; the files of 1.0+local stand under 1.0.

    Raises:
        LockError: its format is unknown.
    """
    _check(lock, _PDM, lock.table("metadata")["lock_version"], _PDM_VERSIONS)
    collector = Collector(lock.file)
    for package, line in lock.packages("package"):
        if _is_indexed(collector, package, line, package.keys()):
            collector.pin(package.get("name"), package.get("version"), file_hashes(package.get("files")), line)
    return collector.reading(_PDM)


def _check(lock: TomlLock, kind: str, version: object, known: Collection[str]) -> None:
    if major(version) not in known:
        wanted = " and ".join(sorted(known))
        raise LockError(lock.file, f"{kind} version {version!a:.40} is unknown; this mirror reads version {wanted}")


def _is_indexed(collector: Collector, package: Table, line: int | None, sources: Collection[str]) -> bool:
    """Return whether a package comes from an index; report one that comes from elsewhere, but for local parts."""
    elsewhere = next((place for key, place in _ELSEWHERE.items() if key in sources), None)
    if elsewhere and (project := collector.project(package.get("name"), line)):
        collector.report(f"{project} comes from {elsewhere}, so the mirror does not keep it", line)
    return not elsewhere and not any(key in sources for key in _LOCAL)
