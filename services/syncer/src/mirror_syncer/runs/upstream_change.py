"""A change of upstream: how it is detected, and what the catalog then forgets."""

from urllib.parse import urlsplit

import structlog

from mirror_syncer.catalog import Catalog, Fact

log = structlog.get_logger()


def identity(url: str) -> str:
    """Return what identifies an upstream: host, port and path, without user and password."""
    parts = urlsplit(url)
    port = "" if parts.port in (None, 80, 443) else f":{parts.port}"
    path = parts.path.rstrip("/").removesuffix("/simple").rstrip("/")
    return f"{(parts.hostname or '').rstrip('.')}{port}{path}"


def same_upstream(one: str, other: str) -> bool:
    """Return whether two URLs identify the same upstream; the scheme and a final slash do not matter."""
    return identity(one) == identity(other)


def note_upstream(catalog: Catalog, url: str) -> None:
    """
    Record the upstream in the catalog; if it has changed, forget the serials and validators of the old one.

    Published files stay and are not downloaded again. The deletion guard judges what the new upstream lacks.
    """
    before = catalog.recall(Fact.UPSTREAM)
    if before is None and (known := catalog.listing.known()) is not None:
        before = known.origin
    if before is not None and not same_upstream(before, url):
        log.warning("upstream has changed; every project is compared with the new one", old=before, new=url)
        catalog.change_upstream(old=before, new=url)
    elif before != url:
        catalog.remember(Fact.UPSTREAM, url)


def switched_from(catalog: Catalog) -> str | None:
    """Return the previous upstream, until a whole sync has compared all projects with the new one."""
    return catalog.recall(Fact.SWITCHED_FROM) or None


def upstream_changed(old: str, new: str) -> str:
    """Return the remark of a run after a change of upstream."""
    return f"upstream has changed from {old} to {new}; every project is compared with the new one"
