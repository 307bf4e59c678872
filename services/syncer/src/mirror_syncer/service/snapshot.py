"""What the metrics show: the mirror's current numbers, and the runs of earlier processes."""

import time

from mirror_contract import RunKind, RunState
from mirror_syncer.catalog import Catalog, Fact
from mirror_syncer.errors import VolumeError
from mirror_syncer.metrics import COMPLETE, ENDED, Metrics, Snapshot
from mirror_syncer.runs.context import RunContext
from mirror_syncer.service.closure_facts import ClosureFacts


def take_snapshot(context: RunContext, closure: ClosureFacts) -> Snapshot:
    """Return the current numbers. Blocks for the catalog and the disk."""
    catalog = context.catalog
    totals = catalog.projects.totals()
    withheld, now, next_expiry = catalog.withheld.totals(), time.time(), catalog.due.next_expiry()
    advisories = context.policy.advisory_source.current
    is_late = next_expiry is not None and next_expiry < now and not catalog.recall(Fact.PAUSED)
    serials = catalog.serials() if context.policy.current.everything else None
    try:
        disk = context.volume.disk()
    except VolumeError:  # every run reports a missing disk; the other numbers are still shown
        disk = None
    return Snapshot(
        projects=totals.projects,
        files=totals.files,
        stored_bytes=totals.stored_bytes,
        serial=serials and serials[0],
        upstream_serial=serials and serials[1],
        news_at=catalog.news_at() or 0,
        queue=context.queue.depth(),
        running=frozenset(run.request.kind for run in context.runs.running()),
        paused_since=int(catalog.recall(Fact.PAUSED) or 0),
        disk=disk,
        policy_valid=context.policy.error is None,
        policy_warnings=context.policy.count_warnings(),
        advisories={str(kind): number for kind, number in advisories.counts.items()},
        newest_advisory=newest.timestamp() if (newest := advisories.newest_modified) else 0,
        held_files=withheld.held_files,
        blocked_files=withheld.blocked_files,
        next_expiry=next_expiry or 0,
        maturity_late=now - next_expiry if is_late and next_expiry is not None else 0.0,
        closure_projects=closure.projects,
        unmet_requirements=closure.unmet,
        lines_without_proof=len(closure.without_proof),
        released_versions=catalog.exemptions.count(now=int(now)),
    )


def show_last_runs(metrics: Metrics, catalog: Catalog) -> None:
    """Show the whole runs of earlier processes: of each kind the last that succeeded, completed and ended."""
    for kind in RunKind:
        for states in ((RunState.SUCCEEDED,), COMPLETE, ENDED):
            for run in catalog.runs.page(states=states, kind=kind, whole=True, limit=1):
                metrics.show_run(run)
