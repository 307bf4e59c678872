"""How upstream is asked: made once from the settings, and passed on whole to libcurl."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from mirror_syncer.upstream.http.credentials import Credentials
from mirror_syncer.upstream.http.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """
    The options of an HTTP client.

    Attributes:
        hosts: each ``host:port`` that may be asked, redirects included; ``*.domain:port`` is every host of a domain.
        connections: to all hosts together.
        bandwidth: bytes per second of all requests together; None: unlimited.
        ca_file: certificate authorities to trust in addition to the system's.
        credentials: logins for the upstream and its proxies.
    """

    user_agent: str
    hosts: frozenset[str]
    connections: int
    bandwidth: int | None = None
    ca_file: Path | None = None
    credentials: Credentials | None = None
    limits: Limits = field(default_factory=Limits)

    def share(self, number: int, *, of: int) -> Self:
        """Return the options of one of several clients that together keep to these."""
        return replace(
            self,
            connections=_share(self.connections, number, of=of),
            bandwidth=self.bandwidth and _share(self.bandwidth, number, of=of),
        )


def _share(whole: int, number: int, *, of: int) -> int:
    """Return one share of a whole number; the shares add up to it."""
    return whole // of + (number < whole % of)
