"""Upstream's list of projects: read to its end, and merged into what the catalog knows."""

import asyncio
import time
from pathlib import Path
from tempfile import TemporaryFile

import structlog

from mirror_contract import Failure
from mirror_syncer.catalog import Catalog, Fact, KnownList, MergeResult
from mirror_syncer.catalog.state_disk import explain_state_disk_errors
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.serials import is_older_list
from mirror_syncer.model.validators import Validators
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.upstream_change import same_upstream
from mirror_syncer.upstream import Index, ListedProjects, ListReader, ListResponse, NotModified

log = structlog.get_logger()

OLDER_SECONDS = 86_400  # an edge of the CDN is behind for an hour


class UpstreamList:
    """
    The list, as it is news to the catalog.

    Args:
        origin: the upstream that it is of.
        directory: where it lies while it is read, in a file without a name; PyPI's has 45 MB.
    """

    def __init__(self, *, origin: str, directory: Path, catalog: Catalog, index: Index) -> None:
        self._origin = origin
        self._directory = directory
        self._catalog = catalog
        self._index = index

    async def read(self, run: ActiveRun) -> bool:
        """
        Read the list, and return whether it is the first to lack some project.

        Cancelled, it leaves the catalog as it was, or with a part of the list that the next reading merges again.

        Raises:
            UpstreamError, InvalidPageError: it could not be had, or is none.
            AbandonedError: the run was cancelled while upstream was waited for.
        """
        known = await asyncio.to_thread(self._catalog.listing.last)
        if known is not None and not same_upstream(known.origin, self._origin):
            known = None
        force = run.request.force
        validators = known.validators if known and not force else Validators()
        with (
            explain_state_disk_errors(self._directory),
            TemporaryFile(dir=self._directory) as body,
            ListedProjects(self._directory) as listed,
        ):
            async with run.waiting():
                answer = await self._index.project_list(validators=validators, into=body, priority=Priority.CHANGED)
            if isinstance(answer, NotModified):
                log.info("list", news="none")
                await asyncio.to_thread(self._catalog.remember, Fact.LIST_OLDER, "")
                return False
            body.seek(0)
            reader = ListReader(body, is_json=answer.is_json)
            await asyncio.to_thread(listed.take, reader)
            new = _known(answer, reader, listed, origin=self._origin, last=known)
            back = known is not None and not force and is_older_list(new.serial, known.serial, newest=new.newest)
            older = back and not await self._stays_older(run, new, last=known)
            merged: MergeResult = await asyncio.to_thread(
                self._catalog.listing.merge,
                listed.parts(),
                new,
                now=int(time.time()),
                accept_absences=force or known is None or (back and not older),
                older=older,
            )
        if older:
            # An edge of the CDN that has not heard yet, for up to an hour; what it says otherwise is asked for.
            log.info(
                "list",
                news="none: it is older than the last",
                serial=new.serial,
                last=known and known.serial,
                changed=merged.changed,
            )
            return False
        if known is None or new.serial != known.serial or merged != MergeResult():
            run.news = True
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
        run.note(*(Failure(reason=f"upstream's list: {fault}") for fault in (*listed.faults, *reader.faults)))
        return merged.absent > 0

    async def _stays_older(self, run: ActiveRun, new: KnownList, *, last: KnownList | None) -> bool:
        """
        Return whether upstream has shown older lists for so long that they are its word.

        An edge of the CDN catches up within an hour. Upstream itself goes back where it was restored from a backup; or
        the last serial was wrong, however high, and must not stop the mirror.
        """
        now = int(time.time())
        since = await asyncio.to_thread(self._catalog.recall, Fact.LIST_OLDER)
        if not since or int(since) > now:  # by a clock that has been set since
            await asyncio.to_thread(self._catalog.remember, Fact.LIST_OLDER, str(now))
            return False
        if now - int(since) < OLDER_SECONDS:
            return False
        run.remarks.append(
            f"for more than a day upstream's list, of serial {new.serial}, has been older than the last one, of "
            f"{last and last.serial}; from now on it is taken as it is"
        )
        return True


def _known(
    answer: ListResponse, reader: ListReader, listed: ListedProjects, *, origin: str, last: KnownList | None
) -> KnownList:
    believed = listed.judge(reader.serial if reader.serial is not None else answer.serial)
    serial = believed.own
    return KnownList(
        origin=origin,
        # The clock may have been set back; the editions of an upstream's list go on.
        edition=serial if serial is not None else max(int(time.time()), last.edition + 1 if last else 0),
        serial=serial,
        unnumbered=listed.unnumbered,
        newest=believed.newest,
        validators=answer.validators,
    )
