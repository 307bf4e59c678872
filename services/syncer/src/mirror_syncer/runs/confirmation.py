"""Requests that need a confirmation, or that no run can serve."""

from packaging.utils import NormalizedName

from mirror_contract import RunKind, RunRequest
from mirror_syncer.catalog import Catalog
from mirror_syncer.config import Policy

_MAX_NAMES_SHOWN = 3


def requests_to_confirm(request: RunRequest, *, policy: Policy, catalog: Catalog) -> int | None:
    """Return how many HTTP requests an unconfirmed run that downloads every page again would make, else None."""
    whole = request.kind is RunKind.SYNC and request.is_whole
    if not (whole and request.force and policy.everything) or request.confirm:
        return None
    return 1 + catalog.due.count_listed()  # the list, and each project's page; files come on top


def question(requests: int) -> str:
    """Return the question to the person."""
    return (
        f'This would make {requests:,} requests or more; confirm it with --confirm, or "confirm": true. '
        "To force only a few projects, name them."
    )


def names_not_selected(request: RunRequest, *, policy: Policy) -> dict[int, str]:
    """Return the requested projects that the policy does not select, by their index in the request."""
    if request.kind is not RunKind.SYNC or request.projects is None:
        return {}
    return {index: name for index, name in enumerate(request.projects) if policy.project(NormalizedName(name)) is None}


def not_selected(*names: str) -> str:
    """Return a sentence that says how to select these projects."""
    shown = ", ".join(names[:_MAX_NAMES_SHOWN]) + (
        f" and {len(names) - _MAX_NAMES_SHOWN:,} more" * (len(names) > _MAX_NAMES_SHOWN)
    )
    are, each = ("is", "it") if len(names) == 1 else ("are", "each of them")
    return (
        f"{shown} {are} not selected: give {each} a line in mirror.toml, then `docker compose restart syncer`; "
        f"or add {each} now: `mirrorctl add {names[0] if len(names) == 1 else 'NAME'} --because REASON`."
    )
