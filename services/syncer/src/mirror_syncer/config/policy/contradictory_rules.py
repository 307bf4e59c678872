"""Rules of ``mirror.toml`` that contradict each other: each is right by itself, and one of two has no effect."""

from collections.abc import Iterator

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_contract.distributions import DistributionType
from mirror_syncer.config.machines.machines import Sdists
from mirror_syncer.config.policy.closure import Dependencies, Limits
from mirror_syncer.config.policy.policy import Policy
from mirror_syncer.config.policy.selection import Selection


def contradictory_rules(policy: Policy) -> Iterator[str]:
    """Yield a sentence about each rule that another one overrules; it says which of the two counts."""
    yield from _of_tables(policy)
    for name, selection in policy.projects.items():
        yield from _of_selection(policy, name, selection)
    for name, exemptions in policy.exemptions.items():
        for exemption in exemptions:
            if exemption.released:
                continue
            blocked = policy.blocked_names.reason(name) or _wholly_blocked(policy, name, exemption.specifier)
            if blocked is not None:
                yield f"{name} is exempt from the cooldown and blocked ({blocked}): it stays blocked"
    for name in policy.pins:
        yield from _of_pins(policy, name)


def _of_tables(policy: Policy) -> Iterator[str]:
    rules, exempt = policy.rules, [one for some in policy.exemptions.values() for one in some if not one.released]
    if exempt and not rules.age.is_on:
        yield "[age] exempt has no effect, because neither [age] min nor not_after is set: nothing waits"
    if not policy.dependencies.follow and (idle := _only_followed(policy)):
        verb = "has" if len(idle) == 1 else "have"
        yield f"[dependencies] {' and '.join(idle)} {verb} no effect, because dependencies are not followed"
    if policy.everything and policy.limits != Limits():
        yield '[limits] has no effect with scope "everything"; [files] max_project_size bounds each project'
    if rules.files.kinds == {DistributionType.SDIST} and rules.machines.sdists is Sdists.NONE:
        yield '[files] kinds names only sdists and [machines] sdists is "none": no file is mirrored'


def _only_followed(policy: Policy) -> list[str]:
    """Return the keys that are set and only count where dependencies are followed."""
    table, default = policy.dependencies, Dependencies()
    keys = {"latest": "latest", "groups": "groups", "unmet": "withhold_unmet", "add": "additions"}
    return [key for key, field in keys.items() if getattr(table, field) != getattr(default, field)]


def _of_selection(policy: Policy, name: NormalizedName, selection: Selection) -> Iterator[str]:
    """Yield what contradicts a line of ``projects``."""
    if (reason := policy.blocked_names.reason(name)) is not None:
        yield f"{selection.line!r} is selected and blocked ({reason}): it is not mirrored"
        return
    if selection.rules and all(_wholly_blocked(policy, name, rule.specifier) for rule in selection.rules):
        reason = _wholly_blocked(policy, name, selection.rules[0].specifier)
        yield f"{selection.line!r} is selected and blocked ({reason}): no file of it is mirrored"
    if (pattern := policy.exclude.match(name)) is not None:
        yield f"{selection.line!r} is selected, and exclude names {pattern!r}: the line counts, so it is mirrored"


def _of_pins(policy: Policy, name: NormalizedName) -> Iterator[str]:
    """Yield what contradicts the pins of a project."""
    pins, selection = policy.pins[name], policy.projects.get(name)
    if (reason := policy.blocked_names.reason(name)) is not None:
        yield f"{name} is blocked ({reason}), and {pins[0].source} pins it: such a lock fails"
        return
    if selection is None and (pattern := policy.exclude.match(name)) is not None:
        yield f"{name} is excluded by {pattern!r}, and {pins[0].source} pins it: only what is pinned is mirrored"
    for pin in pins:
        if pin.version is None:
            continue
        if (reason := _blocked(policy, name, pin.version)) is not None:
            yield f"{name} {pin.version} is blocked ({reason}), and {pin.source} pins it: such a lock fails"
        elif selection is not None and not _admits(selection, pin.version):
            yield f"{selection.line!r} does not select {pin.version}, and {pin.source} pins it: it is mirrored, too"


def _admits(selection: Selection, version: Version) -> bool:
    return any(rule.specifier.contains(version, prereleases=True) for rule in selection.rules)


def _blocked(policy: Policy, name: NormalizedName, version: Version) -> str | None:
    """Return why a line of ``[block]`` blocks a version, or None if none does."""
    blocks = policy.blocks.get(name, ())
    return next((block.reason for block in blocks if block.affects(version, str(version))), None)


def _wholly_blocked(policy: Policy, name: NormalizedName, specifier: SpecifierSet) -> str | None:
    """Return why all that a specifier admits is blocked, as far as no page is needed to tell; or None."""
    for block in policy.blocks.get(name, ()):
        if block.specifier == specifier:
            return block.reason
    single = next((one.version for one in specifier if one.operator == "==" and "*" not in one.version), None)
    return None if single is None else _blocked(policy, name, Version(single))
