"""The catalog's rows as values; worker processes know these, and no database."""

import time
from dataclasses import dataclass

from packaging.utils import NormalizedName

from mirror_contract import ProjectState
from mirror_syncer.model.names import PackagePath, Sha256
from mirror_syncer.model.validators import Validators

NO_VALIDATORS = Validators()
GONE = "upstream no longer has it; its page is removed now, its files after the grace period"
GUARDED = "upstream no longer has it; the deletion guard keeps it published"
UNSELECTED = "no longer selected in mirror.toml"
_PAGES = "simple/"
_BACKOFF_SECONDS = 300
_BACKOFF_MOST_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """What is known of a project between runs."""

    name: NormalizedName
    state: ProjectState = ProjectState.BEHIND
    serial: int | None = None
    """Upstream's, of the page that was taken last, where it is believed."""
    own_serial: int | None = None
    """Ours, where the published page moved and upstream's serial did not."""
    seen_serial: int | None = None
    """What upstream's list gave it when it was last looked at."""
    doubted: bool = False
    """Its serial says nothing of its content: a sync of everything asks for its page each time."""
    quarantined: bool = False
    """Its page was quarantined when it was last taken; upstream's list does not name it then."""
    older_since: int | None = None
    """Since when upstream has shown older pages only."""
    validators: Validators = NO_VALIDATORS
    """Of the page that the published one was made from; none where anything else would follow from a 304."""
    fingerprint: str | None = None
    file_count: int = 0
    stored_bytes: int = 0
    withheld_files: int = 0
    """Left out by the policy."""
    missing_files: int = 0
    """Left out because they could not be had."""
    lost_files: int = 0
    """Published, though upstream's page lacks them: so many at once that the deletion guard is asked first."""
    published: bool = False
    attempts: int = 0
    due_at: int | None = None
    checked_at: int | None = None
    changed_at: int | None = None
    error: str | None = None
    page_sha256: str | None = None
    """``PageSet.digest`` of what was published last; None: not known, so that no 304 is believed."""

    @property
    def published_serial(self) -> int | None:
        """The serial that its page and the project list are published with."""
        return self.serial if self.own_serial is None else self.own_serial

    def next_due(self) -> int:
        """Return when to try again after one more failure: 5 minutes, doubled each time, a day at most."""
        return int(time.time()) + min(_BACKOFF_SECONDS << min(self.attempts, 20), _BACKOFF_MOST_SECONDS)


@dataclass(frozen=True, slots=True)
class KeptPage:
    """Upstream's page, as it came."""

    name: NormalizedName
    url: str
    content_type: str
    serial: int | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Pending:
    """A file that a publication is about to bring or to drop; or its page."""

    project: NormalizedName
    place: PackagePath
    sha256: Sha256
    withdraw: bool = False
    """It is dropped, and must not stay in the document root for its grace period."""

    @classmethod
    def page(cls, project: NormalizedName) -> "Pending":
        """Return the intent to change a project's page, which may bring or drop no file at all."""
        return cls(project, PackagePath(f"{_PAGES}{project}"), Sha256(""))

    @property
    def is_page(self) -> bool:
        """Whether it is the page, and no file."""
        return self.place.startswith(_PAGES)


@dataclass(frozen=True, slots=True)
class Retirement:
    """A file that its page no longer names, and when it leaves the document root."""

    project: NormalizedName
    place: PackagePath
    sha256: Sha256
    due_at: int
    withdraw: bool = False
    """Keep it aside, since it may come back: quarantined or blocked, not deleted."""
    retired_at: int | None = None
    """From when its grace counts, so that another grace moves ``due_at``; None: nothing moves it."""
    size: int = 0
    """The bytes that come free when it leaves; 0 where another name keeps them."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a project's publication changes in the catalog, once its page is durable."""

    row: ProjectRow
    read: bool = False
    """Upstream's page was read anew; ``kept`` replaces what was kept before."""
    kept: KeptPage | None = None
    retirements: tuple[Retirement, ...] = ()
    returned: tuple[PackagePath, ...] = ()
    """Published now, whatever the catalog planned for them."""
    quarantined: bool = False
    """None of its files may be had: what a page dropped before, and is in its grace, leaves now as well."""
    gone: bool = False
    """Upstream answers that it has no such project, and its page is still published."""
