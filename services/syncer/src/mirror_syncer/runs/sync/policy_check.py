"""The judgement of a candidate for ``mirror.toml``: its mistakes, and how many projects it would change."""

from pathlib import Path

from mirror_contract import PolicyCheck
from mirror_syncer.catalog import Catalog
from mirror_syncer.config import PolicyError, PolicySource, judge_policy
from mirror_syncer.runs.sync.guard import DeletionGuard
from mirror_syncer.runs.sync.plan import plan_sync

_MAX_NAMES = 20


def check_policy(content: bytes, *, source: PolicySource | None = None, catalog: Catalog | None = None) -> PolicyCheck:
    """
    Judge a candidate, and change nothing.

    Args:
        source: the policy in force; with it and the catalog, the numbers are counted.
    """
    try:
        policy = judge_policy(content, path=Path("mirror.toml"))
    except PolicyError as error:
        return PolicyCheck(problems=error.details)
    check = PolicyCheck(scope=policy.scope, selected=len(policy.wanted))
    if source is None or catalog is None:
        return check
    rows = {row.name: row for row in catalog.projects.all_rows()}
    arriving = sorted(name for name in policy.wanted if name not in rows or not rows[name].published)
    check.arriving, check.arriving_names = len(arriving), list(arriving[:_MAX_NAMES])
    if policy.everything:
        return check  # what leaves then is upstream's to say
    plan = plan_sync(
        policy,
        rows,
        published=DeletionGuard(catalog).count_guarded(),
        replaceable=source.replaceable,
    )
    leaving = sorted((*plan.withdraw, *plan.withheld))
    check.leaving, check.leaving_names = len(leaving), list(leaving[:_MAX_NAMES])
    check.withheld = len(plan.withheld)
    return check
