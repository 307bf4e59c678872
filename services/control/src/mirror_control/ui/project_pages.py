"""The pages of projects: a list to search, a page for each, and why one is not here."""

from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from mirror_contract import Absence, Project, ProjectSort, ProjectState, Run, parse_project_name
from mirror_contract.distributions import parse_version
from mirror_control.access.auth import open_to_all
from mirror_control.api.address import Address
from mirror_control.api.dependencies import Counts, Remembered, Syncer
from mirror_control.client.api_client import ApiError, RefusedError
from mirror_control.client.download_schemas import DownloadFilter, Downloads
from mirror_control.client.formatting import UNDATED_EFFECT
from mirror_control.client.schemas import ProjectFilter, ProjectPage, RunFilter
from mirror_control.downloads.statistics import Statistics, StatisticsError
from mirror_control.syncer.syncer_client import SyncerClient
from mirror_control.ui.api_errors import render_api_error
from mirror_control.ui.chart import draw_downloads
from mirror_control.ui.download_pages import DEFAULT_PERIOD, first_day, render_unreadable
from mirror_control.ui.releases import find_release, group_absent, group_releases, newest_release
from mirror_control.ui.rendering import render
from mirror_control.ui.run_effects import describe_effect

router = APIRouter(dependencies=[open_to_all])

_PAGE_SIZE = 100
_MAX_QUERY_LENGTH = 214
_MAX_AFTER_LENGTH = 512
# A row has some 300 bytes, a file 700: with its assets, the page stays below 150 kB.
_MAX_RELEASES = 50
_MAX_FILES = 50
_MAX_ABSENT = 30
_MAX_REQUIREMENTS = 60
_MAX_DOWNLOAD_ROWS = 20
_MAX_UNDATED_FILES = 100
_MAX_SIMILAR = 5
_MAX_RUNS = 5
_MAX_RANKED = 1_000
BY_DOWNLOADS = "downloads"
"""An order that only the page has."""
_NOT_FOUND = 404

Text = Annotated[str, Query(max_length=4096)]


@router.get("/ui/projects")
async def projects(  # noqa: PLR0917 - FastAPI's parameters
    request: Request,
    syncer: Syncer,
    remembered: Remembered,
    counts: Counts,
    q: Text = "",
    state: Text = "",
    sort: Text = "",
    after: Text = "",
) -> Response:
    """Search projects by a part of their name, the best match first, and by their state."""
    text = _part_of_name(q)
    states = [ProjectState(state)] if state in list(ProjectState) else []
    order = ProjectSort(sort) if sort in list(ProjectSort) else None
    after = after[:_MAX_AFTER_LENGTH]
    downloads = dict[str, int]()
    as_of = None
    try:
        if sort == BY_DOWNLOADS:
            found, downloads = await _most_downloaded(syncer, counts, text=text, states=states, after=after)
        else:
            wanted = ProjectFilter(q=text or None, state=states, sort=order, after=after or None, limit=_PAGE_SIZE)
            if text:  # each letter that somebody types is a search, and would push out what others read
                found = await syncer.list_projects(wanted)
            else:
                known = await remembered.ask(
                    f"projects {wanted.model_dump_json()}", partial(syncer.list_projects, wanted)
                )
                found, as_of = known.value, known.outdated_since
    except StatisticsError as error:
        return render_unreadable(request, error, title="Projects")
    except ApiError as error:
        return render_api_error(request, error, title="Projects")
    return render(
        request,
        "projects.html",
        found=found,
        as_of=as_of,
        totals=syncer.last_known_status,
        q=q,
        text=text,
        state=state,
        states=STATE_DESCRIPTIONS,
        sort=sort,
        sorts=_SORT_DESCRIPTIONS,
        after=after,
        downloads=downloads,
        most_ranked=_MAX_RANKED,
    )


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


async def _most_downloaded(
    syncer: SyncerClient, counts: Statistics, *, text: str, states: list[ProjectState], after: str
) -> tuple[ProjectPage, dict[str, int]]:
    """
    Return the most downloaded projects of 30 days that are here, and their downloads.

    The syncer does not know downloads, and control not what is here. So control names a part of its ranking, which both
    find at once; to sort all projects would need all counts in the syncer.
    """
    counted = await counts.get_recent_downloads(DownloadFilter(since=first_day(DEFAULT_PERIOD), top=_MAX_RANKED))
    ranked = {share.name: share.downloads for share in counted.projects or () if text in share.name}
    begin = min(int(after), _MAX_RANKED) if after.isascii() and after.isdigit() else 0
    names = list(ranked)[begin : begin + _PAGE_SIZE]
    if not names:
        return ProjectPage(items=[]), ranked
    found = await syncer.list_projects(ProjectFilter(name=names, state=states, limit=_PAGE_SIZE))
    more = str(begin + _PAGE_SIZE) if len(ranked) > begin + _PAGE_SIZE else None
    return found.model_copy(update={"next": more}), ranked


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


def _part_of_name(text: str) -> str:
    """Return a part of a name as PEP 503 spells it; it may begin or end with a dash."""
    dashed = "-".join(text.strip().lower().replace("_", "-").replace(".", "-").split())
    while "--" in dashed:
        dashed = dashed.replace("--", "-")
    return dashed[:_MAX_QUERY_LENGTH]


_SORT_DESCRIPTIONS: dict[str, str] = {
    ProjectSort.NAME: "name",
    ProjectSort.SIZE: "size",
    ProjectSort.FILES: "number of files",
    ProjectSort.CHANGED: "last change",
    BY_DOWNLOADS: "downloads",
}
STATE_DESCRIPTIONS = {
    ProjectState.CURRENT: "up to date with upstream",
    ProjectState.PARTIAL: "published, but some files could not be downloaded",
    ProjectState.WAITING: "all its files wait for their cooldown or are blocked; its page is empty",
    ProjectState.BEHIND: "changed upstream, not synced yet",
    ProjectState.FAILING: "the last refresh failed; the previous version is still served",
    ProjectState.WITHDRAWN: "no longer published: deleted upstream or no longer selected",
}
