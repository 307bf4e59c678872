"""What a sync has learned so far, shared by its executor, the dispatcher and the run book."""

from dataclasses import dataclass, field

from packaging.utils import NormalizedName

from mirror_syncer.closure.requests import FailedRequests
from mirror_syncer.model.serials import SerialBounds


@dataclass(slots=True)
class SyncState:
    """
    The state of a running sync; verifies with ``--repair`` use a part of it.

    Attributes:
        policy_digest: of the policy that the sync applies.
        serial_bounds: which of upstream's serials are believed.
        upstream_news: upstream has sent something new that the catalog has not recorded yet.
        allow_removals: removals that a person allows, overriding the deletion guard.
        failed_judgements: projects that failed when the new policy was applied to them.
        failed_projects: projects that are counted as failed.
        failed_requests: what upstream did not deliver, which no resolution of the run requests again.
        gone: published projects that upstream has deleted; a sync of the whole index leaves them to the catalog.
        postponed: collects the projects that do not fit on the full disk; None: such a project ends the run.
        defers: with a closure, new releases wait for their turn, after what they require.
        retains: with a closure, no version rule takes files off a page until what replaces them is published.
        whole_index: the catalog says what there is to do, and there may be any amount of it.
        can_reread_list: upstream's list can still be read again within this run.
        reread_list: somebody asked for that.
    """

    policy_digest: str | None = None
    serial_bounds: SerialBounds = field(default_factory=SerialBounds)
    upstream_news: bool = False
    allow_removals: int | None = None
    failed_judgements: set[NormalizedName] = field(default_factory=set)
    failed_projects: set[NormalizedName] = field(default_factory=set)
    failed_requests: FailedRequests = field(default_factory=FailedRequests)
    gone: list[NormalizedName] = field(default_factory=list)
    postponed: set[NormalizedName] | None = None
    defers: bool = False
    retains: bool = False
    whole_index: bool = False
    can_reread_list: bool = False
    reread_list: bool = False
