"""The download of a project's files: which are there already, and how the others get to their places."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path

import structlog
from msgspec.structs import replace
from packaging.utils import NormalizedName

from mirror_contract import Failure
from mirror_syncer.errors import FileRejectedError, PathError, UpstreamError, VolumeError, VolumeFullError
from mirror_syncer.model.decision import Decision
from mirror_syncer.model.digests import NO_DIGEST
from mirror_syncer.model.names import PackagePath, Sha256, full_path, short_path, url_digest
from mirror_syncer.model.page import File, PublishedPage
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.tally import Tally
from mirror_syncer.upstream import Index
from mirror_syncer.volume import MIN_FREE_BYTES, AnyIncoming, AnyTree
from mirror_syncer.work.transfer.claims import Claim, Claims
from mirror_syncer.work.transfer.metadata import MetadataTransfer, promised_metadata
from mirror_syncer.work.transfer.unhashed import UnhashedFiles

log = structlog.get_logger()

Landed = dict[str, tuple[File, PackagePath]]
"""Files that are in place, as a page may name them, and where; by file name."""

_ATTEMPTS = 2  # at a content that is not what its page says; a third has never helped


class FileTransfer:
    """
    Downloads files into the tree, several of a project at once.

    Args:
        claim: notes in the catalog what is about to be changed.
        at_once: files of one project under way together; the client's budget bounds all projects.
    """

    def __init__(self, *, index: Index, tree: AnyTree, claim: Claim, at_once: int, unhashed: UnhashedFiles) -> None:
        self._index = index
        self._tree = tree
        self._claim = claim
        self._at_once = at_once
        self._unhashed = unhashed
        self._metadata = MetadataTransfer(index=index, tree=tree)

    async def bring(
        self,
        decision: Decision,
        *,
        published: PublishedPage | None,
        priority: Priority,
        damaged: frozenset[str] = frozenset(),
        disputed: frozenset[str] = frozenset(),
        urgent: bool = False,
        blocked: Collection[Sha256] = (),
    ) -> tuple[Landed, Tally]:
        """
        Download what a decision keeps and the tree lacks; a file that cannot be downloaded costs only itself.

        Args:
            published: the page that is served now; what it names with the same hash is there, and is not checked again.
            damaged: places whose content is known to be wrong; it is replaced.
            disputed: places that the published page gives a hash which upstream never gave, so that they may hold
                what upstream promises.
            blocked: contents that are blocked, for files whose digest only their download tells.
            urgent: something leaves the page in any case, so a full disk costs only the files that it has no room for.

        Raises:
            UpstreamError: upstream declares more than any disk has.
            VolumeError: the disk refuses.
        """
        tally = Tally()
        landed = self._there(decision, published)
        missing = [file for file in decision.keep if file.filename not in landed]
        tally.files_needed = len(missing)
        if not missing:
            return landed, tally
        name = decision.page.name
        if (error := self._no_room(missing)) is not None:
            if not urgent:
                raise error
            tally.failures += [_failure(name, file, error) for file in missing]
            return landed, tally
        named = published.files.items() if published else ()
        held = {place: file.sha256 for n, file in named if published and (place := published.places[n]) not in disputed}
        claims = Claims(name, claim=self._claim, published=held, damaged=damaged)
        addresses = {
            # The place of a content without a digest is known once it is downloaded.
            file.filename: None if file.sha256 == NO_DIGEST else url_digest(file.url)
            for file in missing
        }
        await claims.claim(
            *(
                (short_path(address, file.filename), file.sha256)
                for file in missing
                if (address := addresses[file.filename])
            )
        )
        ahead = iter(missing)

        async def bring_next() -> None:
            for file in ahead:
                address = addresses[file.filename]
                try:
                    landed[file.filename] = await self._land(
                        file, address, claims=claims, priority=priority, tally=tally, blocked=blocked
                    )
                except Exception as error:
                    if isinstance(error, VolumeError) and not (urgent and isinstance(error, VolumeFullError)):
                        raise
                    # A bad file never freezes its project.
                    tally.unusable |= isinstance(error, PathError)
                    tally.failures.append(_failure(name, file, error))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._at_once, len(missing)) - 1):
                    group.create_task(bring_next())
                await bring_next()  # a task less: most projects lack few files
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None  # a VolumeError: all else is one file's failure
        return landed, tally

    def _there(self, decision: Decision, published: PublishedPage | None) -> Landed:
        """Return what is published as upstream has it, or is to stay although upstream no longer has it."""
        if published is None:
            return {}
        landed: Landed = {file.filename: (file, published.places[file.filename]) for file, _ in decision.lost}
        missing = {file.filename for file in decision.missing}
        for file in decision.keep:
            if file.filename in missing:
                continue
            before = published.files[file.filename]
            promised = promised_metadata(file)
            if promised not in (None, before.core_metadata) and self._tree.keeps_metadata(file.filename):
                continue  # its metadata failed last time, or is now promised to be other metadata
            ours = replace(file, size=before.size, core_metadata=before.core_metadata)
            landed[file.filename] = ours, published.places[file.filename]
        return landed

    async def _land(
        self,
        file: File,
        address: str | None,
        *,
        claims: Claims,
        priority: Priority,
        tally: Tally,
        blocked: Collection[Sha256],
    ) -> tuple[File, PackagePath]:
        """Download a file into its place, and return it as the page may name it from now on."""
        self._tree.check_name(file.filename)
        place = None
        if address is not None:
            place, there = await self._choose(file, address, claims)
            if there:
                if file.size is None:
                    file = replace(file, size=await self._tree.call(self._tree.size, place))
                return await self._complete(file, place, None, claims=claims, priority=priority, tally=tally), place
        incoming = self._tree.incoming(
            claims.name, file.filename, file.sha256, size=file.size, place=place, other_digest=file.other_digest
        )
        said = place
        try:
            await self._fetch(file, incoming, priority=priority)
            tally.fetched += 1
            tally.fetched_bytes += incoming.position
            file = replace(file, size=incoming.position, sha256=file.sha256 or incoming.sha256)
            _refuse_blocked(file, incoming, blocked)
            if (found := incoming.blake2b) != address:
                # The URL names no digest, or not the content's: a lie would take the place of what belongs there.
                try:
                    place, _ = await self._choose(file, found, claims)
                except FileRejectedError:
                    incoming.restart()  # whole, and useless to whoever resumes it
                    raise
            assert place is not None
            held = incoming.content
            file = await self._complete(file, place, held, claims=claims, priority=priority, tally=tally)
            target, mtime = self._tree.target(place), _epoch(file.upload_time)
            await self._tree.call(incoming.publish_file, target, mtime=mtime)
            if said not in (None, place):
                log.warning("URL with another digest than its content's", file=file.filename, project=claims.name)
                self._tree.discard_directory(said)
        except BaseException:
            incoming.abandon()
            for left in filter(None, (said, place)):
                self._tree.discard_directory(left)
            raise
        return file, place

    async def _complete(
        self,
        file: File,
        place: PackagePath,
        content: Path | bytes | None,
        *,
        claims: Claims,
        priority: Priority,
        tally: Tally,
    ) -> File:
        damaged = bool(claims.damaged) and not claims.damaged.isdisjoint({place, f"{place}.metadata"})
        return await self._metadata.complete(
            claims.name, file, place, content=content, damaged=damaged, priority=priority, tally=tally
        )

    def _no_room(self, files: Sequence[File]) -> UpstreamError | VolumeFullError | None:
        """Return why there is no room; a project that merely claims more than there is fails alone."""
        wanted = sum(file.size or 0 for file in files)
        try:
            self._tree.check_room(wanted)
        except VolumeFullError:
            try:
                self._tree.check_room(MIN_FREE_BYTES)
            except VolumeFullError as full:
                return full
            return UpstreamError(f"upstream declares {wanted:,} bytes of files, more than the free disk space")
        return None

    async def _choose(self, file: File, address: str, claims: Claims) -> tuple[PackagePath, bool]:
        """
        Return a file's place, and whether it lies there already.

        It is the short path, or PyPI's full one if the short one holds, or once held, other content. A file that was
        removed before returns to the same place, since nginx looks for it nowhere else.
        """
        short, full = short_path(address, file.filename), full_path(address, file.filename)
        has_tombstone = await self._tree.call(self._tree.has_tombstone, full)
        for place in (full, short) if has_tombstone else (short, full):
            if not await claims.claim((place, file.sha256)):
                continue
            await self._tree.call(self._tree.restore, place)
            if await self._tree.call(self._tree.size, place) is None or place in claims.damaged:
                self._tree.make_directory(place)
                return place, False
            if await asyncio.to_thread(self._tree.digest, place) == file.sha256 and (
                f"{place}.metadata" in claims.damaged or await self._metadata.fits(file, place)
            ):
                return place, True
        raise FileRejectedError(
            "both possible paths hold other content or metadata, and a URL never changes its content"
        )

    async def _fetch(self, file: File, incoming: AnyIncoming, *, priority: Priority) -> None:
        """Download into a temporary until its hash is right."""
        for attempt in range(1, _ATTEMPTS + 1):
            # One that was whole when its process died has nothing left to ask for: upstream would answer 416.
            if not file.size or incoming.position != file.size:
                await self._ask(file, incoming, priority=priority)
            try:
                return incoming.check()
            except FileRejectedError:
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError

    async def _ask(self, file: File, incoming: AnyIncoming, *, priority: Priority) -> None:
        """Download a content; one without a digest must come whole, and from a host that is allowed for it."""
        checked = file.sha256 != NO_DIGEST or file.other_digest is not None
        delivery = await self._index.file(file.url, incoming, priority=priority, resume=checked)
        if file.sha256 != NO_DIGEST:
            return
        reason = self._unhashed.refusal(file, delivery.url)
        if reason is None and not checked and file.size is None and not delivery.truncation_detectable:
            reason = "the page gives neither size nor digest, and the answer no length, so the file may be cut off"
        if reason is not None:
            incoming.restart()
            raise FileRejectedError(reason)


def _refuse_blocked(file: File, incoming: AnyIncoming, blocked: Collection[Sha256]) -> None:
    """Raise if a download turns out to be a blocked content."""
    if file.sha256 in blocked:
        incoming.restart()  # whole, and nobody may have it
        raise FileRejectedError(f"its content is blocked (sha256 {file.sha256})")


def _failure(name: NormalizedName, file: File, error: Exception) -> Failure:
    if isinstance(error, (UpstreamError, FileRejectedError, PathError, VolumeFullError)):
        return Failure(project=name, file=file.filename, reason=str(error))
    log.error("file failed", project=name, file=file.filename, exc_info=error)
    return Failure(project=name, file=file.filename, reason=f"{type(error).__name__}: {error}")


def _epoch(upload_time: str | None) -> float | None:
    try:
        return None if upload_time is None else datetime.fromisoformat(upload_time).timestamp()
    except ValueError:  # the 31st of February
        return None
