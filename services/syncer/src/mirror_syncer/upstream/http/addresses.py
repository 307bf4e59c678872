"""
The choice among a host's addresses: after a failure, the next request goes to another one.

A content delivery network runs many machines behind one name. If one of them answers 502 for hours, a retry on the
open connection reaches the same machine again. libcurl would also open a new connection to the first address in DNS.
"""

import asyncio
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

_AVOIDANCE_SECONDS = 60.0  # doubled with each further failure in a row
_MAX_AVOIDANCE_SECONDS = 3_600.0
_LOOKUP_TTL_SECONDS = 60.0  # as long as libcurl caches DNS results
_MIN_RENEWAL_SECONDS = 5.0  # one page that always fails must not close everybody's connections each time
_LOOKUP_TIMEOUT_SECONDS = 5.0
_MAX_HOSTS = 100
_MAX_ADDRESSES = 64  # of one host


@dataclass(frozen=True, slots=True)
class AddressOverride:
    """
    An invented host name that stands for some of a host's addresses, so that libcurl reuses no other connection.

    Attributes:
        generation: number of this set of addresses; connections of earlier sets are no longer used.
        connect_to: libcurl's CONNECT_TO. Certificates and the Host header stay those of the host.
        resolve: libcurl's RESOLVE.
    """

    generation: int
    connect_to: str
    resolve: str


class NextAttempt(Enum):
    """Where the next request goes after a failure."""

    OTHER_ADDRESS = auto()
    """To another address."""
    NEW_CONNECTION = auto()
    """To the same address, over a new connection."""
    ANY_CONNECTION = auto()
    """To any address; libcurl may reuse the connection that failed."""


@dataclass(slots=True)
class _Avoided:
    """An address that failed; times are those of the monotonic clock."""

    failures: int
    until: float


@dataclass(slots=True)
class _Host:
    """A host that failed recently."""

    addresses: tuple[str, ...] = ()
    looked_up_at: float = 0.0
    avoided: dict[str, _Avoided] = field(default_factory=dict)
    generation: int = 0
    renewed_at: float = float("-inf")
    chosen: tuple[str, ...] = ()
    address_override: AddressOverride | None = None


class Addresses:
    """The hosts that failed recently, by host and port, each with the addresses to avoid for now."""

    def __init__(self) -> None:
        self._hosts: dict[tuple[str, int], _Host] = {}

    def address_override(self, host: str, port: int) -> AddressOverride | None:
        """Return where to connect; None if nothing failed recently and libcurl may choose."""
        if not self._hosts or (known := self._hosts.get((host, port))) is None:
            return None
        now = time.monotonic()
        if now > known.renewed_at + _LOOKUP_TTL_SECONDS and all(one.until < now for one in known.avoided.values()):
            # Keep the count of consecutive failures, so that a machine that still fails is avoided for longer.
            known.address_override, known.chosen = None, ()
        return known.address_override

    async def record_failure(self, host: str, port: int, address: str, *, by: AddressOverride | None) -> NextAttempt:
        """
        Avoid an address after a failure, and return where the next request goes.

        Args:
            by: the override that the failed request used.
        """
        known = self._host(host, port)
        if known is None:
            return NextAttempt.ANY_CONNECTION
        await self._refresh_addresses(host, port, known)
        if address not in known.addresses:
            return NextAttempt.ANY_CONNECTION
        now = time.monotonic()
        before = known.avoided.get(address)
        if before is None or before.until < now:
            failures = 1 if before is None else before.failures + 1
            seconds = min(_MAX_AVOIDANCE_SECONDS, _AVOIDANCE_SECONDS * 2 ** (failures - 1))
            known.avoided[address] = _Avoided(failures, now + seconds)
        good = tuple(one for one in known.addresses if one not in known.avoided or known.avoided[one].until < now)
        chosen = good or known.addresses
        outdated = known.address_override is not None and known.address_override != by
        if chosen != known.chosen or (not outdated and now > known.renewed_at + _MIN_RENEWAL_SECONDS):
            known.generation += 1
            known.renewed_at, known.chosen = now, chosen
            known.address_override = _address_override(host, port, known.generation, chosen)
        elif not outdated:
            return NextAttempt.ANY_CONNECTION
        return NextAttempt.NEW_CONNECTION if address in known.chosen else NextAttempt.OTHER_ADDRESS

    def record_success(self, host: str, port: int, address: str) -> None:
        """Forget an address's failures, once it answers after its period of avoidance."""
        known = self._hosts.get((host, port)) if self._hosts else None
        if (
            known is not None
            and (avoided := known.avoided.get(address)) is not None
            and avoided.until < time.monotonic()
        ):
            del known.avoided[address]

    def _host(self, host: str, port: int) -> _Host | None:
        if (host, port) not in self._hosts and len(self._hosts) >= _MAX_HOSTS:
            return None
        return self._hosts.setdefault((host, port), _Host())

    async def _refresh_addresses(self, host: str, port: int, known: _Host) -> None:
        if known.addresses and time.monotonic() < known.looked_up_at + _LOOKUP_TTL_SECONDS:
            return
        try:
            async with asyncio.timeout(_LOOKUP_TIMEOUT_SECONDS):
                found = await resolve_host(host, port)
        except (OSError, UnicodeError, TimeoutError):
            return  # keep the known addresses; libcurl reports the error
        known.addresses = tuple(dict.fromkeys(found))[:_MAX_ADDRESSES]
        known.looked_up_at = time.monotonic()
        known.avoided = {one: avoided for one, avoided in known.avoided.items() if one in known.addresses}


async def resolve_host(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host, in the order in which to try them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def _address_override(host: str, port: int, generation: int, addresses: Sequence[str]) -> AddressOverride:
    name = f"{generation}.addresses.invalid"  # RFC 6761 reserves .invalid
    wanted = f"[{host}]" if ":" in host else host
    # '+': the entry expires like a DNS result; each request sets it again
    return AddressOverride(generation, f"{wanted}:{port}:{name}:{port}", f"+{name}:{port}:{','.join(addresses)}")
