"""The policy in force: read from a file that people edit at any time, and kept where the file cannot be used."""

import asyncio
import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import NoReturn

import structlog
from packaging.utils import NormalizedName

from mirror_contract import PolicyFile, PolicyState
from mirror_syncer.config.advisories.feed import AdvisorySource
from mirror_syncer.config.mirror_toml.file import PolicyError, choose_file, judge_policy, read_file
from mirror_syncer.config.mirror_toml.inputs import PolicyInputs
from mirror_syncer.config.mirror_toml.last_good import LastGood, LastGoodStore
from mirror_syncer.config.mirror_toml.project_line import ProjectLine
from mirror_syncer.config.mirror_toml.tables import parse_policy, read_lines
from mirror_syncer.config.policy.added_line import AddedLine
from mirror_syncer.config.policy.age import Exemption
from mirror_syncer.config.policy.closure import Closure, Limits
from mirror_syncer.config.policy.description import describe_policy
from mirror_syncer.config.policy.policy import Policy
from mirror_syncer.config.policy.project_policy import PAGE_FORMAT, stable_text
from mirror_syncer.model.policy_warning import PolicyWarning
from mirror_syncer.upstream.http.options import ClientOptions

log = structlog.get_logger()

WATCH_SECONDS = 2.0
_MAX_WARNINGS = 100


@dataclass(frozen=True, slots=True)
class _Found:
    """A policy, and the file that it is of."""

    path: Path
    starter: bool
    content: bytes
    policy: Policy


class PolicySource:
    """
    ``mirror.toml``, or ``mirror.example.toml`` beside it while there is none.

    A file that cannot be used, or has gone, leaves the last good policy in force, also across restarts.

    Args:
        path: of ``mirror.toml``.
        state: the directory that the last good policy is kept in.
        keeps: False: nothing is written there.

    Raises:
        PolicyError: the file cannot be used, and there is no last good policy.
    """

    def __init__(self, path: Path, *, state: Path, keeps: bool = True) -> None:
        self._path = path
        self._store = LastGoodStore(state)
        self._keeps = keeps
        self._lock = threading.Lock()
        self._inputs = PolicyInputs(path.parent, state=state, keeps=keeps)
        self._error: PolicyError | None = None
        self._invalid_since: datetime | None = None
        self._read_at: datetime | None = None
        self._starter_projects: frozenset[str] = frozenset()
        self._has_own = False
        self._is_open = False
        self._last_applied = last = self._store.recall()
        if last is not None:
            self._has_own, self._starter_projects = not last.starter, last.starter_projects
        self._found = self._in_force = self._look_first(last)
        self._complete = self._inputs.complete(self._in_force.policy)
        self._is_open = True

    @property
    def current(self) -> Policy:
        """The policy in force."""
        return self._complete

    @property
    def applied(self) -> Policy:
        """
        The policy that was put into force last.

        For a command beside the service, that is the service's policy; the next run replaces it by the file's.
        """
        if self._keeps or self._last_applied is None:
            return self.current
        return self._inputs.preview(parse_policy(self._last_applied.text.encode(), path=self._path))

    @property
    def replaceable(self) -> frozenset[NormalizedName]:
        """Projects that only the shipped example has named: the operator never asked for them."""
        return frozenset(map(NormalizedName, self._starter_projects))

    @property
    def error(self) -> PolicyError | None:
        """Why the file could not be used when it was last read."""
        return self._error

    @property
    def digest(self) -> str:
        """
        Return a digest of the policy in force, of its effect, and of the format of the published pages.

        The closure has no part in it, since it follows from the policy and from upstream's pages; nor have the limits,
        which say whether a sync may go on, and not what is published.
        """
        policy = replace(self.current, limits=Limits())
        return hashlib.sha256(f"{PAGE_FORMAT}-{stable_text(policy)}-{policy.advisory_effects}".encode()).hexdigest()

    def reload(self) -> list[str]:
        """Put the file's policy into force; where it cannot be used, return why, in one sentence."""
        with self._lock:
            self._look()
            self._put_into_force()
            return [f"{self._error.sentence}; the last good policy stays in force"] if self._error else []

    @property
    def advisory_source(self) -> AdvisorySource:
        """The advisories in force."""
        return self._inputs.advisory_source

    @property
    def inputs_changed(self) -> bool:
        """Whether lock files or advisories differ from those in force."""
        return self._inputs.changed(self._in_force.policy)

    def release(self, released: Mapping[NormalizedName, tuple[Exemption, ...]]) -> None:
        """Set the versions that people released; they are in force at once."""
        with self._lock:
            self._inputs.release(released)
            self._complete = self._inputs.complete(self._in_force.policy)

    def add(self, lines: tuple[AddedLine, ...]) -> None:
        """Set the lines that people added beside those of the file; they are in force at once."""
        with self._lock:
            self._inputs.add(lines)
            self._complete = self._inputs.complete(self._in_force.policy)
            self._note_starters(self._in_force)
            if self._keeps:
                self._keep(self._in_force)

    def follow(self, closure: Closure | None) -> None:
        """
        Set what the selected projects need; it is in force at once, where ``[dependencies]`` follows dependencies.

        None: it is not known, so no release waits, and only lines and locks name projects.
        """
        with self._lock:
            self._inputs.follow(closure)
            self._complete = self._inputs.complete(self._in_force.policy)
            self._note_starters(self._in_force)
            if self._keeps:
                self._keep(self._in_force)

    @property
    def file_lines(self) -> list[ProjectLine]:
        """The lines of ``projects`` in the file in force, each as it is written. Blocks for seconds if it is large."""
        return read_lines(self._in_force.content)

    def on_disk(self, *, added: tuple[AddedLine, ...] | None = None) -> Policy:
        """
        Return the policy that the next run puts into force.

        Args:
            added: instead of the lines that people added.
        """
        with self._lock:
            self._look()
            return self._inputs.preview(self._found.policy, added=added)

    async def refresh(self, options: ClientOptions) -> bool:
        """Request advisories if they come from a URL, and put them into force; return whether they changed."""
        if not await self._inputs.refresh(options):
            return False
        with self._lock:
            self._complete = self._inputs.complete(self._in_force.policy)
        return True

    def check(self, policy: Policy) -> tuple[Policy, list[str]]:
        """Return a candidate with what lock files, advisories and people say now, and warnings about it."""
        complete, warnings = self._inputs.check(policy)
        return complete, list(islice(warnings, _MAX_WARNINGS))

    def state(self) -> PolicyState:
        """Return what there is to say of the file."""
        found, error = self._found, self._error
        return PolicyState(
            file=str(error.path if error else found.path),
            read_at=self._read_at,
            facts=describe_policy(self.current, added=len(self._inputs.added)),
            starter=found.starter,
            changed=found.policy != self._in_force.policy or self._inputs.changed(self._in_force.policy),
            warnings=list(islice(self._inputs.warnings(self.current), _MAX_WARNINGS)),
            problems=error.details if error else [],
            invalid_since=self._invalid_since,
        )

    def file(self) -> PolicyFile:
        """Return the content of the file in force."""
        return PolicyFile(state=self.state(), text=self._in_force.content.decode("utf-8-sig", errors="replace"))

    def count_warnings(self) -> dict[PolicyWarning, int]:
        """Return the numbers of warnings by kind."""
        return {kind: sum(1 for _ in self._inputs.warnings_of(kind, self.current)) for kind in PolicyWarning}

    async def watch(self, noticed: Callable[[PolicyState], None], *, every: float = WATCH_SECONDS) -> NoReturn:
        """Read the file every few seconds, and report each change; the policy in force changes with the next run."""
        before = self._summary()
        while True:
            await asyncio.sleep(every)
            await asyncio.to_thread(self._look_again)
            if (now := self._summary()) != before:
                before = now
                noticed(self.state())

    def _summary(self) -> tuple[object, ...]:
        state = self.state()
        return self._found.content, state.problems, state.changed

    def _look_again(self) -> None:
        with self._lock:
            self._look()

    def _look_first(self, last: LastGood | None) -> _Found:
        try:
            found = self._read()
        except PolicyError as error:
            if last is None:
                raise
            self._note(error)
            content = last.text.encode()
            return _Found(Path(last.path), last.starter, content, parse_policy(content, path=self._path))
        self._in_force = self._found = found
        self._put_into_force()
        return found

    def _look(self) -> None:
        try:
            self._found = self._read()
        except PolicyError as error:
            self._note(error)
        else:
            self._error = self._invalid_since = None

    def _note(self, error: PolicyError) -> None:
        self._error = error
        self._invalid_since = self._invalid_since or datetime.now(UTC)

    def _read(self) -> _Found:
        """
        Return what the file says now.

        Raises:
            PolicyError: it cannot be used.
        """
        path = self._path if self._has_own else choose_file(self._path)
        content = read_file(path, was_here=self._has_own)
        return _Found(path, path != self._path, content, judge_policy(content, path=path))

    def _put_into_force(self) -> None:
        self._in_force = found = self._found
        if self._error is None:
            self._read_at = datetime.now(UTC)
        self._complete = self._inputs.complete(found.policy)
        self._has_own = self._has_own or not found.starter
        self._note_starters(found)
        if self._keeps:
            self._keep(found)

    def _note_starters(self, found: _Found) -> None:
        """Note which projects are here only because of the shipped example, as its lines or as what these need."""
        names = frozenset(map(str, found.policy.projects))
        if (closure := self._complete.closure) is not None and found.starter:
            names |= frozenset(map(str, closure.required))
        asked_for = frozenset(str(line.project) for line in self._inputs.added)
        if not found.starter:
            asked_for |= names
            names = frozenset()
        self._starter_projects = (self._starter_projects | names) - asked_for

    def _keep(self, found: _Found) -> None:
        """Keep a policy for the next start; where the disk refuses, this process has it all the same."""
        last = LastGood(
            path=str(found.path),
            starter=not self._has_own,
            text=found.content.decode("utf-8-sig"),
            starter_projects=self._starter_projects,
        )
        try:
            self._store.keep(last)
        except OSError as error:
            if not self._is_open:
                return  # at a start the catalog, on the same disk, fails next, and its error names the remedy
            log.warning("the policy is not kept for the next start", path=str(self._store.path), reason=error.strerror)
