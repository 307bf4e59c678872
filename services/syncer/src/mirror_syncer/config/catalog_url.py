"""The URL of the catalog's database on PostgreSQL."""

from urllib.parse import parse_qsl, urlsplit

_MESSAGE = "must be a URL such as postgresql://mirror@db.example.org:5432/mirror; empty: SQLite in MIRROR_STATE"
# libpq's names. Only these: others could hold a password, or change how the syncer uses its connections.
_PARAMETERS = frozenset({"host", "sslmode", "sslrootcert", "sslcert", "sslkey"})


def check_catalog_url(url: str) -> str:
    """
    Return a URL of PostgreSQL.

    Raises:
        ValueError: it is none, or has a password, which logs and ``docker inspect`` would show.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(_MESSAGE) from None  # its own words quote the value
    if parts.password is not None:
        raise ValueError(
            "must have no password, which logs would show; write it into a file: MIRROR_CATALOG_PASSWORD_FILE"
        )
    names = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    if unknown := names - _PARAMETERS:
        shown = ", ".join(sorted(_PARAMETERS))
        raise ValueError(f"has {len(unknown)} unknown parameter(s); known are {shown}")
    has_host = bool(parts.hostname) or "host" in names
    has_database = parts.path.strip("/") and "/" not in parts.path[1:]
    if parts.scheme != "postgresql" or not parts.username or not has_host or not has_database or port == 0:
        raise ValueError(_MESSAGE)
    return url
