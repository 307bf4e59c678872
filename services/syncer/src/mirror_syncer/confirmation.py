"""What a person must say twice."""

from mirror_contract import RunKind, RunRequest
from mirror_syncer.catalog import Catalog
from mirror_syncer.policy import Policy


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
