"""The policy in force, its mistakes, the text of its file, and the preview of a candidate."""

from typing import Final

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from mirror_contract import PolicyCandidate, PolicyCheck, PolicyFile
from mirror_control.access.auth import needs_read, open_to_all
from mirror_control.access.form_token import form_of
from mirror_control.api.dependencies import Syncer
from mirror_control.problems import problem_response
from mirror_control.syncer.syncer_client import SyncerClient
from mirror_control.ui.rendering import render

router = APIRouter()

# With its form and assets, the page stays below 150 kB.
_MAX_SHOWN: Final = 30_000


@router.get("/ui/policy", dependencies=[open_to_all])
async def policy(request: Request, syncer: Syncer) -> Response:
    """Show what the policy in force says, without the names in it: lines may be private."""
    return await _render(request, syncer)


@router.post("/ui/policy/file", dependencies=[needs_read])
async def file(request: Request, syncer: Syncer) -> Response:
    """Show the text of the file in force. By POST, so that no URL contains the token."""
    return await _render(request, syncer, file=await syncer.get_policy())


@router.post("/ui/policy/check", dependencies=[needs_read])
async def check(request: Request, syncer: Syncer) -> Response:
    """Check a candidate, and show its mistakes by line and key, or what it would change."""
    # A browser sends each line's end as CR LF.
    text = form_of(request).get("text", "").replace("\r\n", "\n")
    try:
        candidate = PolicyCandidate(text=text)
    except ValidationError:
        return problem_response(422, "The text is not valid Unicode.")
    return await _render(request, syncer, candidate=text, checked=await syncer.check_policy(candidate))


async def _render(
    request: Request,
    syncer: SyncerClient,
    *,
    file: PolicyFile | None = None,
    candidate: str | None = None,
    checked: PolicyCheck | None = None,
) -> Response:
    status = syncer.last_known_status
    state = file.state if file else status.policy if status else None
    lines = (candidate or "").split("\n")
    problems = [
        (one, lines[one.line - 1][:200] if one.line and one.line <= len(lines) else "")
        for one in (checked.problems if checked else [])
    ]
    return render(
        request,
        "policy.html",
        state=state,
        as_of=status.as_of if status else None,
        is_current=syncer.is_answering,
        shown=file.text[:_MAX_SHOWN] if file else None,
        hidden=max(len(file.text) - _MAX_SHOWN, 0) if file else 0,
        candidate=candidate if candidate is None or len(candidate) <= _MAX_SHOWN else None,
        checked=checked,
        problems=problems,
    )
