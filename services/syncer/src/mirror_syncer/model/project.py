"""The catalog's rows as values, which worker processes use without a database."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from packaging.utils import NormalizedName

from mirror_contract import ProjectState
from mirror_syncer.model.names import PackagePath, Sha256
from mirror_syncer.model.validators import Validators

NO_VALIDATORS = Validators()
GONE = "upstream no longer has it; its page is removed now, its files after the grace period"
GUARDED = "upstream no longer has it; the deletion guard keeps it published"
EMPTIED = "mirror.toml selects none of its published files; the deletion guard keeps them published"
BLOCKED = "blocked in mirror.toml"
UNRESOLVED = "it is published once what it requires is"
UNSELECTED = "no longer selected"
_PAGES = "simple/"
_BACKOFF_SECONDS = 300
_BACKOFF_MOST_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """The stored state of a project."""

    name: NormalizedName
    state: ProjectState = ProjectState.BEHIND
    serial: int | None = None
    """Upstream's serial of the last accepted page, if trusted."""
    own_serial: int | None = None
    """The mirror's own serial, if the published page changed and upstream's serial did not."""
    seen_serial: int | None = None
    """Its serial in upstream's list at the last request."""
    doubted: bool = False
    """Its serial does not reflect its content, so each sync of the whole index requests its page."""
    quarantined: bool = False
    """Its last accepted page was quarantined; upstream's list omits such projects."""
    older_since: int | None = None
    """Since when upstream has served only older pages."""
    validators: Validators = NO_VALIDATORS
    """Those of the page that the published one is made from; none if a 304 must not end the work."""
    fingerprint: str | None = None
    file_count: int = 0
    stored_bytes: int = 0
    withheld_files: int = 0
    """Number of files that the policy left out, held or blocked."""
    held_files: int = 0
    blocked_files: int = 0
    expires_at: int | None = None
    """When time alone changes the decision about its files."""
    missing_files: int = 0
    """Number of files left out because their download failed."""
    lost_files: int = 0
    """Number of published files that upstream's page lacks and the deletion guard keeps."""
    published: bool = False
    attempts: int = 0
    due_at: int | None = None
    checked_at: int | None = None
    changed_at: int | None = None
    error: str | None = None
    page_sha256: str | None = None
    """``PageSet.digest`` of the published page; None if unknown, so that a 304 does not suffice."""
    newest_version: str | None = None
    """The newest version of its published files, for lists; None if unknown."""

    @property
    def published_serial(self) -> int | None:
        """Its serial on the published page and in the project list."""
        return self.serial if self.own_serial is None else self.own_serial

    @property
    def is_only_read(self) -> bool:
        """Whether upstream's page was read, but nothing of it is published yet, since requirements come first."""
        return self.state is ProjectState.BEHIND and not self.published and self.error in (None, UNRESOLVED)

    def next_retry_at(self) -> int:
        """Return the time of the next retry: after 5 minutes, doubled with each failure, at most a day."""
        return int(time.time()) + min(_BACKOFF_SECONDS << min(self.attempts, 20), _BACKOFF_MOST_SECONDS)


@dataclass(frozen=True, slots=True)
class KeptPage:
    """A stored page of upstream, unchanged."""

    name: NormalizedName
    url: str
    content_type: str
    serial: int | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Pending:
    """A file that a publication is about to add or drop; or the project's page."""

    project: NormalizedName
    place: PackagePath
    sha256: Sha256
    withdraw: bool = False
    """It is dropped without a grace period in the document root."""

    @classmethod
    def page(cls, project: NormalizedName) -> "Pending":
        """Return the pending change of a project's page."""
        return cls(project, PackagePath(f"{_PAGES}{project}"), Sha256(""))

    @property
    def is_page(self) -> bool:
        """Whether it is the page, not a file."""
        return self.place.startswith(_PAGES)


@dataclass(frozen=True, slots=True)
class Retirement:
    """A file that its page no longer names, with the time of its removal."""

    project: NormalizedName
    place: PackagePath
    sha256: Sha256
    due_at: int
    withdraw: bool = False
    """Move it aside instead of deleting it, because it may return: it is quarantined or blocked."""
    retired_at: int | None = None
    """Start of its grace period, so that a changed grace period moves ``due_at``; None if it does not."""
    size: int = 0
    """The bytes that its removal frees; 0 if another hard link keeps them."""


@dataclass(frozen=True, slots=True)
class CatalogUpdate:
    """The changes of a project's publication to the catalog, stored once its page is durable."""

    row: ProjectRow
    read: bool = False
    """Upstream's page was downloaded; ``kept`` replaces the stored page."""
    kept: KeptPage | None = None
    retirements: tuple[Retirement, ...] = ()
    returned: tuple[PackagePath, ...] = ()
    """Files published now; a planned removal is cancelled."""
    quarantined: bool = False
    """No file may be served: retired files within their grace period are removed, too."""
    gone: bool = False
    """Upstream answered that it has no such project, but its page is still published."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What became of a project's interrupted publication: its row, files to retire, and files published again."""

    name: NormalizedName
    row: ProjectRow | None
    retirements: Sequence[Retirement]
    returned: Sequence[PackagePath]
