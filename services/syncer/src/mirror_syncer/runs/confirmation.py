"""What a person must say twice, or otherwise."""

from packaging.utils import NormalizedName

from mirror_contract import RunKind, RunRequest
from mirror_syncer.catalog import Catalog
from mirror_syncer.config import Policy

_NAMES_SHOWN = 3


def requests_to_confirm(wish: RunRequest, *, policy: Policy, catalog: Catalog) -> int | None:
    """Return how many requests a run would make that asks for every page anew, unless that is confirmed or no such."""
    whole = wish.kind is RunKind.SYNC and wish.projects is None
    if not (whole and wish.force and policy.everything) or wish.confirm:
        return None
    return 1 + catalog.due.count_listed()  # the list, and each project's page; files come on top


def question(requests: int) -> str:
    """Return what to ask the person."""
    return (
        f'That would make {requests:,} requests or more; if it is meant, say so: --confirm, or "confirm": true. '
        "To force a few projects, name them."
    )


def names_not_selected(wish: RunRequest, *, policy: Policy) -> dict[int, str]:
    """Return the names that a sync cannot do anything about, since the policy does not select them, by their places."""
    if wish.kind is not RunKind.SYNC or wish.projects is None:
        return {}
    return {place: name for place, name in enumerate(wish.projects) if policy.selection(NormalizedName(name)) is None}


def not_selected(*names: str) -> str:
    """Return what to do about names that are not selected."""
    shown = ", ".join(names[:_NAMES_SHOWN]) + (f" and {len(names) - _NAMES_SHOWN:,} more" * (len(names) > _NAMES_SHOWN))
    are, each = ("is", "it") if len(names) == 1 else ("are", "each of them")
    return f"{shown} {are} not selected: give {each} a line in mirror.toml, then `docker compose restart syncer`."
