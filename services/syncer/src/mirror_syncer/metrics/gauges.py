"""The gauges: the mirror's current numbers, read from a snapshot at each scrape."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from mirror_contract import Disk, ProjectState, RunKind, SelectionCause, UnmetReason
from mirror_syncer.model.policy_warning import PolicyWarning
from mirror_syncer.model.priority import Priority

if TYPE_CHECKING:
    from datetime import datetime

PREFIX = "pypi_mirror"
# Lines without a proof have a gauge of their own.
_UNMET_REASONS = tuple(one for one in UnmetReason if one not in (UnmetReason.NO_PROOF, UnmetReason.BY_URL))
_ADVISORY_KINDS = ("malware", "vulnerability")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The values of the gauges at the time of a scrape."""

    projects: dict[ProjectState, int] = field(default_factory=dict)
    files: int = 0
    stored_bytes: int = 0
    serial: int | None = None
    """This and ``upstream_serial`` exist only with scope everything, and if upstream has serials."""
    upstream_serial: int | None = None
    news_at: int = 0
    """Unix time of upstream's last change; 0 if never."""
    queue: dict[Priority, int] = field(default_factory=dict)
    running: frozenset[RunKind] = frozenset()
    paused_since: int = 0
    """Unix time at which the schedule was paused; 0 if it is not."""
    disk: Disk | None = None
    policy_valid: bool = True
    policy_warnings: dict[PolicyWarning, int] = field(default_factory=dict)
    advisories: dict[str, int] = field(default_factory=dict)
    """In force, by kind."""
    newest_advisory: float = 0.0
    """Unix time; 0 if there is none."""
    held_files: int = 0
    blocked_files: int = 0
    next_expiry: int = 0
    """Unix time of the next change by time alone; 0 if there is none."""
    maturity_late: float = 0.0
    """Seconds by which the publication of a file is late; 0 while the schedule is paused."""
    released_versions: int = 0
    closure_projects: dict[SelectionCause, int] = field(default_factory=dict)
    unmet_requirements: dict[UnmetReason, int] = field(default_factory=dict)
    lines_without_proof: int = 0


class Gauges(Collector):
    """The families of the gauges."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot
        self.next_run_at: Callable[[], datetime | None] = lambda: None

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return nothing at registration: there is no snapshot yet."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the current gauges."""
        now = self._snapshot()
        projects = GaugeMetricFamily(f"{PREFIX}_projects", "Projects by state.", labels=("state",))
        for state in ProjectState:
            projects.add_metric((state,), now.projects.get(state, 0))
        yield projects
        yield GaugeMetricFamily(f"{PREFIX}_files", "Published files.", now.files)
        yield GaugeMetricFamily(f"{PREFIX}_stored_bytes", "Bytes of published files.", now.stored_bytes)
        if now.serial is not None and now.upstream_serial is not None:
            yield GaugeMetricFamily(
                f"{PREFIX}_serial",
                "Serial up to which every changed project is current, or reported as failing.",
                now.serial,
            )
            yield GaugeMetricFamily(
                f"{PREFIX}_upstream_serial", "Serial of upstream's project list.", now.upstream_serial
            )
        yield GaugeMetricFamily(
            f"{PREFIX}_upstream_serial_timestamp_seconds",
            "Unix time of upstream's last change (of its list, a serial or a page); 0 if never.",
            now.news_at,
        )
        queue = GaugeMetricFamily(f"{PREFIX}_queue_projects", "Waiting projects by priority.", labels=("priority",))
        for priority in Priority:
            queue.add_metric((priority.name.lower(),), now.queue.get(priority, 0))
        yield queue
        running = GaugeMetricFamily(
            f"{PREFIX}_run_in_progress", "Whether a run of this kind is in progress: 1 or 0.", labels=("kind",)
        )
        for kind in RunKind:
            running.add_metric((kind,), kind in now.running)
        yield running
        yield GaugeMetricFamily(
            f"{PREFIX}_policy_valid",
            "Whether mirror.toml can be used; 0: the last good policy is in force instead.",
            now.policy_valid,
        )
        yield from _policy_gauges(now)
        yield from _held_gauges(now)
        yield from _closure_gauges(now)
        yield GaugeMetricFamily(
            f"{PREFIX}_schedule_paused_timestamp_seconds",
            "Unix time at which the schedule was paused; 0 if it is not paused.",
            now.paused_since,
        )
        if (next_run := self.next_run_at()) is not None:
            yield GaugeMetricFamily(
                f"{PREFIX}_next_run_timestamp_seconds", "Unix time of the next scheduled run.", next_run.timestamp()
            )
        if now.disk is not None:
            yield GaugeMetricFamily(f"{PREFIX}_volume_size_bytes", "Size of the volume in bytes.", now.disk.size_bytes)
            yield GaugeMetricFamily(
                f"{PREFIX}_volume_free_bytes", "Bytes of the volume that are free for the mirror.", now.disk.free_bytes
            )
            if now.disk.free_inodes is not None:
                yield GaugeMetricFamily(
                    f"{PREFIX}_volume_free_inodes", "Free inodes of the volume.", now.disk.free_inodes
                )


def _policy_gauges(now: Snapshot) -> Iterator[GaugeMetricFamily]:
    warnings = GaugeMetricFamily(
        f"{PREFIX}_policy_warnings",
        "Lock files and advisories that cannot be used or are stale, and lines of mirror.toml that contradict others.",
        labels=("kind",),
    )
    for warning in PolicyWarning:
        warnings.add_metric((warning,), now.policy_warnings.get(warning, 0))
    yield warnings
    advisories = GaugeMetricFamily(f"{PREFIX}_advisories", "Advisories in force.", labels=("kind",))
    for kind in _ADVISORY_KINDS:
        advisories.add_metric((kind,), now.advisories.get(kind, 0))
    yield advisories
    yield GaugeMetricFamily(
        f"{PREFIX}_advisories_newest_timestamp_seconds",
        "Unix time at which the newest advisory was modified; 0 if there is none.",
        now.newest_advisory,
    )


def _held_gauges(now: Snapshot) -> Iterator[GaugeMetricFamily]:
    yield GaugeMetricFamily(f"{PREFIX}_held_files", "Files that wait for their cooldown.", now.held_files)
    yield GaugeMetricFamily(
        f"{PREFIX}_blocked_files",
        "Files that mirror.toml or an advisory blocks, without those of projects that are blocked by name.",
        now.blocked_files,
    )
    yield GaugeMetricFamily(
        f"{PREFIX}_held_next_expiry_timestamp_seconds",
        "Unix time at which the next held file is published, or another period of the policy ends; 0 if never.",
        now.next_expiry,
    )
    yield GaugeMetricFamily(
        f"{PREFIX}_maturity_late_seconds",
        "Seconds since a held file should have been published; 0 if none is late, or while the schedule is paused.",
        now.maturity_late,
    )
    yield GaugeMetricFamily(
        f"{PREFIX}_released_versions", "Versions that a person let through the cooldown.", now.released_versions
    )


def _closure_gauges(now: Snapshot) -> Iterator[GaugeMetricFamily]:
    projects = GaugeMetricFamily(
        f"{PREFIX}_closure_projects",
        "Projects that are mirrored by why: a line names them, selected releases require them, or only a lock pins "
        "them; 0 while dependencies are not followed.",
        labels=("why",),
    )
    for cause in SelectionCause:
        projects.add_metric((cause,), now.closure_projects.get(cause, 0))
    yield projects
    unmet = GaugeMetricFamily(
        f"{PREFIX}_unmet_requirements",
        "Requirements of kept releases that this mirror does not meet; those by URL count as unreadable.",
        labels=("reason",),
    )
    for reason in _UNMET_REASONS:
        reasons = (reason, UnmetReason.BY_URL) if reason is UnmetReason.UNREADABLE else (reason,)
        unmet.add_metric((reason,), sum(now.unmet_requirements.get(one, 0) for one in reasons))
    yield unmet
    yield GaugeMetricFamily(
        f"{PREFIX}_lines_without_proof",
        "Lines and groups of mirror.toml that cannot be installed from here on at least one machine.",
        now.lines_without_proof,
    )
