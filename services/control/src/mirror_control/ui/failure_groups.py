"""A run's failures by their cause, and what a run did with one project."""

from collections.abc import Iterable
from typing import NamedTuple

from rich.filesize import decimal

from mirror_contract import Failure, Run
from mirror_contract.failure import cause
from mirror_control.client.formatting import format_count

_MAX_SHOWN = 15


class FailureGroup(NamedTuple):
    """Failures with one cause."""

    cause: str
    failures: list[Failure]

    @property
    def first(self) -> list[Failure]:
        """The first fifteen."""
        return self.failures[:_MAX_SHOWN]

    @property
    def others(self) -> list[Failure]:
        """The others."""
        return self.failures[_MAX_SHOWN:]


def group_by_cause(failures: Iterable[Failure]) -> list[FailureGroup]:
    """Return failures by cause, the most frequent first; what concerns the whole run comes before all others."""
    groups = dict[tuple[bool, str], list[Failure]]()
    for failure in failures:
        groups.setdefault((failure.project is not None, cause(failure.reason)), []).append(failure)
    ordered = sorted(groups.items(), key=lambda group: (group[0][0], -len(group[1])))
    return [FailureGroup(reason, members) for (_, reason), members in ordered]


def describe_effect(run: Run, project: str) -> tuple[str, str]:
    """Return what a run did with a project, as a state for its colour and as a sentence."""
    failure = next((one for one in run.failures if one.project == project), None)
    if failure is not None:
        return "failed", f"{failure.file}: {failure.reason}" if failure.file else failure.reason
    change = next((one for one in run.changes if one.project == project), None)
    if change is None:
        return ("", "unchanged") if run.state.ended else ("running", "not finished")
    if change.withdrawn:
        return "withdrawn", "removed"
    size = f" ({decimal(change.bytes_fetched)})" if change.bytes_fetched else ""
    files = f", {format_count(change.files_fetched, 'file')} downloaded{size}" if change.files_fetched else ""
    return "succeeded", f"changed{f'; newest version {change.newest_version}' if change.newest_version else ''}{files}"
