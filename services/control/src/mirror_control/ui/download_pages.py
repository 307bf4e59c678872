"""The pages of downloads: over time and by project, version, client, Python and file type; as CSV; and the misses."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Query, Request
from packaging.utils import NormalizedName
from starlette.responses import Response

from mirror_contract import Absence, ProjectState, parse_project_name
from mirror_control.access.auth import needs_read, open_to_all
from mirror_control.access.form_token import form_of
from mirror_control.api.dependencies import Counts, Syncer
from mirror_control.client.api_client import ApiError
from mirror_control.client.download_schemas import (
    ClientShare,
    DownloadFilter,
    Downloads,
    MissedProject,
    MissFilter,
    Share,
)
from mirror_control.client.schemas import MAX_NAMES, ProjectFilter
from mirror_control.downloads.statistics import StatisticsError
from mirror_control.syncer.syncer_client import SyncerClient
from mirror_control.ui.chart import draw_downloads
from mirror_control.ui.rendering import HEADERS, render

router = APIRouter()

PERIODS = {7: "7 days", 30: "30 days", 90: "90 days", 365: "a year"}
DEFAULT_PERIOD = 30
_MAX_ROWS = 25
_MAX_CSV_ROWS = 1_000
_MAX_MISSES = MAX_NAMES
# A spreadsheet takes a cell that begins so for a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

Text = Annotated[str, Query(max_length=4096)]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a list of downloads."""

    name: str
    downloads: int
    link: str | None = None


@dataclass(frozen=True, slots=True)
class MissRow:
    """A missed project, and whether it is here by now."""

    miss: MissedProject
    state: str
    description: str


@router.get("/ui/downloads", dependencies=[open_to_all])
async def downloads(request: Request, counts: Counts, project: Text = "", days: Text = "") -> Response:
    """
    Show the downloads of a period, of all projects or of one.

    Names of misses are omitted: they are often private, and this page needs no token.
    """
    period = parse_period(days)
    try:
        name = parse_project_name(project) if project.strip() else None
    except ValueError as error:
        return render(request, "error.html", title="Downloads", detail=str(error), status_code=422)
    since = first_day(period)
    try:
        found = await counts.get_recent_downloads(period_filter(period, project=name))
        misses = await counts.get_recent_misses(MissFilter(since=since, top=1))
    except StatisticsError as error:
        return render_unreadable(request, error)
    query = urlencode({"since": since} | ({"project": name} if name else {}))
    return render(
        request,
        "downloads.html",
        found=found,
        drawn=draw_downloads(found.days, since=since, until=found.until),
        missed=misses.requests,
        project=name or "",
        period=period,
        periods=PERIODS,
        query=query,
        lists=_lists(found),
    )


@router.get("/ui/downloads.csv", dependencies=[open_to_all])
async def as_csv(request: Request, counts: Counts, project: Text = "", since: Text = "") -> Response:
    """Return the downloads of a period as CSV: a line for each day, and for each of the most downloaded things."""
    try:
        name = parse_project_name(project) if project.strip() else None
        wanted = DownloadFilter.model_validate({"project": name, "since": since or None, "top": _MAX_CSV_ROWS})
    except ValueError:
        detail = "`project` must be a name, and `since` a day such as 2026-11-22."
        return render(request, "error.html", title="Downloads", detail=detail, status_code=422)
    try:
        found = await counts.get_downloads(wanted)
    except StatisticsError as error:
        return render_unreadable(request, error)
    content = io.StringIO()
    writer = csv.writer(content)
    writer.writerow(("by", "name", "downloads"))
    for day in found.days:
        writer.writerow(("day", day.day, day.downloads))
    writer.writerow(("mirrors", "", found.mirrors))
    for by, shares in _facets(found):
        for share in shares:
            cell = _name_of(share)
            writer.writerow((by, f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell, share.downloads))
    headers = HEADERS | {"Content-Disposition": f'attachment; filename="downloads-{found.since}.csv"'}
    return Response(content.getvalue(), headers=headers, media_type="text/csv")


@router.post("/ui/misses", dependencies=[needs_read])
async def misses(request: Request, syncer: Syncer, counts: Counts) -> Response:
    """List missed projects, and which of them are here by now. By POST, so that no URL contains the token."""
    period = parse_period(form_of(request).get("days", ""))
    try:
        found = await counts.get_recent_misses(MissFilter(since=first_day(period), top=_MAX_MISSES))
    except StatisticsError as error:
        return render_unreadable(request, error)
    rows = await _states_of(syncer, found.projects)
    return render(request, "misses.html", found=found, rows=rows, period=period, periods=PERIODS)


def parse_period(text: str) -> int:
    """Return the number of days that a page shows."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 and int(text) in PERIODS else DEFAULT_PERIOD  # noqa: PLR2004


def period_filter(period: int, *, project: NormalizedName | None = None) -> DownloadFilter:
    """Return what the page of a period asks for, of all projects or of one."""
    return DownloadFilter(project=project, since=first_day(period), top=_MAX_ROWS)


def first_day(period: int) -> date:
    """Return the first day of a period that ends today."""
    return _today() - timedelta(days=period - 1)


def _lists(found: Downloads) -> list[tuple[str, str, list[Row]]]:
    """Return the lists of the page, each with its title and what its rows are."""
    installers = [client for client in found.clients if not client.mirror]
    mirrors = [client for client in found.clients if client.mirror]
    lists = [("By project", "Project", [_row(one, f"projects/{quote(one.name)}") for one in found.projects or ()])]
    if found.versions is not None:
        versions = [
            _row(one, f"projects/{quote(found.project or '')}?{urlencode({'version': one.name})}")
            for one in found.versions
        ]
        lists = [("By version", "Version", versions)]
    lists.append(("By client", "Client", [_row(one) for one in installers]))
    if mirrors:
        lists.append(("By other mirrors", "Mirror", [_row(one) for one in mirrors]))
    if found.pythons is not None:
        lists.append(("By Python", "Python", [_row(one) for one in found.pythons]))
    lists.append(("By file type", "File type", [_row(one) for one in found.file_types]))
    return lists


def _row(share: Share, link: str | None = None) -> Row:
    return Row(_name_of(share) or "unknown", share.downloads, link if share.name else None)


def _name_of(share: Share) -> str:
    return f"{share.name} {share.version}".rstrip() if isinstance(share, ClientShare) else share.name


def _facets(found: Downloads) -> list[tuple[str, Sequence[Share]]]:
    return [
        ("project", found.projects or ()),
        ("version", found.versions or ()),
        ("client", found.clients),
        ("python", found.pythons or ()),
        ("file type", found.file_types),
    ]


async def _states_of(syncer: SyncerClient, missed: Iterable[MissedProject]) -> list[MissRow]:
    """Return what is known of each missed project."""
    missed = list(missed)
    if not missed:
        return []
    try:
        listed = await syncer.list_projects(ProjectFilter(name=[one.name for one in missed], limit=MAX_NAMES))
    except ApiError:
        return [MissRow(one, "unknown", "the syncer does not answer") for one in missed]
    here = {one.name: one for one in listed.items}
    return [_miss_row(one, here[one.name].state if one.name in here else None, listed.absent or {}) for one in missed]


def _miss_row(miss: MissedProject, state: ProjectState | None, absent: dict[str, Absence]) -> MissRow:
    if state is not None and state is not ProjectState.WITHDRAWN:
        what = "its page is here by now" if miss.pages else "the project is here; its page says which releases are not"
        return MissRow(miss, "here", what)
    match absent.get(miss.name):
        case Absence.UPSTREAM:
            return MissRow(miss, "not-upstream", "upstream has no such project, as far as it was asked")
        case Absence.BLOCKED:
            return MissRow(miss, "block", "blocked by mirror.toml or an advisory")
        case _:
            return MissRow(miss, "missing", "still missing: no line selects it")


def render_unreadable(request: Request, error: StatisticsError, *, title: str = "Downloads") -> Response:
    """Return the page of statistics that can't be read."""
    detail = f"The statistics can't be read ({error}); nginx still serves all files. See `docker compose logs control`."
    return render(request, "error.html", title=title, detail=detail, status_code=503)


def _today() -> date:
    return datetime.now(UTC).date()
