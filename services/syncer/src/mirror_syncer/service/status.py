"""The mirror's status, schedule and projects, as the API shows them."""

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from packaging.utils import NormalizedName

from mirror_contract import (
    Absence,
    Disk,
    HeldSummary,
    PendingRemoval,
    Project,
    ProjectAbout,
    ProjectFile,
    ProjectState,
    Run,
    RunKind,
    RunState,
    Schedule,
    Status,
)
from mirror_contract.distributions import read_version
from mirror_syncer.catalog import Fact
from mirror_syncer.config import ProjectPolicy, decide, decide_removal
from mirror_syncer.config.settings import VERSION
from mirror_syncer.errors import PathError, VolumeError
from mirror_syncer.metrics import ENDED
from mirror_syncer.model.decision import Decision, FileDecision
from mirror_syncer.model.names import PackagePath
from mirror_syncer.model.page import File, Page, PublishedPage
from mirror_syncer.model.project import BLOCKED, GUARDED, UNSELECTED, ProjectRow
from mirror_syncer.publish import find_published
from mirror_syncer.runs.upstream_change import switched_from
from mirror_syncer.service.assembly import Mirror
from mirror_syncer.service.project_about import read_about
from mirror_syncer.service.project_dependencies import ReleaseLines, describe_dependencies, read_release_lines
from mirror_syncer.service.timetable import Timetable
from mirror_syncer.work.transfer import StoredPages

_FAILING_SHOWN = 20
_IN_HAND_SHOWN = 20
# Of one project, which may have 40,000 files on PyPI: a few responses with 100,000 would fill control's memory.
_MAX_FILES_SHOWN = 500
_MAX_UNDATED_SHOWN = 100
# Projects whose published files are cached, half a megabyte each at most: a page of 100,000 files takes 0.5 s to read,
# and the same project is requested again and again.
_MAX_CACHED_PROJECTS = 32


@dataclass(frozen=True, slots=True)
class _ProjectFiles:
    """What is read from a project's published page."""

    files: list[ProjectFile] = field(default_factory=list)
    undated: int = 0
    lines: ReleaseLines = field(default_factory=dict)
    about: ProjectAbout | None = None


class StatusReader:
    """Reads the status; its methods block for the catalog, and ``whole_project`` for the disk."""

    def __init__(self, mirror: Mirror, timetable: Timetable) -> None:
        self._mirror = mirror
        self._timetable = timetable
        self._started_at = datetime.now(UTC)
        settings = mirror.settings
        self.pages = StoredPages(
            mirror.volume,
            kept=mirror.catalog.kept_pages.get,
            without_hash=settings.without_hash,
            upstream=settings.upstream,
        )
        self._read_cached_files = lru_cache(_MAX_CACHED_PROJECTS)(self._read_files)

    def status(self) -> Status:
        """Return the status of the mirror."""
        mirror = self._mirror
        totals = mirror.catalog.projects.totals()
        last = self._last_sync(ENDED)
        success = self._last_sync((RunState.SUCCEEDED,))
        completion = self._last_sync((RunState.SUCCEEDED, RunState.INCOMPLETE))
        failure = mirror.catalog.runs.first_whole_run(
            RunState.FAILED, kind=RunKind.SYNC, after=completion.id if completion else ""
        )
        everything = mirror.policy.current.everything
        serials = mirror.catalog.serials() if everything else None
        # In a mirror of the whole index, projects that are behind only wait for their task.
        amiss = (ProjectState.FAILING, ProjectState.PARTIAL, *(() if everything else (ProjectState.BEHIND,)))
        failing = mirror.catalog.projects.page(states=amiss, limit=_FAILING_SHOWN)
        damaged, damaged_since = self._damage()
        return Status(
            syncer_up=True,
            as_of=datetime.now(UTC),
            version=VERSION,
            upstream=mirror.settings.upstream,
            scope=mirror.policy.current.scope,
            started_at=self._started_at,
            schedule=self.schedule(),
            last_run=last,
            last_success_at=success and success.finished_at,
            last_completed_at=completion and completion.finished_at,
            failing_since=failure and failure.finished_at,
            needs_attention_since=_time(mirror.catalog.projects.amiss_since()),
            damaged_files=damaged,
            damaged_since=_time(damaged_since),
            withheld_since=_moment(mirror.catalog.recall(Fact.WITHHELD_SINCE)),
            policy=mirror.policy.state(),
            running=[run.document for run in mirror.runs.running()],
            queued=[run.document for run in mirror.runs.queued()],
            in_hand=sorted(mirror.engine.context.queue.active_names())[:_IN_HAND_SHOWN],
            serial=serials and serials[0],
            upstream_serial=serials and serials[1],
            upstream_news_at=_time(mirror.catalog.news_at()),
            previous_upstream=switched_from(mirror.catalog),
            projects=totals.projects,
            installable=totals.installable,
            files=totals.files,
            stored_bytes=totals.stored_bytes,
            disk=self._disk(),
            pending_removal=self._pending_removal(),
            held=self._held(),
            dependencies=mirror.closure.summary(),
            failing=[self.project(row) for row in failing],
            problems=self._problems(),
        )

    def schedule(self) -> Schedule:
        """Return the schedule, and when the next sync starts."""
        cron = self._mirror.settings.schedule
        return Schedule(
            cron=None if cron == "off" else cron,
            paused=self._timetable.paused,
            paused_since=_moment(self._mirror.catalog.recall(Fact.PAUSED)) if self._timetable.paused else None,
            next_run_at=self._timetable.next_run_at,
        )

    def pause(self, *, paused: bool) -> Schedule:
        """Pause or resume the schedule, also across restarts."""
        if paused != self._timetable.paused:
            self._mirror.catalog.remember(Fact.PAUSED, str(int(time.time())) if paused else "")
        if paused:
            self._timetable.pause()
        else:
            self._timetable.resume()
        self._mirror.status_file.changed()
        return self.schedule()

    def project(self, row: ProjectRow) -> Project:
        """Return a project, without its files."""
        policy = self._mirror.policy.current.project(row.name)
        return Project(
            name=row.name,
            state=row.state,
            serial=row.published_serial,
            file_count=row.file_count,
            stored_bytes=row.stored_bytes,
            newest_version=row.newest_version,
            error=row.error,
            attempts=row.attempts,
            due_at=_time(row.due_at),
            checked_at=_time(row.checked_at),
            changed_at=_time(row.changed_at),
            selected=policy.selection.line if policy else None,
            withheld_files=row.withheld_files,
            held_files=row.held_files,
            blocked_files=row.blocked_files,
        )

    def whole_project(self, name: NormalizedName) -> Project | None:
        """Return a project with its files, or None if neither catalog nor policy knows it."""
        row = self._mirror.catalog.projects.get(name)
        if row is None:
            # In a mirror of the whole index, upstream's list says which projects exist; lines of mirror.toml count too.
            policy = self._mirror.policy.current
            if policy.project(name) is None or (policy.everything and name not in policy.projects):
                return None
            row = ProjectRow(name, error="selected, and not looked at yet")
        project_policy = self._mirror.policy.current.project(name)
        # An expired decision is made again at each call, until maturity or a run publishes the new one.
        is_cached = row.page_sha256 and (row.expires_at is None or row.expires_at > time.time())
        try:
            found = (self._read_cached_files if is_cached else self._read_files)(row, project_policy)
        except PathError:
            found = _ProjectFiles()  # the next run stores the error in the project's row
        dependencies = describe_dependencies(self._mirror.catalog, self._mirror.closure.facts, name, found.lines)
        added = self._mirror.catalog.added_lines.get(name)
        return self.project(row).model_copy(
            update={
                "files": found.files,
                "undated_files": found.undated,
                "about": found.about,
                "added_line": added and added.line,
                "dependencies": dependencies,
            }
        )

    def _read_files(self, row: ProjectRow, policy: ProjectPolicy | None) -> "_ProjectFiles":
        """
        Return the files to show of a project, how many published ones have no upload time, and what they require.

        The answer is remembered until the project's row or its lines in mirror.toml change.

        Raises:
            PathError: the published page cannot be read.
        """
        published = find_published(self._mirror.volume, row.name)
        ours = published.page.files if published else ()
        decided = {(d.filename, d.file and d.file.sha256): d for d in self.decide(row, policy, published).files}
        older, newest = ours[:-_MAX_FILES_SHOWN], ours[-_MAX_FILES_SHOWN:]
        older_undated = [file for file in older if file.upload_time is None]
        undated = len(older_undated) + sum(file.upload_time is None for file in newest)
        shown = [
            _file(row.name, decision, file, published.places[file.filename])
            for file in (*older_undated[-_MAX_UNDATED_SHOWN:], *newest)
            if published and (decision := decided[file.filename, file.sha256])
        ]
        for file in ours:
            del decided[file.filename, file.sha256]
        hidden = (_file(row.name, decision, decision.file) for decision in list(decided.values())[-_MAX_FILES_SHOWN:])
        follows = self._mirror.policy.current.dependencies.follow
        lines = read_release_lines(self._mirror.catalog, row.name, ours) if follows else {}
        about = read_about(self._mirror.volume, row.name, ours, published.places) if published else None
        return _ProjectFiles([*shown, *hidden], undated, lines, about)

    def decide(self, row: ProjectRow, policy: ProjectPolicy | None, published: PublishedPage | None) -> Decision:
        """Decide about a project's files by upstream's page as it was last taken; upstream is not asked."""
        if policy is None or row.error == GUARDED:
            blocked = self.blocked_because(row.name)
            reason = GUARDED if policy is not None else UNSELECTED if blocked is None else blocked
            return decide_removal(Page(row.name, ()), published, reason=reason, guarded=policy is not None)
        return decide(self.pages.last_of(row.name, published), published, policy, now=int(time.time()))

    def absence(self, name: NormalizedName) -> tuple[Absence, str]:
        """Return why a project is not mirrored that neither catalog nor policy knows."""
        mirror = self._mirror
        if (blocked := self.blocked_because(name)) is not None:
            return Absence.BLOCKED, f"{name} is {blocked}."
        if mirror.policy.current.project(name) is not None:
            return Absence.UPSTREAM, f"{name} is not in upstream's list of projects, as of the last full sync."
        if mirror.catalog.absent_projects.contains(name, now=int(time.time())):
            return Absence.UPSTREAM, f"{name} is not mirrored: upstream had no such project when it was last asked."
        reason = (
            "mirror.toml excludes it"
            if mirror.policy.current.everything
            else f"no line selects it; `mirrorctl add {name}` adds one"
        )
        return Absence.UNSELECTED, f"{name} is not mirrored, and {reason}."

    def blocked_because(self, name: NormalizedName) -> str | None:
        """Return why a whole project is blocked, or None if it is not."""
        because = self._mirror.policy.current.blocked_names.reason(name)
        return None if because is None else f"{BLOCKED}: {because}"

    def _last_sync(self, states: Collection[RunState]) -> Run | None:
        found = self._mirror.catalog.runs.page(states=states, kind=RunKind.SYNC, whole=True, limit=1)
        return found[0] if found else None

    def _damage(self) -> tuple[int, int | None]:
        """Return how many published files and pages are known to be damaged, and since when."""
        files, since = self._mirror.catalog.projects.damage()
        if of_list := self._mirror.catalog.recall(Fact.LIST_DAMAGED):
            forms, found_at = map(int, of_list.split())
            return files + forms, found_at if since is None else min(since, found_at)
        return files, since

    def _disk(self) -> Disk | None:
        try:
            return self._mirror.volume.disk()
        except VolumeError:
            return None

    def _pending_removal(self) -> PendingRemoval | None:
        if (found := self._mirror.catalog.files.waiting_totals()) is None:
            return None
        return PendingRemoval(
            files=found.files,
            bytes=found.bytes,
            first_at=datetime.fromtimestamp(found.first_at, UTC),
            last_at=datetime.fromtimestamp(found.last_at, UTC),
        )

    def _held(self) -> HeldSummary | None:
        totals = self._mirror.catalog.withheld.totals()
        if not totals.projects:
            return None
        return HeldSummary(
            held_files=totals.held_files,
            blocked_files=totals.blocked_files,
            projects=totals.projects,
            next_change_at=_time(self._mirror.catalog.due.next_expiry()),
        )

    def _problems(self) -> list[str]:
        try:
            self._mirror.volume.check_present()
            self._mirror.volume.check_room(0)
        except VolumeError as error:
            return [str(error)]
        return []


def _time(seconds: int | None) -> datetime | None:
    """Return a time; None if there is none, or if it is after the year 9999."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError):  # upstream may give any upload time
        return None


def _moment(fact: str | None) -> datetime | None:
    """Return the time that a fact stores in seconds; None if it is empty."""
    return _time(int(fact)) if fact else None


def _file(
    project: NormalizedName, decided: FileDecision, file: File | None, place: PackagePath | None = None
) -> ProjectFile:
    """
    Return what the API says about a file.

    Args:
        project: whose file it is.
        decided: what the policy decides about it.
        file: what its page says.
        place: where it is published.
    """
    version = read_version(project, decided.filename)
    return ProjectFile(
        filename=decided.filename,
        version=None if version is None else str(version),
        size=file.size if file else None,
        sha256=(file.sha256 or None) if file else None,
        url=place,
        requires_python=file.requires_python if file else None,
        yanked=file.yanked if file else False,
        upload_time=datetime.fromisoformat(file.upload_time) if file and file.upload_time else None,
        decision=decided.choice,
        reason=decided.reason,
        until=_time(decided.until),
    )
