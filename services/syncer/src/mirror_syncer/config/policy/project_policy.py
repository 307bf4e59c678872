"""All that the policy says about one project."""

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from mirror_syncer.config.locks import Pin
from mirror_syncer.config.machines.machines import Machines
from mirror_syncer.config.policy.age import Age, Exemption
from mirror_syncer.config.policy.block import Blocking
from mirror_syncer.config.policy.closure import ProjectClosure
from mirror_syncer.config.policy.file_rules import FileRules
from mirror_syncer.config.policy.selection import Selection
from mirror_syncer.model.names import Sha256

# The version of our pages, and of what is read from upstream's. With a new number, each of upstream's pages is
# requested once without validators, and ours is written again. Files stay. 2: URLs escape what PyPI's do; text is
# cleaned; upload times in any offset are read; file names and provenance are checked.
PAGE_FORMAT = 2


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that hold for all projects."""

    machines: Machines = field(default_factory=Machines)
    files: FileRules = field(default_factory=FileRules)
    age: Age = field(default_factory=Age)
    hashes: frozenset[Sha256] = frozenset()
    """Blocked contents."""
    superseded: timedelta = timedelta(0)
    """A published release that only newer ones pushed out stays on the page for this long."""


@dataclass(frozen=True, slots=True)
class ProjectPolicy:
    """What the policy says about one project; picklable, so that it can be sent to a worker process."""

    selection: Selection
    rules: Rules = field(default_factory=Rules)
    exemptions: tuple[Exemption, ...] = ()
    """Versions that need not wait, and versions that a person released."""
    blocks: tuple[Blocking, ...] = ()
    """Lines of ``[block]``, and advisories."""
    pins: tuple[Pin, ...] = ()
    """What lock files pin of it."""
    closure: ProjectClosure | None = None
    """What the dependency closure says about it; None: no release waits for what it requires."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the rules once for all projects of a process: 1 instead of 90 µs for each on both sides together."""
        return _unpack, (
            self.selection,
            _packed(self.rules),
            self.exemptions,
            self.blocks,
            self.pins,
            self.closure,
        )

    @property
    def keeps_all(self) -> bool:
        """Whether each file is wanted, whatever it is."""
        rules = self.rules
        return (
            self.closure is None
            and self.selection.keeps_all
            and rules.machines.are_all
            and not (rules.age.is_on or rules.hashes or self.blocks or rules.files.judges_files)
            and rules.files.max_project_size is None
        )


@lru_cache(maxsize=4)
def _packed(rules: Rules) -> bytes:
    return pickle.dumps(rules, protocol=pickle.HIGHEST_PROTOCOL)


@lru_cache(maxsize=4)
def _unpacked(rules: bytes) -> Rules:
    unpacked: Rules = pickle.loads(rules)  # noqa: S301 - our own, see Wire
    return unpacked


def _unpack(selection: Selection, rules: bytes, *rest: Any) -> ProjectPolicy:  # noqa: ANN401 - the other fields
    return ProjectPolicy(selection, _unpacked(rules), *rest)


def fingerprint(policy: ProjectPolicy, *, legacy_json: bool) -> str:
    """Return a digest of what is wanted of a project, what is published of it, and in which format."""
    rules = sorted(map(stable_text, policy.selection.rules))
    rest = [sorted(map(stable_text, part)) for part in (policy.exemptions, policy.blocks, policy.pins)]
    if (closure := policy.closure) is not None:
        rest.append(sorted(map(stable_text, closure.rules)))
        rest += [sorted(closure.resolved), sorted(closure.unusable)]
    parts = (rules, _rules_text(policy.rules), rest, legacy_json)
    return f"{PAGE_FORMAT}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}"


@lru_cache(maxsize=4)  # the same for all projects of a sync, and the greater part of a fingerprint's time
def _rules_text(rules: Rules) -> str:
    return stable_text(rules)


def is_this_format(by: str | None) -> bool:
    """Return whether a page with this fingerprint has the format in which this program publishes pages."""
    return by is not None and by.startswith(f"{PAGE_FORMAT}-")


def stable_text(value: object) -> str:
    """Return a text for a value that is the same in every process: sets in order, without what equality ignores."""
    if is_dataclass(value) and not isinstance(value, type):
        return repr([type(value).__name__, *(stable_text(getattr(value, f.name)) for f in fields(value) if f.compare)])
    if isinstance(value, Mapping):
        return repr([(key, stable_text(value[key])) for key in sorted(value)])
    if isinstance(value, (frozenset, set)):
        return repr(sorted(map(stable_text, value)))
    if isinstance(value, (tuple, list)):
        return repr([stable_text(one) for one in value])
    return repr(value)
