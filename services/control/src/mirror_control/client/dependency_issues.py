"""The issues of the lines of mirror.toml that cannot be installed from the mirror, found in its status."""

from mirror_contract import Status
from mirror_control.client.formatting import format_count
from mirror_control.client.issue import MIRRORCTL, HealthLevel, Issue

_MAX_SHOWN = 3


def find_dependency_issues(status: Status) -> list[Issue]:
    """Return the issue of lines and groups without a proof; a single unmet requirement may concern nobody."""
    found = status.dependencies
    if found is None or not found.lines_without_proof:
        return []
    more = found.lines_without_proof - len(found.without_proof[:_MAX_SHOWN])
    reasons = [one.message for one in found.without_proof[:_MAX_SHOWN]] + ([f"and {more:,} more"] if more else [])
    verb = "does" if found.lines_without_proof == 1 else "do"
    return [
        Issue(
            level=HealthLevel.WARNING,
            title=f"{format_count(found.lines_without_proof, 'line')} of mirror.toml {verb} not install from here",
            detail="; ".join(reasons),
            still_works="All other lines and groups install. What is mirrored of these can be downloaded.",
            remedy=f"`{MIRRORCTL} projects --unmet` lists the machines and the reasons. Change the line, leave out "
            "the machine, or let the release through that the reason names: it may wait or be blocked.",
        )
    ]
