"""
The rules that come before versions: which files of a page are blocked, pinned, held or left out for what they are.

The first rule that says something about a file counts, in this order: blocked; pinned by a lock file, or released by a
person; the cooldown; ``[files]``; machines. A young file that ``[files]`` or machines leave out does not wait: nothing
would publish it later.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING

from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_contract.distributions import parse_distribution, read_version
from mirror_syncer.config.judgement.cooldown import Cooldown
from mirror_syncer.config.judgement.fitting import Fitting
from mirror_syncer.config.judgement.release import Release, read_releases
from mirror_syncer.config.policy.block import Blocking, blocked_hashes
from mirror_syncer.config.policy.project_policy import ProjectPolicy
from mirror_syncer.model.names import Filename, Sha256
from mirror_syncer.model.page import File, names

if TYPE_CHECKING:
    from mirror_syncer.model.decision import Hold

_SHA256 = attrgetter("sha256")


class Admission:
    """
    The files of one page that its versions may select; each method applies one rule to what the ones before it left.

    Attributes:
        name: the project.
        files: all files of the page.
        rules: of the project's policy.
        published: the published files by name.
        now: seconds since the epoch.
        reasons: why files are kept whatever the lines say, by file name.
        held: the files that wait, by file name.
        blocked: why files are blocked, by file name.
        left_out: why files are left out, by file name; those of a release are complete once it is fitted to machines.
        expires_at: when time alone changes what is admitted; seconds since the epoch.
        fitting: knows the machines.
    """

    def __init__(
        self,
        name: NormalizedName,
        files: Sequence[File],
        policy: ProjectPolicy,
        *,
        published: Mapping[str, File],
        now: int,
    ) -> None:
        self.name = name
        self.files = files
        self.rules = policy.rules
        self.published = published
        self.now = now
        self._policy = policy
        self.reasons: dict[Filename, str] = {}
        self._passing: set[Filename] = set()
        """Files that lock files pin and that therefore do not wait."""
        self.blocked: dict[Filename, str] = {}
        self.held: dict[Filename, Hold] = {}
        self.left_out: dict[Filename, str] = {}
        self.expires_at: int | None = None
        self.fitting = Fitting(self.rules.machines, left_out=self.left_out, kept=self.reasons)
        self._block()
        self._keep_pinned()
        self._hold()
        self._leave_out_unwanted()

    @cached_property
    def releases(self) -> list[Release]:
        """The releases in the page's order, each with the files that no rule has left out so far."""
        return list(self._by_version.values())

    @cached_property
    def _by_version(self) -> dict[Version | None, Release]:
        """The releases by version; the rules here read no file's name unless they have something to say about it."""
        releases = read_releases(self.name, self.files)
        for release in releases.values():
            release.fitting = self.fitting
        return releases

    def _block(self) -> None:
        """Block what a line of ``[block]`` or an advisory names by version or content."""
        blocks = self._policy.blocks
        hashes = self.rules.hashes | blocked_hashes(blocks) if blocks else self.rules.hashes
        if hashes and hashes.isdisjoint(map(_SHA256, self.files)):
            hashes = frozenset()
        if not blocks and not hashes:
            return  # nearly all pages
        for release in self.releases:
            version = release.version
            because = None if version is None else _reason(blocks, version)
            if version is not None and because is None and not hashes:
                continue  # nearly all releases
            for file in release.files:
                reason = because or self._blocked_because(file, hashes, unversioned=version is None)
                if reason is not None:
                    self.blocked[file.filename] = reason
            _drop(self.blocked, release)

    def _blocked_because(self, file: File, hashes: frozenset[Sha256], *, unversioned: bool) -> str | None:
        """Return why a file is blocked by its content, or by a version that PEP 440 does not read; or None."""
        blocks = self._policy.blocks
        if file.sha256 in hashes:
            by = next((one.reason for one in blocks if file.sha256 in one.hashes), "[block] hashes names it")
            return f"{by} (sha256 {file.sha256})"
        if unversioned and blocks:
            found = parse_distribution(file.filename)
            text = found.version if found else ""
            return _reason(blocks, None, text)
        return None

    def _keep_pinned(self) -> None:
        """Keep what a lock file pins or a person released, whatever the rules below say."""
        pins, released = self._policy.pins, [one for one in self._policy.exemptions if one.released]
        if not pins and not released:
            return
        for release in self.releases:
            by = next((one for one in released if release.version and one.holds(release.version, now=self.now)), None)
            if by is not None:
                self._note_expiry(by.until)
            for file in release.files:
                pinned = [pin for pin in pins if pin.keeps(release.version, file.sha256)]
                if pinned:
                    self.reasons[file.filename] = f"{pinned[0].source} pins it"
                    # A lock with hashes does not vouch for a wheel that is added to its release later.
                    if self.rules.age.locked and any(not p.hashes or file.sha256 in p.hashes for p in pinned):
                        self._passing.add(file.filename)
                elif by is not None:
                    self.reasons[file.filename] = by.because

    def _hold(self) -> None:
        """Hold the files that are too young."""
        age = self.rules.age
        if not age.is_on:
            return
        cooldown = Cooldown(age, self._policy.exemptions, now=self.now)
        young = cooldown.young(self.files)
        if not young:
            return
        having_young = {self._by_version[read_version(self.name, file.filename)] for file in young}
        for release in [one for one in self.releases if one in having_young]:
            held = cooldown.held(release.files, passing=self._passing, published=self.published)
            if not held:
                continue
            if (exemption := cooldown.exemption(release.version)) is not None:
                self._note_expiry(exemption.until)
                continue
            unwanted = self._unwanted(release)
            for hold in held:
                filename = hold.file.filename
                # What is published and young was put there under another policy: it leaves at once.
                if filename in unwanted and not names(self.published, hold.file):
                    self.left_out[filename] = unwanted[filename]
                else:
                    self.held[filename] = hold
                    self._note_expiry(hold.until)
            _drop({hold.file.filename for hold in held}, release)

    def _unwanted(self, release: Release) -> dict[Filename, str]:
        """Return why files of a release would be left out if they were old enough, by file name."""
        unwanted = self.fitting.unfit(release)
        rules = self.rules.files
        if rules.judges_files:
            for file in release.files:
                if (objection := next(rules.objections(file), None)) is not None:
                    unwanted[file.filename] = objection
        return {name: reason for name, reason in unwanted.items() if name not in self.reasons}

    def _leave_out_unwanted(self) -> None:
        """Leave out what ``[files]`` does not want."""
        rules = self.rules.files
        if not rules.judges_files:
            return
        for release in self.releases:
            for file in release.files:
                if file.filename not in self.reasons and (objection := next(rules.objections(file), None)) is not None:
                    self.left_out[file.filename] = objection
            _drop(self.left_out, release)

    def _note_expiry(self, time: int | None) -> None:
        if time is not None and time > self.now and (self.expires_at is None or time < self.expires_at):
            self.expires_at = time


def _reason(blocks: Sequence[Blocking], version: Version | None, text: str = "") -> str | None:
    """Return the reason of the first that blocks a version, or None if none does."""
    for block in blocks:
        if block.affects(version, text):
            return block.reason
    return None


def _drop(names: Collection[Filename], release: Release) -> None:
    """Take files out of a release."""
    release.files = [file for file in release.files if file.filename not in names]
