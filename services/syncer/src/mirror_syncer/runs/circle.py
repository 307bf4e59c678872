"""A circle: projects that require each other, so that their pages appear together."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from packaging.utils import NormalizedName

from mirror_syncer.errors import AbandonedError
from mirror_syncer.publish import Publication
from mirror_syncer.publish.commit_group import CommitGroup

_LOOK_SECONDS = 0.2  # a run that stops drops tasks that others wait for


@dataclass(slots=True)
class _Member:
    publication: Publication
    submitted: asyncio.Future[asyncio.Future[None]] = field(repr=False)


class Circle:
    """
    Collects the publications of a circle, and submits them when the last one is ready.

    Args:
        names: its projects; each has a task.
        all_or_none: if one of them fails, none is published; otherwise the others are.

    Attributes:
        failed: the projects that failed, or lack files.
    """

    def __init__(self, names: Collection[NormalizedName], *, commit_group: CommitGroup, all_or_none: bool) -> None:
        self._awaited = set(names)
        self._commit_group = commit_group
        self._all_or_none = all_or_none
        self.failed: set[NormalizedName] = set()
        self._members: dict[NormalizedName, _Member] = {}

    async def submit(
        self, publication: Publication, *, is_whole: bool, unless: Callable[[], bool]
    ) -> asyncio.Future[None]:
        """
        Submit a publication with those of the others; return what ``CommitGroup.submit`` does.

        Args:
            is_whole: nothing of it is missing.
            unless: whether the others may never come.

        Raises:
            AbandonedError: they do not come, or one of them failed.
        """
        name = publication.catalog_update.row.name
        member = _Member(publication, asyncio.get_running_loop().create_future())
        self._members[name] = member
        if not is_whole:
            self.failed.add(name)
        try:
            await self._arrive(name)
            while not member.submitted.done():
                await asyncio.wait([member.submitted], timeout=_LOOK_SECONDS)
                if not member.submitted.done() and unless():
                    raise AbandonedError("its run ended before the projects were ready that it requires")
            return member.submitted.result()
        finally:
            self._members.pop(name, None)

    async def leave(self, name: NormalizedName) -> None:
        """Note that a project failed, or was submitted and abandoned."""
        if name in self._awaited:
            self.failed.add(name)
            await self._arrive(name)

    async def _arrive(self, name: NormalizedName) -> None:
        self._awaited.discard(name)
        if self._awaited:
            return
        members = list(self._members.values())
        if self._all_or_none and self.failed:
            for member in members:
                member.submitted.set_exception(AbandonedError("it requires a project that could not be published"))
        elif members:
            committed = await self._commit_group.submit_together([member.publication for member in members])
            for member, future in zip(members, committed, strict=True):
                if not member.submitted.done():
                    member.submitted.set_result(future)
