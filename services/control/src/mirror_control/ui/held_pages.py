"""The pages of what the cooldown holds: held and blocked files, and the releases that let versions through."""

from collections.abc import Iterable
from functools import partial
from typing import Annotated, Final, NamedTuple

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from mirror_contract import Choice, HeldFile, parse_project_name
from mirror_contract.distributions import read_version
from mirror_control.access.auth import needs_read, open_to_all
from mirror_control.api.dependencies import Remembered, Syncer
from mirror_control.client.api_client import ApiError
from mirror_control.client.schemas import HeldDecision, HeldFilter
from mirror_control.ui.api_errors import render_api_error
from mirror_control.ui.rendering import render

router = APIRouter()

_PAGE_SIZE: Final = 100
_MAX_AFTER_LENGTH: Final = 512
_MAX_VERSION_LENGTH: Final = 80
_DESCRIPTIONS: Final = {
    HeldDecision.HOLD: "wait for their cooldown",
    HeldDecision.BLOCK: "are blocked",
}

Text = Annotated[str, Query(max_length=4096)]


class HeldVersion(NamedTuple):
    """The files of a version that wait until the same day, or are blocked for one reason."""

    first: HeldFile
    """The one that is published first."""
    filenames: list[str]
    requirement: str
    """By which a person may release the version; empty if that was offered before, or nobody may."""


@router.get("/ui/held", dependencies=[open_to_all])
async def held(  # noqa: PLR0917 - FastAPI's parameters
    request: Request,
    syncer: Syncer,
    remembered: Remembered,
    project: Text = "",
    decision: Text = "",
    after: Text = "",
) -> Response:
    """List the files that clients cannot download for now; the next to be published come first."""
    try:
        name = parse_project_name(project) if project.strip() else None
        decisions = [HeldDecision(decision)] if decision in list(HeldDecision) else []
        wanted = HeldFilter(project=name, decision=decisions, after=after[:_MAX_AFTER_LENGTH] or None, limit=_PAGE_SIZE)
    except ValueError as error:
        return render(request, "error.html", title="Held files", detail=str(error), status_code=422)
    try:
        known = await remembered.ask(f"held {wanted.model_dump_json()}", partial(syncer.list_held, wanted))
    except ApiError as error:
        return render_api_error(request, error, title="Held files")
    return render(
        request,
        "held.html",
        found=known.value,
        as_of=known.outdated_since,
        versions=_by_version(known.value.items),
        project=name or "",
        decision=decision,
        choices=_DESCRIPTIONS,
    )


@router.post("/ui/releases", dependencies=[needs_read])
async def list_releases(request: Request, syncer: Syncer) -> Response:
    """List the releases in force, with who made them and why. By POST, so that no URL contains the token."""
    return render(request, "releases.html", found=await syncer.list_releases())


def _by_version(files: Iterable[HeldFile]) -> list[HeldVersion]:
    """Return files by version, decision, and day or reason, in the order of their first files."""
    groups, offered = dict[tuple[object, ...], HeldVersion](), set[str]()
    for file in files:
        version = str(read_version(parse_project_name(file.project), file.filename) or "")
        # The wheels of a version are uploaded within minutes, so each waits until another minute.
        about = file.reason if file.until is None else file.until.date()
        key = file.project, version, file.decision, about
        if (group := groups.get(key)) is not None:
            group.filenames.append(file.filename)
            continue
        requirement = f"{file.project}=={version}"
        is_new = file.decision is Choice.HOLD and 0 < len(version) <= _MAX_VERSION_LENGTH and requirement not in offered
        groups[key] = HeldVersion(file, [file.filename], requirement if is_new else "")
        offered.add(groups[key].requirement)
    return list(groups.values())
