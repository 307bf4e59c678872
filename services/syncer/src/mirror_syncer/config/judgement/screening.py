"""
The screening of a page: which of its files the policy wants, holds, blocks or leaves out.

The first rule that says something about a file counts, in this order: blocked; pinned by a lock file, or released by a
person; the cooldown; machines; ``[files]``; the versions of the lines; the newest releases.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from packaging.utils import NormalizedName

from mirror_contract.distributions import Installers, parse_distribution
from mirror_syncer.config.judgement.cooldown import Cooldown
from mirror_syncer.config.judgement.newest import first_appearance, newest, newest_first, pushed_out
from mirror_syncer.config.judgement.release import Release, read_releases
from mirror_syncer.config.machines.compatibility import Compatibility, compatibility
from mirror_syncer.config.policy.age import format_moment
from mirror_syncer.config.policy.block import blocked_hashes
from mirror_syncer.config.policy.project_policy import ProjectPolicy
from mirror_syncer.config.policy.selection import VersionRule
from mirror_syncer.model.decision import Hold, Reasoned
from mirror_syncer.model.names import Filename, Sha256
from mirror_syncer.model.page import File, names


@dataclass(frozen=True, slots=True)
class Screening:
    """A page's files, divided by the policy; each part in the page's order."""

    wanted: tuple[File, ...]
    held: tuple[Hold, ...] = ()
    blocked: tuple[Reasoned, ...] = ()
    left_out: tuple[Reasoned, ...] = ()
    expires_at: int | None = None
    """When time alone changes the result; seconds since the epoch."""
    reasons: Mapping[Filename, str] = field(default_factory=dict)
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
) -> Screening:
    """
    Divide a page's files by the policy.

    Args:
        published: the published files by name: a release that newer ones pushed out keeps only these.
        now: seconds since the epoch.
    """
    if policy.keeps_all:
        return Screening(tuple(files))
    screener = _Screener(name, files, policy, published=published, now=now)
    screener.block()
    screener.keep_pinned()
    screener.hold()
    screener.leave_out_unfit()
    screener.select()
    screener.limit_size()
    return screener.divide()


class _Screener:
    """Screens one page; each method applies one rule to the candidates that the ones before it have left."""

    def __init__(
        self,
        name: NormalizedName,
        files: Sequence[File],
        policy: ProjectPolicy,
        *,
        published: Mapping[str, File],
        now: int,
    ) -> None:
        self._name = name
        self._files = files
        self._policy = policy
        self._published = published
        self._now = now
        self._min_age = int(policy.rules.age.min.total_seconds())
        self._releases = read_releases(name, files)
        self._reasons: dict[Filename, str] = {}
        """Why files are kept that the lines alone would not keep."""
        self._passing = set[Filename]()
        """Files that lock files pin and that therefore do not wait."""
        self._blocked: dict[Filename, str] = {}
        self._held: dict[Filename, Hold] = {}
        self._left_out: dict[Filename, str] = {}
        self._expires_at: int | None = None
        self._everyone = 0

    def block(self) -> None:
        """Block what a line of ``[block]`` or an advisory names by version or content."""
        blocks = self._policy.blocks
        hashes = self._policy.rules.hashes | blocked_hashes(blocks)
        if not blocks and not hashes:
            return
        for release in self._releases:
            version = release.version
            because = version and next((one.reason for one in blocks if one.affects(version, "")), None)
            for file, _ in release.candidates:
                if because or file.sha256 in hashes or version is None:
                    reason = because or self._blocked_because(file, hashes, unversioned=version is None)
                    if reason is not None:
                        self._blocked[file.filename] = reason
        self._drop(self._blocked)

    def _blocked_because(self, file: File, hashes: frozenset[Sha256], *, unversioned: bool) -> str | None:
        """Return why a file is blocked by its content, or by a version that PEP 440 does not read; or None."""
        blocks = self._policy.blocks
        if file.sha256 in hashes:
            by = next((one.reason for one in blocks if file.sha256 in one.hashes), "[block] hashes names it")
            return f"{by} (sha256 {file.sha256})"
        if unversioned and blocks:
            found = parse_distribution(file.filename)
            text = found.version if found else ""
            return next((one.reason for one in blocks if one.affects(None, text)), None)
        return None

    def keep_pinned(self) -> None:
        """Keep what a lock file pins or a person released, whatever the rules below say."""
        pins, released = self._policy.pins, [one for one in self._policy.exemptions if one.released]
        if not pins and not released:
            return
        for release in self._releases:
            by = next((one for one in released if release.version and one.holds(release.version, now=self._now)), None)
            if by is not None:
                self._note_expiry(by.until)
            for file, _ in release.candidates:
                pinned = [pin for pin in pins if pin.keeps(release.version, file.sha256)]
                if pinned:
                    self._reasons[file.filename] = f"{pinned[0].source} pins it"
                    # A lock with hashes does not vouch for a wheel that is added to its release later.
                    if self._policy.rules.age.locked and any(not p.hashes or file.sha256 in p.hashes for p in pinned):
                        self._passing.add(file.filename)
                elif by is not None:
                    self._reasons[file.filename] = by.because

    def hold(self) -> None:
        """Hold the files that are too young."""
        age = self._policy.rules.age
        if not age.is_on:
            return
        cooldown = Cooldown(age, self._policy.exemptions, now=self._now)
        for release in self._releases:
            held = cooldown.held(release.candidates, passing=self._passing, published=self._published)
            if not held:
                continue
            if (exemption := cooldown.exemption(release.version)) is not None:
                self._note_expiry(exemption.until)
                continue
            for hold in held:
                self._held[hold.file.filename] = hold
                self._note_expiry(hold.until)
        self._drop(self._held)

    def leave_out_unfit(self) -> None:
        """Leave out what ``[files]`` does not want, and what no machine can install; note what the rest fits."""
        rules = self._policy.rules.files
        if rules.judges_files:
            for release in self._releases:
                for file, _ in release.candidates:
                    if (objection := next(rules.objections(file), None)) is not None:
                        self._leave_out(file, objection)
            self._drop(self._left_out)
        machines = self._policy.rules.machines
        fit = Release.note_installers if machines.are_all else partial(self._fit, compatibility(machines))
        self._everyone = 0b11 if machines.are_all else compatibility(machines).everyone
        for release in self._releases:
            release.fit = fit

    def _fit(self, fits: Compatibility, release: Release) -> None:
        """Leave out the files of a release that no machine can install, or needs; note which clients install it."""
        wheels, sdists = 0, list[tuple[File, int]]()
        for file, installers in release.candidates:
            clients = fits.fits(file.filename, installers, file.requires_python)
            if not clients:
                self._leave_out(file, fits.why_not(file.filename, installers, file.requires_python))
            elif installers is Installers.NONE:
                continue  # somebody may install it by hand
            elif file.filename.endswith(".whl"):
                wheels |= clients
                release.note(file, clients)
            else:
                sdists.append((file, clients))
        for file, clients in sdists:
            if fits.wants_sdist(clients, wheels):
                release.note(file, clients)
            else:
                self._leave_out(file, fits.why_no_sdist())
        left_out = self._left_out
        release.candidates = [one for one in release.candidates if one[0].filename not in left_out]

    def select(self) -> None:
        """Leave out the releases that no line selects."""
        selection = self._policy.selection
        if selection.keeps_all:
            self._fit_all(self._releases)
            return
        ordered = newest_first(release for release in self._releases if release.candidates)
        matching, selected = set[Release](), set[Release]()
        for rule in selection.rules:
            admitted = [release for release in ordered if _admits(rule, release)] if rule.specifier else ordered
            matching.update(admitted)
            selected.update(self._chosen(admitted, rule))
        unversioned = any(rule.latest is None and not rule.specifier for rule in selection.rules)
        self._fit_all(release for release in self._releases if release.version is None)
        self._fit_all(selected)
        other = f"its version does not match {selection.line!r} in mirror.toml"
        older = f"it is not among the newest releases that mirror.toml selects by {selection.words}"
        unreadable = f"its name gives no version, and mirror.toml selects {selection.words}"
        for release in self._releases:
            if release in selected or (release.version is None and unversioned):
                continue
            reason = unreadable if release.version is None else older if release in matching else other
            for file, _ in release.candidates:
                if file.filename not in self._reasons:
                    self._left_out[file.filename] = reason

    def _chosen(self, admitted: Sequence[Release], rule: VersionRule) -> Iterable[Release]:
        """Return the releases that one line selects of those that its specifier admits, the newest first."""
        finals = [release for release in admitted if not release.is_prerelease]
        counted = finals if any(release.clients for release in finals) else admitted
        series = [counted, admitted] if rule.with_prereleases and counted is not admitted else [counted]
        keeps_superseded = bool(self._published and self._policy.rules.superseded)
        if keeps_superseded and counted is finals and not rule.with_prereleases:
            self._keep_prereleases(admitted, finals)
        if rule.latest is None:
            return series[-1]
        chosen = {release for releases in series for release in newest(releases, rule.latest, everyone=self._everyone)}
        for releases in series if keeps_superseded else ():
            others = {release for release in releases if release not in chosen and self._is_published(release)}
            for release, since in pushed_out(releases, rule.latest, min_age=self._min_age, of=others):
                self._keep_superseded(release, since)
        return chosen

    def _keep_prereleases(self, releases: Iterable[Release], finals: Iterable[Release]) -> None:
        """Keep the published pre-releases of a project that had nothing else until lately."""
        published = [release for release in releases if release.is_prerelease and self._is_published(release)]
        if published:
            since = first_appearance(finals, min_age=self._min_age)
            for release in published:
                self._keep_superseded(release, since)

    def _fit_all(self, releases: Iterable[Release]) -> None:
        for release in releases:
            release.ensure_fit()

    def _is_published(self, release: Release) -> bool:
        return any(names(self._published, file) for file, _ in release.candidates)

    def _keep_superseded(self, release: Release, since: int) -> None:
        """Keep the published files of a release that newer ones pushed out lately: last month's lock needs them."""
        until = since + int(self._policy.rules.superseded.total_seconds())
        if self._now >= until:
            return
        for file, _ in release.candidates:
            if names(self._published, file):
                reason = f"newer releases pushed it out; it stays until {format_moment(until)}"
                self._reasons.setdefault(file.filename, reason)
                self._note_expiry(until)

    def limit_size(self) -> None:
        """Leave out the oldest releases of a project that is larger than ``[files] max_project_size``."""
        limit = self._policy.rules.files.max_project_size
        if limit is None:
            return
        reason = f"with it the project would have more than [files] max_project_size, {limit:,} bytes"
        total = 0
        unversioned = (release for release in self._releases if release.version is None)
        for release in (*newest_first(self._releases), *unversioned):
            files = [file for file, _ in release.candidates if self._is_wanted(file)]
            size = sum(file.size or 0 for file in files)
            # A release that is too large by itself does not count against the others.
            total += size if size <= limit else 0
            if max(size, total) > limit:
                for file in files:
                    self._leave_out(file, reason)
        self._drop(self._left_out)

    def divide(self) -> Screening:
        """Return the result."""
        versions = (release.version for release in self._releases if release.version is not None)
        held, blocked, left_out = self._held, self._blocked, self._left_out
        unwanted = {*held, *blocked, *left_out}
        return Screening(
            tuple(file for file in self._files if file.filename not in unwanted),
            held=tuple(held.values()),
            blocked=_reasoned(self._files, blocked),
            left_out=_reasoned(self._files, left_out),
            reasons=self._reasons,
            expires_at=self._expires_at,
            idle_lines=tuple(self._policy.selection.idle_lines(self._name, versions)),
        )

    def _is_wanted(self, file: File) -> bool:
        name = file.filename
        return name not in self._left_out and name not in self._held and name not in self._blocked

    def _note_expiry(self, time: int | None) -> None:
        if time is not None and time > self._now and (self._expires_at is None or time < self._expires_at):
            self._expires_at = time

    def _leave_out(self, file: File, reason: str) -> None:
        if file.filename not in self._reasons:
            self._left_out[file.filename] = reason

    def _drop(self, names: Collection[Filename]) -> None:
        """Take files out of the candidates of their releases."""
        if not names:
            return
        for release in self._releases:
            release.candidates = [one for one in release.candidates if one[0].filename not in names]


def _reasoned(files: Iterable[File], reasons: Mapping[Filename, str]) -> tuple[Reasoned, ...]:
    return tuple((file, reasons[file.filename]) for file in files if file.filename in reasons) if reasons else ()


def _admits(rule: VersionRule, release: Release) -> bool:
    version = release.version
    return version is not None and rule.specifier.contains(version, prereleases=True)
