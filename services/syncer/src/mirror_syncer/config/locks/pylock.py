"""``pylock.toml``, the lock that PEP 751 specifies; pip, uv and PDM write it."""

from collections.abc import Iterator

from packaging.pylock import Pylock, PylockUnsupportedVersionError, PylockValidationError

from mirror_syncer.config.locks.collector import Collector, Reading
from mirror_syncer.config.locks.problem import LockError
from mirror_syncer.config.locks.toml_lock import Table, TomlLock

_KIND = "pylock.toml"
_ELSEWHERE = {"vcs": "a repository", "archive": "a URL"}


def is_pylock(lock: TomlLock) -> bool:
    """Return whether a document has the form of PEP 751."""
    return "lock-version" in lock.tables


def read_pylock(lock: TomlLock) -> Reading:
    """
    Return the pins of all packages.

    Packages are read from the raw tables, because PDM exports files of 1.0+local under 1.0, which ``packaging`` refuses
    like pip and uv. That is reported, and the pins count.

    Raises:
        LockError: its format is unknown, or it lists no packages.
    """
    collector = Collector(lock.file)
    try:
        Pylock.from_dict(lock.tables)
    except PylockUnsupportedVersionError as error:
        message = f"lock-version {lock.tables['lock-version']!a:.40} is unknown; this mirror reads version 1"
        raise LockError(lock.file, message) from error
    except PylockValidationError as error:
        if "packages" not in lock.tables:
            raise LockError(lock.file, "lists no packages; lock again") from error
        collector.report(f"pip and uv may refuse this lock ({ascii(str(error))[1:161]}); its pins count", None)
    for package, line in lock.packages("packages"):
        if elsewhere := next((place for key, place in _ELSEWHERE.items() if key in package), None):
            if project := collector.project(package.get("name"), line):
                collector.report(f"{project} comes from {elsewhere}, so the mirror does not keep it", line)
        elif "directory" not in package:
            name, version = package.get("name"), package.get("version")
            collector.pin(name, version, _hashes(package), line, index=package.get("index"))
    return collector.reading(_KIND)


def _hashes(package: Table) -> Iterator[str]:
    wheels = package.get("wheels")
    for file in [package.get("sdist"), *(wheels if isinstance(wheels, list) else [])]:
        hashes = file.get("hashes") if isinstance(file, dict) else None
        if isinstance(hashes, dict):
            yield from (f"{algorithm}:{digest}" for algorithm, digest in hashes.items())
