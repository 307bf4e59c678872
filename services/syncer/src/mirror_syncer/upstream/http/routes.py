"""The allowed destinations of requests and redirects, and the route to each."""

from dataclasses import replace
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from mirror_syncer.errors import RefusedError
from mirror_syncer.upstream.http.credentials import Credentials
from mirror_syncer.upstream.http.hosts import is_allowed
from mirror_syncer.upstream.http.proxies import Proxy, proxy_for

_MIN_ORIGIN_CHARS = len("https://")
_MAX_CACHED_ORIGINS = 100  # pages may spell one host in any number of ways
_PORTS = {"http": 80, "https": 443}


class Route(NamedTuple):
    """The way to an allowed host."""

    host: str
    port: int
    proxy: Proxy | None
    """With its current login; None: no proxy."""


class Routes:
    """
    The allowed hosts of an upstream, and the routes to them.

    Args:
        hosts: each allowed ``host:port``, also for redirects; ``*.domain:port`` allows every host of a domain.
        credentials: may hold the login of a proxy.
    """

    def __init__(self, hosts: frozenset[str], *, credentials: Credentials | None) -> None:
        self._hosts = hosts
        self._credentials = credentials
        self._routes: dict[str, Route] = {}
        """By origin of allowed URLs; without this cache, a twentieth of a sync went into lookups."""

    def check_and_find(self, url: str) -> Route:
        """
        Check that a URL's host is allowed, and return the route to it.

        Raises:
            RefusedError: the host is not allowed.
        """
        slash = url.find("/", _MIN_ORIGIN_CHARS)
        # A URL without a path has no slash, and [:-1] would cut its host.
        origin = url if slash < 0 else url[:slash]
        if (route := self._routes.get(origin)) is None:
            route = self._check(url)
            if len(self._routes) < _MAX_CACHED_ORIGINS:
                self._routes[origin] = route
        proxy = route.proxy
        if proxy is None or proxy.login is not None or self._credentials is None:
            return route
        return route._replace(proxy=replace(proxy, login=self._credentials.proxy_login(proxy.host)))

    def _check(self, url: str) -> Route:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
        if "@" in parts.netloc:
            # The text before an '@' can pose as the host; or it is a login, which must not reach the log or the page.
            raise RefusedError(
                f"{_without_user(url)!r}: refused, because the URL contains a user; put user and password for the "
                "index into MIRROR_UPSTREAM_NETRC"
            )
        if port is None or not is_allowed(parts.hostname or "", port, allowed=self._hosts):
            raise RefusedError(
                f"{url[:200]!r}: host {parts.netloc!r} is not allowed "
                f"(allowed: {', '.join(sorted(self._hosts))}); to allow it, add it to MIRROR_FILE_HOSTS"
            )
        return Route(parts.hostname or "", port, proxy_for(url))


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()[:200]


def resolve_redirect(url: str, location: str) -> str:
    """
    Return the target URL of a redirect; ``Routes.check_and_find`` checks its host.

    Raises:
        RefusedError: the target is not a URL, or leaves https.
    """
    try:
        target = urljoin(url, location)
        _ = urlsplit(target).port  # urlsplit checks the port on access
    except ValueError as error:
        raise RefusedError(f"{url}: redirects to {location[:200]!r}, an invalid URL: {error}") from error
    if url.startswith("https:") and not target.startswith("https:"):
        raise RefusedError(f"{url}: redirects from https to {_without_user(target)!r}")
    return target
