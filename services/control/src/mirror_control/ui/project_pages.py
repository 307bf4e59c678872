"""The page of each project, and why one is not here."""

from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from mirror_contract import Absence, Project, ProjectState, Run, parse_project_name
from mirror_contract.distributions import parse_version
from mirror_control.access.auth import open_to_all
from mirror_control.api.address import Address
from mirror_control.api.dependencies import Counts, Remembered, Syncer
from mirror_control.client.api_client import ApiError, RefusedError
from mirror_control.client.download_schemas import DownloadFilter, Downloads
from mirror_control.client.formatting import UNDATED_EFFECT
from mirror_control.client.schemas import ProjectFilter, RunFilter
from mirror_control.downloads.statistics import StatisticsError
from mirror_control.syncer.syncer_client import SyncerClient
from mirror_control.ui.api_errors import render_api_error
from mirror_control.ui.chart import draw_downloads
from mirror_control.ui.download_pages import DEFAULT_PERIOD, first_day
from mirror_control.ui.project_list import STATE_DESCRIPTIONS
from mirror_control.ui.releases import find_release, group_absent, group_releases, newest_release
from mirror_control.ui.rendering import render
from mirror_control.ui.run_effects import describe_effect

router = APIRouter(dependencies=[open_to_all])

# A row has some 300 bytes, a file 700: with its assets, the page stays below 150 kB.
_MAX_RELEASES = 50
_MAX_FILES = 50
_MAX_ABSENT = 30
_MAX_REQUIREMENTS = 60
_MAX_DOWNLOAD_ROWS = 20
_MAX_UNDATED_FILES = 100
_MAX_SIMILAR = 5
_MAX_RUNS = 5
_NOT_FOUND = 404

Text = Annotated[str, Query(max_length=4096)]


@router.get("/ui/projects/{name}")
async def project(
    request: Request,
    syncer: Syncer,
    remembered: Remembered,
    counts: Counts,
    name: Annotated[str, Path(max_length=4096)],
    *,
    version: Text = "",
    older: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Response:
    """Show how to install a project, its releases, the files of one, what is not here and why, and dependencies."""
    try:
        normalized = parse_project_name(name)
    except ValueError as error:
        return render(request, "error.html", title=name[:80], detail=str(error), status_code=_NOT_FOUND)
    try:
        counted = await counts.get_recent_downloads(
            DownloadFilter(project=normalized, since=first_day(DEFAULT_PERIOD), top=_MAX_DOWNLOAD_ROWS)
        )
    except StatisticsError:
        counted = None
    try:
        # Last, so that no call waits while it holds hundreds of files in memory.
        known = await remembered.ask(f"project {normalized}", partial(syncer.get_project, normalized))
        found = known.value
    except RefusedError as error:
        if error.problem.status == _NOT_FOUND:
            absence = str((error.problem.model_extra or {}).get("absence", Absence.UNSELECTED))
            detail = error.problem.detail or error.problem.title
            return await _render_absent(request, syncer, normalized, absence=absence, detail=detail)
        return render_api_error(request, error, title=normalized)
    except ApiError as error:
        return render_api_error(request, error, title=normalized)
    if found.state is ProjectState.WITHDRAWN and found.selected is None:
        absence = Absence.BLOCKED if (found.error or "").startswith("blocked") else Absence.UNSELECTED
        detail = f"{normalized} was here: {found.error or STATE_DESCRIPTIONS[found.state]}."
        return await _render_absent(request, syncer, normalized, absence=absence, detail=detail)
    runs = await _runs_of(syncer, normalized)
    return _render_project(
        request,
        found,
        as_of=known.outdated_since,
        counted=counted,
        runs=runs,
        version=version.strip()[:200],
        older=older,
    )


async def _runs_of(syncer: SyncerClient, name: str) -> list[Run] | None:
    """Return the last runs that name a project; None if the syncer does not say."""
    try:
        return (await syncer.list_runs(RunFilter(project=name, limit=_MAX_RUNS))).items
    except ApiError:
        return None


def _render_project(
    request: Request,
    found: Project,
    *,
    as_of: datetime | None,
    counted: Downloads | None,
    runs: list[Run] | None,
    version: str,
    older: int,
) -> Response:
    published = [file for file in reversed(found.files or []) if file.url]
    releases, absent = group_releases(published), group_absent(file for file in found.files or [] if not file.url)
    newest = newest_release(releases)
    chosen = find_release(releases, version) if version else newest
    wanted = parse_version(version)
    here = absent if not version else [one for one in absent if one.version and parse_version(one.version) == wanted]
    is_default = chosen is not None and chosen is newest and not chosen.is_prerelease
    pinned = chosen is not None and chosen.version is not None and not is_default
    shown = chosen.files[:_MAX_FILES] if chosen else []
    dependencies = found.dependencies
    return render(
        request,
        "project.html",
        project=found,
        as_of=as_of,
        description=STATE_DESCRIPTIONS[found.state],
        mirror=Address.of_request(request.headers),
        requirement=f"{found.name}=={chosen.version}" if pinned and chosen else found.name,
        releases=releases[older : older + _MAX_RELEASES],
        older=older + _MAX_RELEASES if len(releases) > older + _MAX_RELEASES else None,
        version=version,
        newest=newest,
        chosen=chosen,
        files=shown,
        hidden=len(chosen.files) - len(shown) if chosen else 0,
        more=max(found.file_count - len(published), 0),
        undated=[file.filename for file in published if file.upload_time is None][:_MAX_UNDATED_FILES],
        undated_effect=UNDATED_EFFECT,
        absent=here[:_MAX_ABSENT],
        more_absent=max(len(here) - _MAX_ABSENT, 0),
        requires=dependencies.requires[:_MAX_REQUIREMENTS] if dependencies else [],
        required_by=dependencies.required_by[:_MAX_REQUIREMENTS] if dependencies else [],
        kept=dependencies.releases[:_MAX_ABSENT] if dependencies else [],
        most_shown=_MAX_REQUIREMENTS,
        counted=counted,
        drawn=draw_downloads(counted.days, since=counted.since, until=counted.until) if counted else None,
        runs=runs,
        effects={one.id: describe_effect(one, found.name) for one in runs or []},
    )


async def _render_absent(request: Request, syncer: SyncerClient, name: str, *, absence: str, detail: str) -> Response:
    """Say why a project is not here, how to get it, and which similar names are here."""
    try:
        similar = (await syncer.list_projects(ProjectFilter(q=name, limit=_MAX_SIMILAR))).items
    except ApiError:
        similar = []
    status = syncer.last_known_status
    return render(
        request,
        "absent.html",
        name=name,
        absence=absence,
        detail=detail,
        everything=status is not None and status.scope == "everything",
        similar=[one.name for one in similar if one.name != name],
        status_code=_NOT_FOUND,
    )
