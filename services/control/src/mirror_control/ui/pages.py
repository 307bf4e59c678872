"""The page for people: all of it is read without JavaScript, and changes go through the API."""

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import RedirectResponse, Response

from mirror_contract import ProjectState, parse_project_name
from mirror_control.access.auth import everyone
from mirror_control.api.address import Address
from mirror_control.api.dependencies import Counts, Syncer, SyncHistory
from mirror_control.api.runs import RunId
from mirror_control.client import verdict
from mirror_control.client.api_client import ApiError, Refused
from mirror_control.client.download_shapes import DownloadFilter, MissFilter
from mirror_control.client.shapes import ProjectFilter
from mirror_control.client.words import UNDATED
from mirror_control.downloads.statistics import StatisticsError
from mirror_control.ui.rendering import ASSETS, render

router = APIRouter(dependencies=[everyone])

_TOP = 50
# As many as the syncer tells of, after older ones without an upload time; the index page has them all.
_FILES = 500
_UNDATED = 100
_FOUND = 100
_LONGEST = 214

Text = Annotated[str, Query(max_length=4096)]


@router.get("/ui")
async def enter() -> Response:
    """Lead to the page, relative to what was asked: only the client knows the address it used."""
    return RedirectResponse("ui/", status_code=302)


@router.get("/ui/")
async def status(request: Request, syncer: Syncer, history: SyncHistory) -> Response:
    """Show what is wrong, since when, what still works and what to do; then all else."""
    try:
        found = await syncer.look()
    except ApiError as error:
        told = verdict.silence(str(error))
        return render(request, "status.html", verdict=told, status=None, runs=[], status_code=503)
    told = verdict.judge(found, now=datetime.now(UTC))
    runs = await history.look(syncer, found)
    return render(request, "status.html", verdict=told, status=found, runs=runs)


@router.get("/ui/runs/{run_id}")
async def run(request: Request, syncer: Syncer, run_id: RunId) -> Response:
    """Show a run: how far it is, and what went wrong in it."""
    try:
        found = await syncer.run(run_id)
    except ApiError as error:
        return _refusal(request, error, title=f"Run {run_id}")
    return render(request, "run.html", run=found)


@router.get("/ui/projects")
async def projects(request: Request, syncer: Syncer, q: Text = "", state: Text = "", after: Text = "") -> Response:
    """Find projects by what their name begins with and by their state."""
    # As people write names: PEP 503's dashes for all that separates, of which a prefix may end in one.
    prefix = "-".join(q.strip().lower().replace("_", "-").replace(".", "-").split())[:_LONGEST]
    states = [ProjectState(state)] if state in list(ProjectState) else []
    wanted = ProjectFilter(q=prefix or None, state=states, after=after[:_LONGEST] or None, limit=_FOUND)
    try:
        found = await syncer.projects(wanted)
    except ApiError as error:
        return _refusal(request, error, title="Projects")
    return render(request, "projects.html", found=found, q=q, prefix=prefix, state=state, states=_STATES)


@router.get("/ui/projects/{name}")
async def project(
    request: Request, syncer: Syncer, counts: Counts, name: Annotated[str, Path(max_length=4096)]
) -> Response:
    """Show why a project is mirrored or isn't, its files, and how often it is downloaded."""
    try:
        normalized = parse_project_name(name)
    except ValueError as error:
        return render(request, "refusal.html", title=name[:80], detail=str(error), status_code=404)
    try:
        versions = (await counts.downloads(DownloadFilter(project=normalized, top=_TOP))).versions
    except StatisticsError:
        versions = None
    try:
        # Last, so that no call waits while it holds some hundred files in memory.
        found = await syncer.project(normalized)
    except ApiError as error:
        return _refusal(request, error, title=normalized)
    # The newest files are the last of a page.
    files = [file for file in reversed(found.files or []) if file.url]
    unpublished = [file for file in reversed(found.files or []) if not file.url]
    return render(
        request,
        "project.html",
        project=found,
        means=_STATES[found.state],
        files=files[:_FILES],
        undated=[file.filename for file in files[_FILES:] if file.upload_time is None][:_UNDATED],
        undated_means=UNDATED,
        more=max(found.file_count - len(files[:_FILES]), 0),
        unpublished=unpublished[:_FILES],
        versions=versions,
    )


@router.get("/ui/downloads")
async def most_wanted(request: Request, counts: Counts) -> Response:
    """
    Show what is downloaded most, and how much was asked for in vain.

    Not what that was: a name that is not here is often the name of something private, and this page asks for no token.
    """
    try:
        found = await counts.downloads(DownloadFilter(top=_TOP))
        misses = await counts.misses(MissFilter(top=1))
    except StatisticsError as error:
        told = f"They can't be read ({error}); files are served all the same. Look at `docker compose logs control`."
        return render(request, "refusal.html", title="Downloads", detail=told, status_code=503)
    return render(
        request,
        "downloads.html",
        found=found,
        missed=misses.requests,
        projects=[(one.name, one.downloads, _page_of(one.name)) for one in found.projects or ()],
        clients=[(f"{one.name} {one.version}".rstrip(), one.downloads, None) for one in found.clients],
    )


@router.get("/ui/use")
async def use(request: Request) -> Response:
    """Show what clients are to be told, with the address that this request was sent to."""
    return render(request, "use.html", mirror=Address.of_request(request.headers))


@router.get("/ui/static/{digest}/{name}")
async def asset(digest: str, name: str) -> Response:
    """Return style, script or icon: for good, since another content has another address."""
    found = ASSETS.get(name)
    if found is None or found.url != f"/ui/static/{digest}/{name}":
        return Response("404: not on this mirror\n", 404, media_type="text/plain")
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(found.content, headers=headers, media_type=found.media_type)


@router.get("/ui/{path:path}")
async def nothing(request: Request, path: str) -> Response:
    """Say that there is no such page."""
    told = f"There is no page /ui/{path[:80]}."
    return render(request, "refusal.html", title="Not here", detail=told, status_code=404)


def _page_of(project: str) -> str:
    return f"projects/{quote(project, safe='')}"


def _refusal(request: Request, error: ApiError, *, title: str) -> Response:
    if isinstance(error, Refused) and error.problem.status < 500:  # noqa: PLR2004 what the caller can mend is passed on
        status_code, detail = error.problem.status, str(error)
    else:
        status_code = 503
        detail = f"The syncer does not answer ({error}). What is mirrored is served all the same."
    return render(request, "refusal.html", title=title, detail=detail, status_code=status_code)


_STATES = {
    ProjectState.CURRENT: "as upstream has it",
    ProjectState.PARTIAL: "published, without files that could not be had",
    ProjectState.BEHIND: "changed upstream, and not fetched yet",
    ProjectState.FAILING: "could not be refreshed; what was published before is still served",
    ProjectState.WITHDRAWN: "not published any more: gone upstream, or no longer selected",
}
