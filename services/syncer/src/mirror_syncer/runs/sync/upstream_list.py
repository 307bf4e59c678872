"""Upstream's list of projects: downloaded completely, then merged into the catalog."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from tempfile import TemporaryFile

import structlog
from packaging.utils import NormalizedName

from mirror_contract import Failure
from mirror_syncer.catalog import Fact, KnownList, MergeResult
from mirror_syncer.catalog.state_disk import explain_state_disk_errors
from mirror_syncer.config import Policy
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.serials import is_older_list
from mirror_syncer.model.validators import Validators
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.context import RunContext
from mirror_syncer.runs.upstream_change import same_upstream
from mirror_syncer.upstream import ListedProjects, ListReader, ListResponse, NotModified

log = structlog.get_logger()

OLDER_SECONDS = 86_400  # a CDN edge is stale for an hour at most


class UpstreamList:
    """Reads the list into an unnamed file in the state directory (PyPI's has 45 MB), and merges it."""

    def __init__(self, context: RunContext) -> None:
        self._origin = context.settings.upstream
        self._directory = context.settings.state
        self._catalog = context.catalog
        self._index = context.worker_pool.index
        self._policy = context.policy

    async def read(self, run: ActiveRun) -> bool:
        """
        Read the list, and return whether it omits some project for the first time.

        Cancelled, it leaves the catalog as it was, or with a part of the list that the next reading merges again.

        Raises:
            UpstreamError, InvalidPageError: the list could not be downloaded, or is invalid.
            AbandonedError: the run was cancelled while it waited for upstream.
        """
        known = await asyncio.to_thread(self._catalog.listing.last)
        if known is not None and not same_upstream(known.origin, self._origin):
            known = None
        force, policy = run.request.force, self._policy.current
        # A list that did not change is merged again if other names of it are wanted now.
        admission = policy.admission
        same = (await asyncio.to_thread(self._catalog.recall, Fact.ADMISSION) or "") == admission
        validators = known.validators if known and same and not force else Validators()
        with (
            explain_state_disk_errors(self._directory),
            TemporaryFile(dir=self._directory) as body,
            ListedProjects(self._directory) as listed,
        ):
            async with run.upstream_wait():
                answer = await self._index.project_list(validators=validators, into=body, priority=Priority.CHANGED)
            if isinstance(answer, NotModified):
                log.info("list", news="none")
                await asyncio.to_thread(self._catalog.remember, Fact.LIST_OLDER, "")
                return False
            body.seek(0)
            reader = ListReader(body, is_json=answer.is_json)
            await asyncio.to_thread(listed.take, reader)
            new = _known(answer, reader, listed, origin=self._origin, last=known)
            went_backwards = (
                known is not None and not force and is_older_list(new.serial, known.serial, newest=new.newest)
            )
            older = went_backwards and not await self._stays_older(run, new, last=known)
            merged: MergeResult = await asyncio.to_thread(
                self._catalog.listing.merge,
                _admitted(listed.parts(), policy),
                new,
                now=int(time.time()),
                accept_absences=force or known is None or (went_backwards and not older),
                older=older,
            )
        await asyncio.to_thread(self._catalog.remember, Fact.ADMISSION, admission)
        if older:
            # A stale CDN edge, for up to an hour; projects with a different serial are refreshed.
            log.info(
                "list",
                news="none: it is older than the last",
                serial=new.serial,
                last=known and known.serial,
                changed=merged.changed,
            )
            return False
        if known is None or new.serial != known.serial or merged != MergeResult():
            run.sync.upstream_news = True
        log.info(
            "list",
            projects=listed.count,
            serial=new.serial,
            new=merged.new,
            changed=merged.changed,
            absent=merged.absent,
            back=merged.back,
        )
        await asyncio.to_thread(self._catalog.remember, Fact.LIST_OLDER, "")
        run.report.add(*(Failure(reason=f"upstream's list: {fault}") for fault in (*listed.faults, *reader.faults)))
        return merged.absent > 0

    async def _stays_older(self, run: ActiveRun, new: KnownList, *, last: KnownList | None) -> bool:
        """
        Return whether upstream has sent older lists for so long that they must be accepted.

        A CDN edge catches up within an hour. Upstream itself goes back when it is restored from a backup, or when its
        last serial was wrong; neither may stop the mirror.
        """
        now = int(time.time())
        since = await asyncio.to_thread(self._catalog.recall, Fact.LIST_OLDER)
        if not since or int(since) > now:  # the clock was set since
            await asyncio.to_thread(self._catalog.remember, Fact.LIST_OLDER, str(now))
            return False
        if now - int(since) < OLDER_SECONDS:
            return False
        run.report.remarks.append(
            f"for more than a day upstream's list (serial {new.serial}) has been older than the last one (serial "
            f"{last and last.serial}); from now on it is accepted as it is"
        )
        return True


def _admitted(
    parts: Iterable[tuple[str, Mapping[NormalizedName, int]]], policy: Policy
) -> Iterable[tuple[str, Mapping[NormalizedName, int]]]:
    """Return a list's parts without the names that the policy does not want: to the catalog they are not listed."""
    if policy.admits_all:
        return parts
    return (
        (beginning, {name: serial for name, serial in listed.items() if policy.admits(name)})
        for beginning, listed in parts
    )


def _known(
    answer: ListResponse, reader: ListReader, listed: ListedProjects, *, origin: str, last: KnownList | None
) -> KnownList:
    serials = listed.judge(reader.serial if reader.serial is not None else answer.serial)
    serial = serials.own
    return KnownList(
        origin=origin,
        # Editions increase even if the clock was set back.
        edition=serial if serial is not None else max(int(time.time()), last.edition + 1 if last else 0),
        serial=serial,
        unnumbered=listed.unnumbered,
        newest=serials.newest,
        validators=answer.validators,
    )
