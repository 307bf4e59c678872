"""A circle of projects that require each other: what becomes of the others if one of them fails."""

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from packaging.utils import NormalizedName

from mirror_syncer.errors import AbandonedError
from mirror_syncer.publish import Publication
from mirror_syncer.runs.circle import Circle

if TYPE_CHECKING:
    from mirror_syncer.publish.commit_group import CommitGroup

A, B, C = map(NormalizedName, "abc")


class Group:
    """Notes what is submitted together."""

    def __init__(self) -> None:
        self.submitted: list[list[str]] = []

    async def submit_together(self, publications: Iterable[Publication]) -> list[asyncio.Future[None]]:
        """Note publications."""
        names = [one.catalog_update.row.name for one in publications]
        self.submitted.append(sorted(names))
        return [asyncio.get_running_loop().create_future() for _ in names]


def circle(group: Group, *, all_or_none: bool) -> Circle:
    """Return a circle of three projects."""
    return Circle([A, B, C], commit_group=cast("CommitGroup", group), all_or_none=all_or_none)


def submit(found: Circle, name: NormalizedName, *, is_whole: bool = True) -> asyncio.Task[asyncio.Future[None]]:
    """Begin to submit a project."""
    publication = cast("Publication", SimpleNamespace(catalog_update=SimpleNamespace(row=SimpleNamespace(name=name))))
    return asyncio.create_task(found.submit(publication, is_whole=is_whole, unless=lambda: False))


async def test_nobody_is_submitted_before_the_last_is_ready() -> None:
    """Those that are ready wait for the last one, and then all are submitted together."""
    group = Group()
    found = circle(group, all_or_none=False)
    early = [submit(found, A), submit(found, B)]
    await asyncio.wait(early, timeout=0.3)
    assert group.submitted == []
    await asyncio.gather(*early, submit(found, C))
    assert (group.submitted, found.failed) == ([["a", "b", "c"]], set())


@pytest.mark.parametrize("last", [False, True])
async def test_others_appear_without_one_that_failed(*, last: bool) -> None:
    """One that fails, before or after the others are ready, is missed, and named as failed."""
    group = Group()
    found = circle(group, all_or_none=False)
    if not last:
        await found.leave(C)
    others = [submit(found, A), submit(found, B)]
    await asyncio.sleep(0)
    if last:
        await found.leave(C)
    await asyncio.gather(*others)
    assert (group.submitted, found.failed) == ([["a", "b"]], {C})


@pytest.mark.parametrize("lacks_files", [False, True])
async def test_all_or_none(*, lacks_files: bool) -> None:
    """With ``unmet = "withhold"`` none appears if one fails or lacks files."""
    group = Group()
    found = circle(group, all_or_none=True)
    tasks = [submit(found, A), submit(found, B)]
    await asyncio.sleep(0)
    if lacks_files:
        tasks.append(submit(found, C, is_whole=False))
    else:
        await found.leave(C)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [AbandonedError] * len(tasks)
    assert (group.submitted, found.failed) == ([], {C})
