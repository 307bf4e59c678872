"""The policy in force in words, for people who do not read ``mirror.toml``."""

from collections.abc import Iterator

from mirror_contract import PolicyFact
from mirror_contract.distributions import DistributionType
from mirror_contract.text import format_bytes
from mirror_syncer.config.advisories import BlockingRules
from mirror_syncer.config.machines.machines import Sdists
from mirror_syncer.config.policy.age import Age, format_duration
from mirror_syncer.config.policy.file_rules import FileRules
from mirror_syncer.config.policy.policy import Policy

_SDISTS = {
    Sdists.WHERE_NEEDED: "; sdists where no wheel fits",
    Sdists.ALL: "",
    Sdists.NONE: "; no sdists",
}


def describe_policy(policy: Policy, *, added: int) -> list[PolicyFact]:
    """
    Return what the policy says about all projects, without the name of any.

    Args:
        added: how many lines people added beside those of the file.
    """
    machines, files = policy.rules.machines, ", ".join(_files(policy.rules.files))
    said = {
        "scope": _scope(policy),
        "lines": _lines(policy, added=added),
        "dependencies": _dependencies(policy),
        "machines": f"{machines}{_SDISTS[machines.sdists]}",
        "files": files or "all kinds",
        "age": _age(policy.rules.age),
        "blocks": ", ".join(_blocks(policy)) or "none",
        "advisories": _advisories(policy.blocking, known=sum(policy.advisories.counts.values())),
        "removal": f"files stay {format_duration(policy.removal.grace)} after they leave their page; in a day "
        f"{policy.removal.guard * 100:.3g} % of the projects, or {policy.removal.floor} if that is more, may lose "
        "files, and more only when a person allows it",
    }
    return [PolicyFact(about=about, text=text) for about, text in said.items()]


def _scope(policy: Policy) -> str:
    if not policy.everything:
        return "only what lines select"
    names = [f"{len(policy.include.patterns):,} include"] * bool(policy.include)
    names += [f"{len(policy.exclude.patterns):,} exclude"] * bool(policy.exclude)
    return "all of upstream" + (f", limited by patterns: {', '.join(names)}" if names else "")


def _lines(policy: Policy, *, added: int) -> str:
    parts = [_number(len(policy.projects), "project named", "projects named")]
    parts += [f"{_number(added, 'line', 'lines')} added by people"] * bool(added)
    parts += [f"{_number(len(policy.pins), 'project', 'projects')} in lock files"] * bool(policy.pins)
    latest = "" if policy.latest is None else f"; the newest {_number(policy.latest, 'release', 'releases')} of each"
    return ", ".join(parts) + latest


def _dependencies(policy: Policy) -> str:
    if not policy.dependencies.follow:
        return "not followed"
    withheld = "; a release whose requirements are not met waits" if policy.dependencies.withhold_unmet else ""
    return f"followed, the newest {_number(policy.dependencies.latest, 'release', 'releases')} of each{withheld}"


def _files(rules: FileRules) -> Iterator[str]:
    if rules.prereleases is not None:
        yield "with prereleases" if rules.prereleases else "no prereleases"
    if not rules.yanked:
        yield "no yanked files"
    if rules.kinds != frozenset(DistributionType):
        yield f"only {' and '.join(sorted(rules.kinds))}"
    if rules.max_file_size is not None:
        yield f"at most {format_bytes(rules.max_file_size)} each"
    if rules.max_project_size is not None:
        yield f"at most {format_bytes(rules.max_project_size)} a project"
    if rules.uploaded_after is not None:
        yield f"uploaded after {rules.uploaded_after:%Y-%m-%d}"
    if rules.uploaded_before is not None:
        yield f"uploaded before {rules.uploaded_before:%Y-%m-%d}"


def _age(age: Age) -> str:
    if not age.is_on:
        return "files are published at once"
    parts = [f"files wait {format_duration(age.min)}"] if age.min else []
    parts += [f"nothing that was uploaded after {age.not_after:%Y-%m-%d %H:%M} UTC"] if age.not_after else []
    parts += [] if age.hold_unknown else ["files without an upload time do not wait"]
    parts += ["what a lock file pins does not wait"] if age.locked else []
    return "; ".join(parts)


def _blocks(policy: Policy) -> Iterator[str]:
    if names := len(policy.blocked_names.names) + len(policy.blocked_names.patterns):
        yield _number(names, "name or pattern", "names and patterns")
    if policy.blocks:
        yield f"versions of {_number(len(policy.blocks), 'project', 'projects')}"
    if policy.rules.hashes:
        yield _number(len(policy.rules.hashes), "hash", "hashes")


def _advisories(rules: BlockingRules, *, known: int) -> str:
    if not known:
        return "none are known"
    severity = "" if rules.severity is None else f", and vulnerabilities from severity {rules.severity.word} on"
    return f"{known:,} in force: malware is blocked{severity}"


def _number(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
