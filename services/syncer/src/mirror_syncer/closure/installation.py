"""Whether requirements can be installed together, machine by machine, without following all that is demanded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName

from mirror_syncer.closure.client_masks import bits
from mirror_syncer.closure.demands import Demands
from mirror_syncer.closure.environments import Environments
from mirror_syncer.closure.refutation import Refutation
from mirror_syncer.closure.source import Source
from mirror_syncer.closure.witnesses import Witnesses
from mirror_syncer.config import Policy
from mirror_syncer.config.judgement.candidates import Candidates
from mirror_syncer.config.locks import Pin
from mirror_syncer.config.machines.listing import listed
from mirror_syncer.config.policy.roots import Root


@dataclass(frozen=True, slots=True)
class Installation:
    """The answer for one machine."""

    subject: str
    machine: str
    """As in ``Python 3.11 on linux-x86_64``."""
    releases: Mapping[NormalizedName, str] | None
    """What is installed; empty: no requirement counts on the machine; None: it cannot be installed."""
    reason: str = ""
    """Why it cannot, in the solver's words."""


async def prove_together(roots: Sequence[Root], policy: Policy, *, source: Source, now: int) -> list[Installation]:
    """
    Return for each root and machine whether its requirements can be installed together.

    Only the pages and the metadata are read that the solver looks at. Nothing is demanded, so no release is preferred:
    the newest ones are tried first, as by pip and uv.

    Args:
        policy: says which releases count, and for which machines.
        now: seconds since the epoch.

    Raises:
        MirrorError: what a release requires cannot be had.
    """
    environments = Environments(policy.rules.machines)
    witnesses = Witnesses(Demands(policy, source=source, environments=environments, now=now), environments)
    installations = list[Installation]()
    for root in roots:
        machines = list(bits(witnesses.environments.everyone))
        answers = {witnesses.names(bit)[0]: await witnesses.assign(root, bit) for bit in machines}
        where: dict[Refutation, list[str]] = {}
        for machine, answer in answers.items():
            if isinstance(answer, Refutation):
                where.setdefault(answer, []).append(machine)
        for machine, answer in answers.items():
            if isinstance(answer, Refutation):
                reason = answer.message(listed(where[answer]))
                installations.append(Installation(root.subject, machine, None, reason))
            else:
                releases = {name: str(version) for name, version in sorted(answer.items())}
                installations.append(Installation(root.subject, machine, releases))
    return installations


@dataclass(frozen=True, slots=True)
class PinnedRelease:
    """A release that a lock names, and where it can be installed."""

    pin: Pin
    machines: frozenset[str]
    reason: str = ""
    """Why nowhere."""


async def find_pins(
    pins: Sequence[Pin], policy: Policy, *, source: Source, now: int
) -> tuple[list[str], list[PinnedRelease]]:
    """
    Return the machines, and for each pin those for which there is one of its files.

    Args:
        policy: with the pins.
        now: seconds since the epoch.
    """
    environments = Environments(policy.rules.machines)
    demands = Demands(policy, source=source, environments=environments, now=now)
    witnesses = Witnesses(demands, environments)
    found = []
    for pin in pins:
        project = await demands.get_project(pin.project)
        if project.error is not None or project.candidates is None:
            blocked = demands.policy_of(pin.project) is None
            why = f"{pin.project} is blocked in mirror.toml" if blocked else f"there is no project {pin.project}"
            found.append(PinnedRelease(pin, frozenset(), project.error or why))
            continue
        clients = 0
        for release in project.candidates.releases:
            if any(pin.keeps(release.version, file.sha256) for file in project.files(release)):
                clients |= witnesses.clients(release)[0] | witnesses.clients(release)[1]
        reason = "" if clients else _why_none(pin, project.candidates, demands)
        found.append(PinnedRelease(pin, frozenset(witnesses.names(clients)), reason))
    return list(witnesses.names(witnesses.environments.everyone)), found


def _why_none(pin: Pin, candidates: Candidates, demands: Demands) -> str:
    if pin.version is None:
        return f"no file of {pin.project} has one of its hashes"
    everyone = demands.masks.clients(demands.everyone) or 0b111
    return candidates.why_none(SpecifierSet(f"=={pin.version}"), everyone)[1]
