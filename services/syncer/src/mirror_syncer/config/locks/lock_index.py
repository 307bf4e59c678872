"""
The indexes that a lock names: only one of them can be what this mirror mirrors.

A package from another index is often the operator's own. Upstream must not be asked for its name, and what others have
uploaded there under that name must not be mirrored.
"""

from collections import Counter
from collections.abc import Iterable
from urllib.parse import urlsplit

PYPI = "https://pypi.org/simple"
_PYPI_HOSTS = frozenset({"pypi.org", "pypi.python.org"})


def index_name(index: object) -> str | None:
    """Return an index as it is compared and shown: without a password; None: the lock names none."""
    if not isinstance(index, str) or not index.strip():
        return None
    try:
        url = urlsplit(index.strip())
        host, port = url.hostname, url.port
    except ValueError:
        return None
    if host is None:
        return url.path.strip("/") or None
    if host in _PYPI_HOSTS:
        return PYPI
    path = url.path.rstrip("/")
    return f"{url.scheme}://{host}{path}" if port is None else f"{url.scheme}://{host}:{port}{path}"


def mirrored_indexes(indexes: Iterable[str]) -> frozenset[str]:
    """
    Return the indexes of a lock that this mirror may stand for, given the index of each package.

    That is PyPI if the lock names it, else the index that most packages come from: this mirror itself, or another one.
    Where several have as many packages, each may be it.
    """
    counts = Counter(indexes)
    if PYPI in counts:
        return frozenset({PYPI})
    most = max(counts.values(), default=0)
    return frozenset(index for index, count in counts.items() if count == most)
