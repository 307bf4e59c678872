"""What the policy takes from outside ``mirror.toml``: lock files, and the versions that people released."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from packaging.utils import NormalizedName

from mirror_syncer.config.age import Exemption
from mirror_syncer.config.locks import Locks, LockSource
from mirror_syncer.config.policy import Policy

_NO_LOCKS = Locks({})


class PolicyInputs:
    """
    Completes policies by what lock files and people say.

    Args:
        directory: of ``mirror.toml``.
        state: the directory that the last good readings are kept in.
        keeps: False: nothing is written there.
    """

    def __init__(self, directory: Path, *, state: Path, keeps: bool) -> None:
        self._lock_source = LockSource(directory, state=state, keeps=keeps)
        self._locks = _NO_LOCKS
        self._released: Mapping[NormalizedName, tuple[Exemption, ...]] = {}

    def release(self, released: Mapping[NormalizedName, tuple[Exemption, ...]]) -> None:
        """Take these versions for released by people, and no others."""
        self._released = released

    def complete(self, policy: Policy) -> Policy:
        """Return a policy with what its inputs say now."""
        self._locks = self._lock_source.read(policy.locks) if policy.locks else _NO_LOCKS
        exemptions = dict(policy.exemptions)
        for name, some in self._released.items():
            exemptions[name] = (*exemptions.get(name, ()), *some)
        return replace(policy, pins=self._locks.pins, exemptions=exemptions)

    def changed(self, policy: Policy) -> bool:
        """Return whether the next reading may differ from the last one; this only looks at the directories."""
        return bool(policy.locks) and self._lock_source.changed()

    def warnings(self, policy: Policy) -> Iterator[str]:
        """Yield what is wrong with the inputs, and which lines of a policy contradict each other."""
        yield from map(str, self._locks.problems)
        for name, selection in policy.projects.items():
            if (reason := policy.blocked_names.reason(name)) is not None:
                yield f"{selection.line!r} is selected and blocked ({reason}): it is not mirrored"
        for name, pins in policy.pins.items():
            if (reason := policy.blocked_names.reason(name)) is not None:
                yield f"{name} is blocked ({reason}), and {pins[0].source} pins it: such a lock fails"
                continue
            for pin in pins:
                blocks = policy.blocks.get(name, ())
                if pin.version is not None and any(block.affects(pin.version, str(pin.version)) for block in blocks):
                    yield f"{name} {pin.version} is blocked, and {pin.source} pins it: such a lock fails"
