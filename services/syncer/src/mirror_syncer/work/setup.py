"""What a worker needs to know before its first job, and what it asks its parent for."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from packaging.utils import NormalizedName

from mirror_syncer.model.digests import Unhashed
from mirror_syncer.model.names import PackagePath
from mirror_syncer.model.project import KeptPage, Pending
from mirror_syncer.upstream import Credentials, Limits
from mirror_syncer.work.transfer import STALE_WAITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """
    The same for all workers, but for ``connections`` and ``bandwidth``: each has its share.

    Attributes:
        root: nginx's document root, whose tree the parent has taken.
        connections: to the upstream, at once.
        files_at_once: of one project.
        bandwidth: bytes a second from the upstream; None: as many as come.
    """

    root: Path
    reserve: float
    upstream: str
    user_agent: str
    hosts: frozenset[str]
    connections: int
    files_at_once: int
    bandwidth: int | None = None
    ca_file: Path | None = None
    without_hash: Unhashed = Unhashed.OWN_HOST
    credentials: Credentials | None = None
    limits: Limits = field(default_factory=Limits)
    stale_waits: tuple[float, ...] = STALE_WAITS
    log_level: str = "info"
    log_format: Literal["auto", "console", "json"] = "auto"


class CatalogProxy(Protocol):
    """What a worker asks of the catalog."""

    async def claim(self, intents: Sequence[Pending]) -> set[PackagePath]:
        """Note what is about to be touched; see ``Files.claim``."""

    async def kept(self, name: NormalizedName) -> KeptPage | None:
        """Return upstream's page, as it was kept for a project."""


class Observations(Protocol):
    """Who is told of what goes on between a worker and the upstream."""

    def observe_request(self, endpoint: str, outcome: str, seconds: float) -> None:
        """Take note of a request, by its status or its fault."""

    def count_retry(self, reason: str) -> None:
        """Take note of a further attempt."""
