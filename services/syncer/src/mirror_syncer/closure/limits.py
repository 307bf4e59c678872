"""Whether a closure is larger than the operator wants, or than any should be."""

from collections import Counter
from collections.abc import Iterable, Mapping

from packaging.utils import NormalizedName

from mirror_syncer.closure.project import Project
from mirror_syncer.config.policy.closure import Closure, Limits
from mirror_syncer.errors import LimitExceededError

_MAX_REQUIRED = 20_000  # without a limit; a hostile release alone may name 10,000
_SLACK = 10  # a closure is followed so far beyond its limit, to tell by how much it exceeds it
_MIN_REQUIRED = 1_000

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


def check_growth(limits: Limits, projects: Mapping[NormalizedName, Project], named: Iterable[NormalizedName]) -> None:
    """
    Go on unless what is required has grown beyond all bounds; upstream would be asked for each project.

    Args:
        projects: those that were required so far, whether upstream has them or not.
        named: the projects that ``mirror.toml`` names itself.

    Raises:
        LimitExceededError: it has.
    """
    bound = _MAX_REQUIRED if limits.projects is None else max(_MIN_REQUIRED, _SLACK * limits.projects)
    if len(projects) <= bound:
        return
    required = projects.keys() - set(named)
    if len(required) <= bound:
        return
    first = [next(iter(projects[name].demands.values())).requirer for name in required if projects[name].demands]
    by = Counter(requirer.project or requirer.text for requirer in first)
    most, count = max(by.items(), key=lambda one: (one[1], one[0]), default=("", 0))
    limit = "" if limits.projects is None else f"[limits] projects = {limits.projects:,}, and "
    problem = f"{limit}more than {bound:,} projects are required, {count:,} of them first by {most}"
    raise LimitExceededError(f"{problem}; if you want them all, set or raise [limits] projects; else block {most}")
