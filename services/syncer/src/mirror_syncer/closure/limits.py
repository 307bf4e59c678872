"""Whether a closure is larger than the operator wants."""

from mirror_syncer.config.policy.closure import Closure, Limits

_REMEDY = "raise the limit, or name fewer projects or machines"


def exceeded(limits: Limits, closure: Closure) -> list[str]:
    """Return a sentence for each limit that a closure exceeds, with the remedy; a sync then downloads nothing."""
    projects, size = len(closure.projects), sum(one.size for one in closure.projects.values())
    problems = []
    if limits.projects is not None and projects > limits.projects:
        problems.append(f"[limits] projects = {limits.projects:,}, and the lines need {projects:,} projects; {_REMEDY}")
    if limits.size is not None and size > limits.size:
        problems.append(f"[limits] size = {limits.size:,} bytes, and the lines need {size:,} bytes; {_REMEDY}")
    return problems
