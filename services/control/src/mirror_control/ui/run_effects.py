"""What a run did: its failures by their cause, and its effect on one project."""

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


class RunEffect(NamedTuple):
    """What a run did with one project."""

    state: str
    """Its colour and icon."""
    text: str
    more: int = 0
    """Failures beside the first."""


def group_by_cause(failures: Iterable[Failure]) -> list[FailureGroup]:
    """Return failures by cause, the most frequent first; what concerns the whole run comes before all others."""
    groups = dict[tuple[bool, str], list[Failure]]()
    for failure in failures:
        groups.setdefault((failure.project is not None, cause(failure.reason)), []).append(failure)
    ordered = sorted(groups.items(), key=lambda group: (group[0][0], -len(group[1])))
    return [FailureGroup(reason, members) for (_, reason), members in ordered]


def describe_effect(run: Run, project: str) -> RunEffect:
    """Return what a run did with a project."""
    failures = [one for one in run.failures if one.project == project]
    if failures:
        first = failures[0]
        text = f"{first.file}: {first.reason}" if first.file else first.reason
        return RunEffect("failed", text, more=len(failures) - 1)
    change = next((one for one in run.changes if one.project == project), None)
    if change is None:
        return RunEffect("", "its page is unchanged") if run.state.ended else RunEffect("running", "not finished")
    if change.withdrawn:
        return RunEffect("withdrawn", "removed its page")
    parts = ["changed its page"]
    if change.newest_version:
        parts.append(f"newest version {change.newest_version}")
    if change.files_fetched:
        size = f" ({decimal(change.bytes_fetched)})" if change.bytes_fetched else ""
        parts.append(f"downloaded {format_count(change.files_fetched, 'file')}{size}")
    return RunEffect("succeeded", "; ".join(parts))
