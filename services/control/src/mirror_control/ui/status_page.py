"""The first page: what is wrong, what is under way, and what the mirror holds."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from mirror_control.access.auth import open_to_all
from mirror_control.api.dependencies import AccessLogIntake, CachedChanges, FullSyncs, Syncer
from mirror_control.client.api_client import ApiError
from mirror_control.client.health import assess_health, assess_unknown_status
from mirror_control.ui.chart import draw_syncs
from mirror_control.ui.rendering import render

router = APIRouter(dependencies=[open_to_all])


@router.get("/ui/")
async def status(
    request: Request, syncer: Syncer, history: FullSyncs, changes: CachedChanges, intake: AccessLogIntake
) -> Response:
    """Show issues first: since when, what still works, and what to do; then the facts."""
    try:
        found = await syncer.get_status_or_last_known()
    except ApiError as error:
        verdict = assess_unknown_status(str(error))
        return render(request, "status.html", verdict=verdict, status=None, runs=[], status_code=503)
    syncs = await history.get_syncs(syncer, found)
    return render(
        request,
        "status.html",
        verdict=assess_health(found, now=datetime.now(UTC)),
        status=found,
        runs=syncs,
        charts=draw_syncs(syncs),
        speeds={run.id: syncer.speeds.speed_of(run.id) for run in found.running} if found.syncer_up else {},
        growth=syncer.disk_history.growth(),
        forecast_from=syncer.disk_history.forecast_from(),
        recent=await changes.get_changes(syncer),
        certificate_end=intake.certificate_end(),
        grafana=request.app.state.grafana_url,
    )
