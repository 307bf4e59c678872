"""The markers of a project's held and blocked files: nginx answers 403, whether or not the files are on the disk."""

import asyncio
from collections.abc import Iterable

from mirror_syncer.model.decision import Decision, Hold
from mirror_syncer.model.names import PackagePath, full_path, short_path, url_digest
from mirror_syncer.model.page import File, HeldFile, PublishedPage
from mirror_syncer.volume import AnyTree
from mirror_syncer.work.transfer.claims import Claim, Claims


class Holding:
    """
    Writes and removes markers, one project a call.

    Args:
        claim: notes in the catalog what is about to be changed.
    """

    def __init__(self, *, tree: AnyTree, claim: Claim) -> None:
        self._tree = tree
        self._claim = claim

    async def hold(self, decision: Decision, published: PublishedPage | None) -> tuple[HeldFile, ...]:
        """
        Write the markers of what a decision holds or blocks; return it as the page names it.

        Call it before the page without these files is visible. If it is cancelled, some markers are left; the next
        refresh of the project writes the others, or removes these.

        Raises:
            VolumeError: the disk refuses.
        """
        holds = [(hold, False) for hold in decision.hold]
        holds += [(Hold(file, None, reason), True) for file, reason in decision.blocked]
        if not holds:
            return ()
        claims = Claims(decision.page.name, claim=self._claim, published={}, damaged=frozenset())
        held = []
        for hold, blocked in holds:
            file = hold.file
            place = await self._place(file, published, claims)
            if place is not None:
                await asyncio.to_thread(self._tree.hold, place, refusal(hold), address=url_digest(file.url))
            held.append(HeldFile(file.filename, hold.reason, hold.until, place, blocked))
        return tuple(held)

    async def release(self, published: PublishedPage | None, held: Iterable[HeldFile], files: Iterable[File]) -> None:
        """
        Remove the markers of files that the published page holds, and the next one does not.

        Args:
            held: the files that are held from now on.
            files: the files of upstream's page.
        """
        if published is None or not published.held:
            return
        still = {one.place for one in held}
        addresses = {file.filename: url_digest(file.url) for file in files}
        for one in published.held:
            if one.place is not None and one.place not in still:
                await asyncio.to_thread(self._tree.release, one.place, address=addresses.get(one.filename))

    async def release_places(self, offered: Iterable[tuple[File, PackagePath]]) -> None:
        """Remove the markers of files that are published from now on, whatever left them there."""
        for file, place in offered:
            address = url_digest(file.url)
            if await self._tree.call(self._tree.is_held, place, address=address):
                await asyncio.to_thread(self._tree.release, place, address=address)

    async def block(self, published: PublishedPage, *, reason: str) -> None:
        """Write the markers of all files of a project that is blocked as a whole."""
        for file in published.page.files:
            text = refusal(Hold(file, None, reason))
            await asyncio.to_thread(self._tree.hold, published.places[file.filename], text, address=None)

    async def _place(self, file: File, published: PublishedPage | None, claims: Claims) -> PackagePath | None:
        """Return the place that a file has or would get; None if only its download tells."""
        if published is not None:
            ours = published.files.get(file.filename)
            if ours is not None and ours.sha256 == file.sha256:
                return published.places[file.filename]
            before = next((one.place for one in published.held if one.filename == file.filename), None)
            if before is not None:
                return before
        if (address := url_digest(file.url)) is None:
            return None
        short, full = short_path(address, file.filename), full_path(address, file.filename)
        has_tombstone = await self._tree.call(self._tree.has_tombstone, full)
        for place in (full, short) if has_tombstone else (short, full):
            if await claims.claim((place, file.sha256)):
                return place
        return None


def refusal(hold: Hold) -> str:
    """Return what a client reads instead of a file."""
    return f"403: {hold.reason}" + (
        "" if hold.until is None else ". If it is urgent, the operator can release it (mirrorctl release)"
    )
