"""
Projects of which a change of ``mirror.toml`` would leave no file, and which the deletion guard keeps as they are.

``decide()`` keeps their files as it keeps what upstream lost, so the guard judges both together: it lets go as many
projects as a day may lose, and otherwise all of them stay until a person allows it or the file is corrected.
"""

import asyncio

from mirror_contract.text import format_bytes
from mirror_syncer.catalog import Catalog
from mirror_syncer.config import Policy
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.sync.guard import DeletionGuard


async def report_emptied(run: ActiveRun, *, catalog: Catalog, policy: Policy) -> None:
    """Say in the message of a run that withholds removals how much of that a change of ``mirror.toml`` would remove."""
    found = await asyncio.to_thread(catalog.projects.emptied)
    if not found.projects:
        return
    counts = run.progress.counts
    if run.request.offline:
        # Such a run removes nothing for the guard; the next sync does, unless there is too much.
        guarded = await asyncio.to_thread(DeletionGuard(catalog).count_guarded)
        counts.projects_withheld = found.projects if found.projects > policy.removal.allowed(guarded) else 0
    if counts.projects_withheld:
        run.report.remarks.append(
            f"{found.projects:,} of these are projects that mirror.toml would leave without a file "
            f"({found.files:,} files, {format_bytes(found.bytes)}): check [machines], [files], versions and latest"
        )
