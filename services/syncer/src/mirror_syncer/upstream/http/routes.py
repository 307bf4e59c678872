"""Where a request may go, along redirects as well, and by which proxy."""

from dataclasses import replace
from urllib.parse import urljoin, urlsplit

from mirror_syncer.errors import RefusedError
from mirror_syncer.upstream.http.credentials import Credentials
from mirror_syncer.upstream.http.hosts import is_allowed
from mirror_syncer.upstream.http.proxies import Proxy, proxy_for

_MIN_ORIGIN_CHARS = len("https://")
_MAX_CACHED_ORIGINS = 100  # origins: pages may write one host in any number of ways


class Routes:
    """
    The ways to an upstream.

    Args:
        hosts: each ``host:port`` that may be asked, redirects included; ``*.domain:port`` is every host of a domain.
        credentials: what may have a proxy's login.
    """

    def __init__(self, hosts: frozenset[str], *, credentials: Credentials | None) -> None:
        self._hosts = hosts
        self._credentials = credentials
        self._proxies: dict[str, Proxy | None] = {}
        """By scheme and host of what may be asked; looking each up took a twentieth of a sync."""

    def proxy(self, url: str) -> Proxy | None:
        """
        Return the proxy that a URL is asked by, with the login that is in force now; None: no proxy.

        Raises:
            RefusedError: the URL's host may not be asked at all.
        """
        slash = url.find("/", _MIN_ORIGIN_CHARS)
        # A URL that is an origin alone has no slash; what lacks its last character is another host's.
        origin = url if slash < 0 else url[:slash]
        if origin in self._proxies:
            proxy = self._proxies[origin]
        else:
            self._check(url)
            proxy = proxy_for(url)
            if len(self._proxies) < _MAX_CACHED_ORIGINS:
                self._proxies[origin] = proxy
        if proxy is None or proxy.login is not None or self._credentials is None:
            return proxy
        return replace(proxy, login=self._credentials.proxy_login(proxy.host))

    def _check(self, url: str) -> None:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        # No user in a URL: what stands before an '@' is there for readers who take it for the host.
        if port is None or "@" in parts.netloc or not is_allowed(parts.hostname or "", port, allowed=self._hosts):
            raise RefusedError(
                f"{url[:200]!r}: {parts.netloc!r} is not a host of this upstream "
                f"({', '.join(sorted(self._hosts))}); if files may come from there, add it to MIRROR_FILE_HOSTS"
            )


def resolve_redirect(url: str, location: str) -> str:
    """
    Return where a redirect leads; whether that host may be asked is for ``Routes.proxy`` to say.

    Raises:
        RefusedError: to no URL, or from https to what others can read.
    """
    try:
        target = urljoin(url, location)
        _ = urlsplit(target).port  # one past 65535 is found out only when it is asked for
    except ValueError as error:
        raise RefusedError(f"{url}: redirects to {location[:200]!r}, which is no URL: {error}") from error
    if url.startswith("https:") and not target.startswith("https:"):
        raise RefusedError(f"{url}: redirects from https to {target[:200]!r}")
    return target
