"""The dependencies of a candidate for ``mirror.toml``, by what is stored here; upstream is not asked."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from mirror_syncer.closure.closure_source import ClosureSource
from mirror_syncer.closure.demands import Demands
from mirror_syncer.closure.limits import exceeded
from mirror_syncer.closure.resolution import resolve_with_demands
from mirror_syncer.config import Policy
from mirror_syncer.config.policy.closure import Closure
from mirror_syncer.errors import LimitExceededError, MirrorError

_MAX_NAMED = 5
_STOPS = "a sync downloads nothing"
_AS_IN_FORCE = (
    "dependencies count as in the policy in force; `mirror-syncer plan` resolves them once the file is in use"
)


def with_dependencies(
    candidate: Policy, in_force: Policy, *, open_source: Callable[[], ClosureSource], seconds: float
) -> tuple[Policy, list[str]]:
    """
    Return a candidate with its dependencies, and warnings about what is not known of them.

    Blocks for some seconds where it differs from the policy in force.

    Args:
        candidate: with the closure in force.
        open_source: returns a source that asks no upstream and stores nothing.
        seconds: how long it may take; then the closure in force stays.
    """
    if not candidate.dependencies.follow or candidate.awaits_closure or _is_same(candidate, in_force):
        return candidate, []

    async def resolve() -> tuple[Closure, Demands]:
        async with asyncio.timeout(seconds), open_source() as source:
            return await resolve_with_demands(candidate, source=source, now=int(time.time()))

    try:
        with ThreadPoolExecutor(max_workers=1) as thread:  # a loop of its own: the caller may run in one
            closure, demands = thread.submit(asyncio.run, resolve()).result()
    except LimitExceededError as error:
        return candidate, [f"{_STOPS}: {error}"]
    except (MirrorError, TimeoutError):
        return candidate, [_AS_IN_FORCE]
    warnings = [f"{_STOPS}: {problem}" for problem in exceeded(candidate.limits, closure)]
    unknown = sorted({name for name, project in demands.projects.items() if project.error is not None})
    if unknown:
        more = f" and {len(unknown) - _MAX_NAMED:,} more" if len(unknown) > _MAX_NAMED else ""
        named = f"{', '.join(unknown[:_MAX_NAMED])}{more}"
        warnings.append(f"what {named} need is not known here and not counted; a sync asks upstream")
    return replace(candidate, closure=closure), warnings


def _is_same(candidate: Policy, in_force: Policy) -> bool:
    return replace(candidate, limits=in_force.limits) == in_force and in_force.closure is not None
