"""What a worker is given before its first job, and what it asks its parent for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, Self

from packaging.utils import NormalizedName

from mirror_syncer.model.digests import Unhashed
from mirror_syncer.model.names import PackagePath
from mirror_syncer.model.project import KeptPage, Pending
from mirror_syncer.upstream import ClientOptions
from mirror_syncer.work.transfer import STALE_WAITS


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSetup:
    """
    The setup of a worker; picklable, so that it can be sent to a worker process.

    Attributes:
        root: nginx's document root; the parent holds the lock on the tree below it.
        client: how upstream is asked; each worker has its share of the connections and the bandwidth.
        files_at_once: downloads of one project's files that may run together.
    """

    root: Path
    reserve: float
    upstream: str
    client: ClientOptions
    files_at_once: int
    without_hash: Unhashed = Unhashed.OWN_HOST
    stale_waits: tuple[float, ...] = STALE_WAITS
    log_level: str = "info"
    log_format: Literal["auto", "console", "json"] = "auto"

    def share(self, number: int, *, of: int) -> Self:
        """Return the setup of one of several workers; see ``ClientOptions.share``."""
        return replace(self, client=self.client.share(number, of=of))


class CatalogProxy(Protocol):
    """What a worker asks of the catalog."""

    async def claim(self, intents: Sequence[Pending]) -> set[PackagePath]:
        """Record which places are about to change; see ``Files.claim``."""

    async def kept(self, name: NormalizedName) -> KeptPage | None:
        """Return the copy of upstream's page that was kept for a project."""


class Observations(Protocol):
    """Counts what happens between a worker and the upstream."""

    def observe_request(self, endpoint: str, outcome: str, seconds: float) -> None:
        """Record a request by its status or its fault."""

    def count_retry(self, reason: str) -> None:
        """Record a retry."""
