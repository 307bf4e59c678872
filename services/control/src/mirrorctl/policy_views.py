"""Views of held files and releases."""

from collections.abc import Iterable

from rich.table import Table

from mirror_contract import HeldFile, HeldSummary, Project, ProjectFile, Release, Status
from mirror_contract.text import printable
from mirror_control.client.formatting import format_count, format_moment, format_time
from mirrorctl.tables import new_table

_MAX_WARNINGS = 10


def held(found: Iterable[HeldFile]) -> Table:
    """Return a table of files that clients cannot download for now."""
    rows = new_table("project", "file", "decision", "until", "reason")
    for one in found:
        until = "" if one.until is None else format_moment(one.until)
        rows.add_row(one.project, printable(one.filename), one.decision, until, printable(one.reason))
    return rows


def releases(found: Iterable[Release]) -> Table:
    """Return a table of releases."""
    rows = new_table("id", "version", "ends", "by", "reason")
    for one in found:
        rows.add_row(
            one.id, printable(one.requirement), format_time(one.until), printable(one.by), printable(one.because)
        )
    return rows


def changed_release(found: Release, *, revoked: bool) -> str:
    """Return what a change of a release does, as a sentence."""
    version, run = printable(found.requirement), f"; run {found.run} puts it into force" if found.run else ""
    if revoked:
        return f"The release of {version} is revoked{run}."
    return f"{version} is released until {format_moment(found.until)}{run}. To revoke it: --revoke {found.id}"


def add_facts(facts: Table, found: Status) -> None:
    """Add what a status says about the policy: how many files it holds, its state, and its warnings."""
    if found.held is not None:
        facts.add_row("held", _held(found.held))
    facts.add_row("policy", found.policy.sentence() if found.policy else "unknown")
    warnings = found.policy.warnings if found.policy else []
    for warning in warnings[:_MAX_WARNINGS]:
        facts.add_row("warning", printable(warning))
    if len(warnings) > _MAX_WARNINGS:
        facts.add_row("", f"and {len(warnings) - _MAX_WARNINGS:,} more warnings: mirrorctl status --json")


def decision(file: ProjectFile) -> str:
    """Return what the mirror does with a file, and until when."""
    return file.decision if file.until is None else f"{file.decision} until {format_moment(file.until)}"


def _held(found: HeldSummary) -> str:
    held, blocked = format_count(found.held_files, "file"), format_count(found.blocked_files, "file")
    change = f"; the next change is {format_time(found.next_change_at)}" if found.next_change_at else ""
    return f"{held} waiting, {blocked} blocked{change}; `mirrorctl held` lists them"


def withheld(found: Project) -> str:
    """Return how many of a project's files wait or are blocked; empty if none is."""
    parts = [f"{number:,} {word}" for number, word in ((found.held_files, "waiting"), (found.blocked_files, "blocked"))]
    return f" ({', '.join(parts)})" if found.held_files or found.blocked_files else ""
