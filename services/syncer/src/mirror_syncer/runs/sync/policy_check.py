"""The judgement of a candidate for ``mirror.toml``: its mistakes, and what it would change."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mirror_contract import PolicyCheck
from mirror_syncer.catalog import Catalog
from mirror_syncer.closure.closure_source import ClosureSource
from mirror_syncer.config.mirror_toml.file import PolicyError, judge_policy
from mirror_syncer.config.mirror_toml.source import PolicySource
from mirror_syncer.runs.sync.candidate_closure import with_dependencies
from mirror_syncer.runs.sync.guard import DeletionGuard
from mirror_syncer.runs.sync.policy_preview import FilePreviewer, ProjectsConcerned
from mirror_syncer.work.transfer import StoredPages

_MAX_NAMES = 20
_DEPENDENCIES_SHARE = 0.5  # of the time that a check may take; then files are judged
_LISTED = 'scope "everything" adds each project of upstream\'s list (of PyPI 890,000); these are not counted here'


@dataclass(frozen=True, slots=True)
class PolicyInForce:
    """What a candidate is compared with."""

    source: PolicySource
    catalog: Catalog
    pages: StoredPages | None
    """None: the tree is missing, so no file is judged."""
    open_source: Callable[[], ClosureSource]
    """Returns where dependencies are found without upstream."""


def check_policy(content: bytes, in_force: PolicyInForce | None = None, *, seconds: float = 60.0) -> PolicyCheck:
    """
    Judge a candidate, and change nothing.

    Args:
        in_force: None: only mistakes are looked for.
        seconds: how long files may be judged.
    """
    try:
        policy = judge_policy(content, path=Path("mirror.toml"))
    except PolicyError as error:
        return PolicyCheck(problems=error.details)
    if in_force is None:
        return PolicyCheck(scope=policy.scope, selected=len(policy.wanted))
    source, catalog = in_force.source, in_force.catalog
    policy, warnings = source.check(policy)
    started = time.monotonic()
    policy, unknown = with_dependencies(
        policy, source.applied, open_source=in_force.open_source, seconds=seconds * _DEPENDENCIES_SHARE
    )
    warnings += unknown
    seconds -= time.monotonic() - started
    check = PolicyCheck(scope=policy.scope, selected=len(policy.wanted), warnings=warnings)
    arriving = [name for name in policy.wanted if (row := catalog.projects.get(name)) is None or not row.published]
    check.arriving, check.arriving_names = len(arriving), [*sorted(arriving)[:_MAX_NAMES]]
    in_use = source.applied
    if policy.everything and not in_use.everything:
        check.warnings.append(_LISTED)
    concerned = ProjectsConcerned(in_use, policy, catalog, replaceable=source.replaceable)
    check.leaving, check.leaving_names = concerned.leaving, concerned.leaving_names
    if in_force.pages is not None:
        check.files = FilePreviewer(in_use, policy, pages=in_force.pages, seconds=seconds).preview(concerned)
    emptied = check.files.emptied if check.files else 0
    allowed = policy.removal.allowed(DeletionGuard(catalog).count_guarded())
    # With scope everything, the guard judges all removals together.
    removals = [concerned.guarded + emptied] if policy.everything else [concerned.guarded, emptied]
    check.withheld = sum(number for number in removals if number > allowed)
    return check
