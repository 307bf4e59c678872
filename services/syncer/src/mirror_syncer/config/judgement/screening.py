"""
The screening of a page: which of its files the policy wants, holds, blocks or leaves out.

The first rule that says something about a file counts, in this order: those of ``admission``, which come before
versions; whether the closure has resolved the release; the versions of the lines and demands; the newest releases; the
size of the project.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

import msgspec
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_contract.distributions import read_version
from mirror_syncer.config.judgement.admission import Admission
from mirror_syncer.config.judgement.candidates import Candidates
from mirror_syncer.config.judgement.project_size import too_large
from mirror_syncer.config.judgement.release import Release
from mirror_syncer.config.judgement.version_choice import Chosen
from mirror_syncer.config.policy.age import format_moment
from mirror_syncer.config.policy.closure import ProjectClosure
from mirror_syncer.config.policy.project_policy import ProjectPolicy
from mirror_syncer.config.policy.selection import VersionRule
from mirror_syncer.model.decision import Hold, Reasoned
from mirror_syncer.model.names import Filename
from mirror_syncer.model.page import File, names

_NO_CLOSURE = ProjectClosure()
_WAITS = "it waits until what it requires is mirrored"


class Screening(msgspec.Struct, frozen=True):
    """A page's files, divided by the policy; each part in the page's order."""

    wanted: tuple[File, ...]
    held: tuple[Hold, ...] = ()
    blocked: tuple[Reasoned, ...] = ()
    left_out: tuple[Reasoned, ...] = ()
    waiting: tuple[File, ...] = ()
    """Of these, the ones that will be wanted once what they require is mirrored."""
    defers: bool = False
    """The closure has followed some of these: they only wait for their turn in the sync."""
    expires_at: int | None = None
    """When time alone changes the result; seconds since the epoch."""
    reasons: Mapping[Filename, str] = msgspec.field(default_factory=dict)
    """Why files are kept that the lines of ``mirror.toml`` alone would not keep."""
    idle_lines: tuple[str, ...] = ()
    """A sentence about each line of ``mirror.toml`` that matches nothing while another line does."""

    @property
    def withheld(self) -> Iterator[File]:
        """Yield the held and blocked files: nobody may download them, wherever they are."""
        yield from (hold.file for hold in self.held)
        yield from (file for file, _ in self.blocked)


def screen(
    name: NormalizedName,
    files: Sequence[File],
    policy: ProjectPolicy,
    *,
    published: Mapping[str, File],
    now: int,
    defers: bool = False,
) -> Screening:
    """
    Divide a page's files by the policy.

    Args:
        published: the published files by name: a release that newer ones pushed out keeps only these.
        now: seconds since the epoch.
        defers: new releases wait, also if the closure has followed what they require.
    """
    if policy.keeps_all:
        return Screening(tuple(files))
    candidates = Candidates(Admission(name, files, policy, published=published, now=now))
    screener = _Screener(candidates, policy, published=published)
    screener.select(defers=defers)
    screener.limit_size()
    screener.say_why_required()
    return screener.divide(name, files)


class _Screener:
    """Screens one page by the version rules of a policy."""

    def __init__(self, candidates: Candidates, policy: ProjectPolicy, *, published: Mapping[str, File]) -> None:
        self._candidates = candidates
        self._admission = admission = candidates.admission
        self._policy = policy
        self._selection = policy.selection
        self._closure = policy.closure or _NO_CLOSURE
        self._published = published
        self._left_out = admission.left_out
        self._reasons = admission.reasons
        self._waiting: set[Filename] = set()
        self._defers = False
        self._required: AbstractSet[Release] = frozenset()
        """Releases that demands choose and no line does."""
        self._expires_at = admission.expires_at

    def select(self, *, defers: bool) -> None:
        """Leave out the releases that neither a line nor a demand selects, and those that wait for the closure."""
        if self._policy.closure is None and self._selection.keeps_all:
            if not self._admission.fitting.takes_all:
                _fit(self._admission.releases)
            return
        lines, demands, unusable = self._selection.rules, self._closure.rules, self._closure.unusable
        absent: frozenset[Release] = frozenset()
        if self._policy.closure is not None:
            absent = self._candidates.unresolved(() if defers else self._closure.resolved)
        by_lines, by_demands = self._candidates.choose(lines, demands, unusable=unusable, absent=absent)
        waiting: AbstractSet[Release] = absent
        if absent:
            # Most of them are too old to be selected in any case.
            one, other = self._candidates.choose(lines, demands, unusable=unusable)
            waiting = absent & (one.releases | other.releases)
        selected = by_lines.releases | by_demands.releases if by_demands.releases else by_lines.releases
        if not self._admission.fitting.takes_all:
            _fit(selected)
            _fit(waiting)
            _fit(release for release in self._admission.releases if release.version is None)
        self._defers = any(release.is_among(self._closure.resolved) for release in waiting)
        self._leave_out_others(selected, waiting)
        self._release_unwanted_holds()
        self._keep_superseded(by_lines, by_demands)
        if by_demands.releases:
            self._required = by_demands.releases - by_lines.releases

    def _leave_out_others(self, selected: AbstractSet[Release], waiting: AbstractSet[Release]) -> None:
        unversioned = self._keeps_unversioned
        matching = self._candidates.admitted((*self._selection.rules, *self._closure.rules))
        unreadable, other, older = self._why_not()
        kept, left_out = self._reasons, self._left_out
        for release in self._admission.releases:
            if release in selected or (release.version is None and unversioned):
                continue
            if release in waiting:
                reason = _WAITS
                self._waiting.update(file.filename for file in release.files)
            else:
                reason = unreadable if release.version is None else older if release in matching else other
            for file in release.files:
                if file.filename not in kept:
                    left_out[file.filename] = reason

    def _release_unwanted_holds(self) -> None:
        """Leave out young files of versions that no rule names: they do not wait, nothing would publish them later."""
        held, rules = self._admission.held, (*self._selection.rules, *self._closure.rules)
        if not held:
            return
        unreadable, other, _ = self._why_not()
        for filename, hold in list(held.items()):
            version = read_version(self._admission.name, filename)
            if self._keeps_unversioned if version is None else any(_may_name(rule, version) for rule in rules):
                continue
            if not names(self._published, hold.file):
                del held[filename]
                self._left_out[filename] = unreadable if version is None else other

    @property
    def _keeps_unversioned(self) -> bool:
        """Whether a line selects all files, also those whose names give no version."""
        return any(rule.latest is None and not rule.specifier for rule in self._selection.rules)

    def _why_not(self) -> tuple[str, str, str]:
        """Return the sentences about a release without a version, about one that no rule names, and an older one."""
        selection, words, where = self._selection, self._selection.words, self._selection.where
        if not selection.rules and self._closure.rules:
            return (
                "its name gives no version, so it meets no requirement",
                "no mirrored release requires its version",
                "it is not among the newest releases that meet what mirrored releases require",
            )
        required = ", and no mirrored release requires it" if self._closure.rules else ""
        return (
            f"its name gives no version, and {where} selects {words}",
            f"its version does not match {selection.line!r} in {where}{required}",
            f"it is not among the newest releases that {where} selects by {words}{required}",
        )

    def _keep_superseded(self, by_lines: Chosen, by_demands: Chosen) -> None:
        """Keep the published files of releases that newer ones pushed out lately: last month's lock needs them."""
        if not by_lines.superseded and not by_demands.superseded:
            return
        for release, until in (by_lines | by_demands).superseded.items():
            if release in by_lines.releases or release in by_demands.releases:
                continue
            for file in release.files:
                if names(self._published, file) and self._left_out.pop(file.filename, None) is not None:
                    reason = f"newer releases pushed it out; it stays until {format_moment(until)}"
                    self._reasons.setdefault(file.filename, reason)
                    self._note_expiry(until)

    def limit_size(self) -> None:
        """Leave out the oldest releases of a project that is larger than ``[files] max_project_size``."""
        limit = self._policy.rules.files.max_project_size
        if limit is None:
            return
        reason = f"with it the project would have more than [files] max_project_size, {limit:,} bytes"
        unversioned = (release for release in self._admission.releases if release.version is None)
        for release in too_large((*self._candidates.ordered, *unversioned), self._wanted, limit):
            for file in self._wanted(release):
                self._leave_out(file, reason)

    def say_why_required(self) -> None:
        """Note why files are kept that only demands choose."""
        chains = self._closure.chains
        for release in self._required:
            spellings = (str(version) for version in (release.version, *release.equal_versions))
            chain = next((chains[text] for text in spellings if text in chains), None)
            reason = f"required: {chain}" if chain else "a mirrored release requires it"
            for file in self._wanted(release):
                self._reasons.setdefault(file.filename, reason)

    def _wanted(self, release: Release) -> list[File]:
        return [file for file in release.files if file.filename not in self._left_out]

    def divide(self, name: NormalizedName, files: Sequence[File]) -> Screening:
        """Return the result."""
        held, blocked, left_out = self._admission.held, self._admission.blocked, self._left_out
        unwanted = {**left_out, **held, **blocked} if held or blocked else left_out
        return Screening(
            tuple([file for file in files if file.filename not in unwanted] if unwanted else files),
            held=tuple(held.values()),
            blocked=_reasoned(files, blocked),
            left_out=_reasoned(files, left_out),
            waiting=tuple(file for file in files if file.filename in self._waiting) if self._waiting else (),
            defers=self._defers,
            reasons=self._reasons,
            expires_at=self._expires_at,
            idle_lines=self._idle_lines(name) if len(self._selection.rules) > 1 else (),
        )

    def _idle_lines(self, name: NormalizedName) -> tuple[str, ...]:
        """Return a sentence about each line of several that matches none of the releases."""
        versions = (release.version for release in self._admission.releases if release.version is not None)
        return tuple(self._selection.idle_lines(name, versions))

    def _leave_out(self, file: File, reason: str) -> None:
        if file.filename not in self._reasons:
            self._left_out[file.filename] = reason

    def _note_expiry(self, time: int) -> None:
        self._expires_at = time if self._expires_at is None else min(time, self._expires_at)


def _may_name(rule: VersionRule, version: Version) -> bool:
    """Return whether a rule may admit a version; one with ``===`` compares texts, and may always."""
    return "===" in str(rule.specifier) or rule.specifier.contains(version, prereleases=True)


def _fit(releases: Iterable[Release]) -> None:
    for release in releases:
        release.ensure_fit()


def _reasoned(files: Iterable[File], reasons: Mapping[Filename, str]) -> tuple[Reasoned, ...]:
    return tuple([(file, reasons[file.filename]) for file in files if file.filename in reasons]) if reasons else ()
