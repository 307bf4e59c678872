"""What the policy takes from outside ``mirror.toml``: locks, advisories, what people added and released, closure."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from packaging.utils import NormalizedName

from mirror_syncer.config.advisories.feed import AdvisorySource
from mirror_syncer.config.locks.lock_source import Locks, LockSource
from mirror_syncer.config.mirror_toml.added_lines import idle_added_lines, with_added_lines
from mirror_syncer.config.policy.added_line import AddedLine
from mirror_syncer.config.policy.age import Exemption
from mirror_syncer.config.policy.closure import Closure
from mirror_syncer.config.policy.contradictory_rules import contradictory_rules
from mirror_syncer.config.policy.policy import Policy
from mirror_syncer.model.policy_warning import PolicyWarning
from mirror_syncer.upstream.http.options import ClientOptions

_NO_LOCKS = Locks({})


class PolicyInputs:
    """
    Completes policies by what lock files, advisories and people say, and by what the selected projects need.

    Args:
        directory: of ``mirror.toml``.
        state: the directory that the last good readings are kept in.
        keeps: False: nothing is written there.

    Attributes:
        advisory_source: the advisories in force.
        added: the lines that people added beside those of the file.
    """

    def __init__(self, directory: Path, *, state: Path, keeps: bool) -> None:
        self._lock_source = LockSource(directory, state=state, keeps=keeps)
        self._locks = _NO_LOCKS
        self.advisory_source = AdvisorySource(state=state, keeps=keeps)
        self._released: Mapping[NormalizedName, tuple[Exemption, ...]] = {}
        self._closure: Closure | None = None
        self.added: tuple[AddedLine, ...] = ()

    def add(self, lines: tuple[AddedLine, ...]) -> None:
        """Set the lines that people added beside those of the file."""
        self.added = lines

    def release(self, released: Mapping[NormalizedName, tuple[Exemption, ...]]) -> None:
        """Set the versions that people released."""
        self._released = released

    def follow(self, closure: Closure | None) -> None:
        """Set what the selected projects need; None: it is not known."""
        self._closure = closure

    def complete(self, policy: Policy) -> Policy:
        """Return the policy in force with what its inputs say now."""
        self._locks = self._lock_source.read(policy.locks)
        advisories = self.advisory_source
        if advisories.changed(policy.advisory_location):  # 25,000 records take five seconds
            advisories.reload(policy.advisory_location, stale_after=policy.advisories_stale_after)
        return self._with(policy, self._locks)

    def preview(self, policy: Policy, *, added: tuple[AddedLine, ...] | None = None) -> Policy:
        """
        Return a candidate with what its inputs say now; nothing of it is put into force.

        Args:
            added: instead of the lines that people added.
        """
        return self._with(policy, self._lock_source.preview(policy.locks), added=added)

    def check(self, policy: Policy) -> tuple[Policy, Iterator[str]]:
        """Return a candidate as ``preview`` does, and the warnings about it; see ``warnings``."""
        locks = self._lock_source.preview(policy.locks)
        complete = self._with(policy, locks)
        return complete, self._warnings(complete, locks)

    def _with(self, policy: Policy, locks: Locks, *, added: tuple[AddedLine, ...] | None = None) -> Policy:
        policy = with_added_lines(policy, self.added if added is None else added)
        exemptions = dict(policy.exemptions)
        for name, some in self._released.items():
            exemptions[name] = (*exemptions.get(name, ()), *some)
        return replace(
            policy,
            pins=locks.pins,
            exemptions=exemptions,
            advisories=self.advisory_source.current,
            closure=self._closure if policy.dependencies.follow else None,
        )

    def changed(self, policy: Policy) -> bool:
        """Return whether the next reading may differ from the last one; this only looks at the directories."""
        return self.advisory_source.changed(policy.advisory_location) or self._lock_source.changed()

    async def refresh(self, options: ClientOptions) -> bool:
        """Request advisories if they come from a URL; return whether they changed."""
        return await self.advisory_source.refresh(options)

    def warnings(self, policy: Policy) -> Iterator[str]:
        """Yield what is wrong with the inputs in force, and which rules of a policy contradict each other."""
        return self._warnings(policy, self._locks)

    def warnings_of(self, kind: PolicyWarning, policy: Policy) -> Iterator[str]:
        """Yield the warnings of one kind."""
        return self._warnings_of(kind, policy, self._locks)

    def _warnings(self, policy: Policy, locks: Locks) -> Iterator[str]:
        for kind in PolicyWarning:
            yield from self._warnings_of(kind, policy, locks)

    def _warnings_of(self, kind: PolicyWarning, policy: Policy, locks: Locks) -> Iterator[str]:
        match kind:
            case PolicyWarning.LOCKS:
                yield from map(str, locks.problems)
            case PolicyWarning.ADVISORIES:
                yield from self.advisory_source.problems()
            case PolicyWarning.LINES:
                yield from contradictory_rules(policy)
                yield from idle_added_lines(policy, self.added)
