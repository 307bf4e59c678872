"""``uv.lock``, of projects, workspaces and scripts."""

from mirror_syncer.config.locks.collector import Collector, Reading
from mirror_syncer.config.locks.problem import LockError
from mirror_syncer.config.locks.toml_lock import Table, TomlLock, file_hashes, major

_KIND = "uv.lock"
_VERSION = "1"  # revisions of it stay readable
# The project itself, members of its workspace and files beside it: no index has them.
_LOCAL = frozenset({"virtual", "editable", "directory", "path"})
_ELSEWHERE = {"git": "a git repository", "url": "a URL"}


def is_uv_lock(lock: TomlLock) -> bool:
    """Return whether a document has uv's form; Cargo.lock, too, has a version and packages."""
    return "requires-python" in lock.tables and "version" in lock.tables


def read_uv_lock(lock: TomlLock) -> Reading:
    """
    Return the pins of all packages; uv names one twice if two versions of it are for different machines.

    Raises:
        LockError: its format is unknown, or packages are missing.
    """
    if major(version := lock.tables["version"]) != _VERSION:
        raise LockError(lock.file, f"uv.lock version {version!a:.40} is unknown; this mirror reads version {_VERSION}")
    collector, packages = Collector(lock.file), list(lock.packages("package"))
    if "distribution" in lock.tables:
        raise LockError(lock.file, "an early version of uv wrote this file; lock again with uv 0.4 or newer")
    _check_complete(lock, [package for package, _ in packages])
    for package, line in packages:
        source = package.get("source")
        source = source if isinstance(source, dict) else {}
        if elsewhere := next((place for key, place in _ELSEWHERE.items() if key in source), None):
            if project := collector.project(package.get("name"), line):
                collector.report(f"{project} comes from {elsewhere}, so the mirror does not keep it", line)
        elif not _LOCAL & source.keys():
            hashes = [*file_hashes(package.get("sdist")), *file_hashes(package.get("wheels", []))]
            name, version = package.get("name"), package.get("version")
            collector.pin(name, version, hashes, line, index=source.get("registry"))
    return collector.reading(_KIND)


def _check_complete(lock: TomlLock, packages: list[Table]) -> None:
    """Refuse a file that is cut between two packages, such as a copy under way; uv refuses it, too."""
    names = {package.get("name") for package in packages if isinstance(package.get("name"), str)}
    for package in packages:
        dependencies = package.get("dependencies")
        for needed in dependencies if isinstance(dependencies, list) else ():
            name = needed.get("name") if isinstance(needed, dict) else None
            if isinstance(name, str) and name not in names:
                message = f"is incomplete: {package.get('name')} depends on {name!a:.80}, which it does not contain"
                raise LockError(lock.file, f"{message}; copy it again")
