"""
Projects that a change of ``mirror.toml`` would leave without a file; the deletion guard keeps them as they are.

``decide()`` keeps their files as it keeps what upstream lost, so the guard judges both together. If they are no more
than a day may lose, all are removed. Otherwise all stay until a person allows it or corrects ``mirror.toml``.
"""

import asyncio

from mirror_contract.text import format_bytes
from mirror_syncer.catalog import Catalog
from mirror_syncer.config import Policy
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.sync.guard import DeletionGuard


async def report_emptied(run: ActiveRun, *, catalog: Catalog, policy: Policy) -> None:
    """Say in the message of a run how much of the withheld removals is due to a change of ``mirror.toml``."""
    found = await asyncio.to_thread(catalog.projects.emptied)
    if not found.projects:
        return
    counts = run.progress.counts
    if run.request.offline:
        # A run without upstream does not remove these projects; the next sync does, unless the guard withholds them.
        guarded = await asyncio.to_thread(DeletionGuard(catalog).count_guarded)
        counts.projects_withheld = found.projects if found.projects > policy.removal.allowed(guarded) else 0
    if counts.projects_withheld:
        run.report.remarks.append(
            f"{found.projects:,} of these are projects that mirror.toml would leave without a file "
            f"({found.files:,} files, {format_bytes(found.bytes)}): check [machines], [files], versions and latest"
        )
