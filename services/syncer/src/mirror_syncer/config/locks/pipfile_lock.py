"""``Pipfile.lock``, which pipenv writes as JSON."""

import json
import re
from typing import Any

from mirror_syncer.config.locks.collector import Collector, Reading
from mirror_syncer.config.locks.problem import WRONG_FILE, LockError

_KIND = "Pipfile.lock"
_VERSION = 6
_KEY = re.compile(r'^\s*"([^"\\\n]+)"\s*:\s*\{', re.MULTILINE)
_ELSEWHERE = {"git": "a git repository", "hg": "a repository", "svn": "a repository", "file": "a URL"}


def read_pipfile_lock(file: str, text: str) -> Reading:
    """
    Return the pins of all categories, such as ``default`` and ``develop``.

    Raises:
        LockError: it is not JSON, not pipenv's, or its format is unknown.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        message = getattr(error, "msg", None) or "nests too deep, or has too long a number"
        raise LockError(file, f"is not JSON: {message}; lock again, or copy the file again", line=line) from error
    meta = document.get("_meta") if isinstance(document, dict) else None
    if not isinstance(meta, dict):
        raise LockError(file, f"is JSON, but not a Pipfile.lock; {WRONG_FILE}")
    if (version := meta.get("pipfile-spec")) != _VERSION:
        raise LockError(file, f"Pipfile.lock version {version!a:.40} is unknown; this mirror reads version {_VERSION}")
    collector, lines, indexes = Collector(file), _lines(text), _indexes(meta.get("sources"))
    for category, packages in document.items():
        if category == "_meta" or not isinstance(packages, dict):
            continue
        for name, package in packages.items():
            _read(collector, name, package if isinstance(package, dict) else {}, lines.get(name), indexes)
    return collector.reading(_KIND)


def _indexes(sources: object) -> dict[str, object]:
    """Return the URLs of indexes by the names that packages give them."""
    named = sources if isinstance(sources, list) else ()
    return {name: one.get("url") for one in named if isinstance(one, dict) and isinstance(name := one.get("name"), str)}


def _read(
    collector: Collector, name: str, package: dict[str, Any], line: int | None, indexes: dict[str, object]
) -> None:
    if elsewhere := next((place for key, place in _ELSEWHERE.items() if key in package), None):
        if project := collector.project(name, line):
            collector.report(f"{project} comes from {elsewhere}, so the mirror does not keep it", line)
        return
    if "path" in package:
        return  # a part of the project itself
    version, hashes = package.get("version"), package.get("hashes")
    if isinstance(version, str) and version.startswith("=="):
        index = package.get("index")
        found = indexes.get(index) if isinstance(index, str) else None
        hashes = hashes if isinstance(hashes, list) else []
        collector.pin(name, version.lstrip("=").strip(), hashes, line, index=found)
    elif project := collector.project(name, line):
        # pipenv writes "*" for what the markers exclude on the machine that locks.
        message = f"{project} has no version, since pipenv locks for one machine; add it to [mirror] projects"
        collector.report(message, line)


def _lines(text: str) -> dict[str, int | None]:
    """Return the line of each key that stands once; a name in two categories has no single line."""
    lines = dict[str, int | None]()
    line, at = 1, 0
    for key in _KEY.finditer(text):
        start = key.start(1)
        line += text.count("\n", at, start)
        at = start
        lines[key[1]] = None if key[1] in lines else line
    return lines
