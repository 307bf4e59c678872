"""The list of projects, to search by name and state, and to sort."""

from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from mirror_contract import ProjectSort, ProjectState
from mirror_control.access.auth import open_to_all
from mirror_control.api.dependencies import Counts, Remembered, Syncer
from mirror_control.client.api_client import ApiError
from mirror_control.client.download_schemas import DownloadFilter
from mirror_control.client.schemas import ProjectFilter, ProjectPage
from mirror_control.downloads.statistics import Statistics, StatisticsError
from mirror_control.syncer.syncer_client import SyncerClient
from mirror_control.ui.api_errors import render_api_error
from mirror_control.ui.download_pages import DEFAULT_PERIOD, first_day, render_unreadable
from mirror_control.ui.rendering import render

router = APIRouter(dependencies=[open_to_all])

_PAGE_SIZE: Final = 100
_MAX_QUERY_LENGTH: Final = 214
_MAX_AFTER_LENGTH: Final = 512
_MAX_RANKED: Final = 1_000
BY_DOWNLOADS: Final = "downloads"
"""An order that only the page has."""

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


def ranking_filter() -> DownloadFilter:
    """Return what the list by downloads asks for."""
    return DownloadFilter(since=first_day(DEFAULT_PERIOD), top=_MAX_RANKED)


async def _most_downloaded(
    syncer: SyncerClient, counts: Statistics, *, text: str, states: list[ProjectState], after: str
) -> tuple[ProjectPage, dict[str, int]]:
    """
    Return the most downloaded projects of 30 days that are here, and their downloads.

    The syncer does not know downloads, and control not what is here. So control names a part of its ranking, which both
    find at once; to sort all projects would need all counts in the syncer.
    """
    counted = await counts.get_recent_downloads(ranking_filter())
    ranked = {share.name: share.downloads for share in counted.projects or () if text in share.name}
    begin = min(int(after), _MAX_RANKED) if after.isascii() and after.isdigit() else 0
    names = list(ranked)[begin : begin + _PAGE_SIZE]
    if not names:
        return ProjectPage(items=[]), ranked
    found = await syncer.list_projects(ProjectFilter(name=names, state=states, limit=_PAGE_SIZE))
    more = str(begin + _PAGE_SIZE) if len(ranked) > begin + _PAGE_SIZE else None
    return found.model_copy(update={"next": more}), ranked


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
