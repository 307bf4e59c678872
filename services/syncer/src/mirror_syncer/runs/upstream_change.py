"""Which upstream a URL stands for, and what the catalog forgets when it becomes another one."""

from urllib.parse import urlsplit

import structlog

from mirror_syncer.catalog import Catalog, Fact

log = structlog.get_logger()


def identity(url: str) -> str:
    """Return what upstreams are told apart by: host, port and path, without user and password."""
    parts = urlsplit(url)
    port = "" if parts.port in (None, 80, 443) else f":{parts.port}"
    path = parts.path.rstrip("/").removesuffix("/simple").rstrip("/")
    return f"{(parts.hostname or '').rstrip('.')}{port}{path}"


def same_upstream(one: str, other: str) -> bool:
    """Return whether two URLs are of one upstream: over HTTP or HTTPS, with a slash at the end or without."""
    return identity(one) == identity(other)


def note_upstream(catalog: Catalog, url: str) -> None:
    """
    Remember which upstream the catalog is of; where it is another one than before, forget what only the old one said.

    What is published stays, and its files are not fetched again. What the new upstream lacks is for the deletion guard
    to judge.
    """
    before = catalog.recall(Fact.UPSTREAM)
    if before is None and (known := catalog.listing.last()) is not None:
        before = known.origin
    if before is not None and not same_upstream(before, url):
        log.warning("upstream has changed; nothing of the old one is held against it", old=before, new=url)
        catalog.change_upstream(old=before, new=url)
    elif before != url:
        catalog.remember(Fact.UPSTREAM, url)


def switched_from(catalog: Catalog) -> str | None:
    """Return the upstream of before, until a whole sync has gone through all projects with the new one."""
    return catalog.recall(Fact.SWITCHED_FROM) or None


def upstream_changed(old: str, new: str) -> str:
    """Return what a run says of a changed upstream."""
    return f"upstream has changed from {old} to {new}; every project is compared with the new one"
