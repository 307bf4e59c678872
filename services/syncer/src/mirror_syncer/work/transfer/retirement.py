"""What a page lets go of: files that upstream's lacks, which the deletion guard judges, and those that retire."""

import time
from collections.abc import Sequence

from packaging.utils import NormalizedName

from mirror_syncer.model.page import File, Page
from mirror_syncer.model.project import Pending, Retirement
from mirror_syncer.publish import PublishedPage


def lost_files(page: Page, published: PublishedPage | None, *, damaged: frozenset[str]) -> dict[str, File]:
    """
    Return what our page names and upstream's no longer does with that content, by file name.

    However little of each page it is, the deletion guard judges it: an index that lost its storage answers 200, with a
    page of what it has cached, with entries that lack their hashes, or with a little less in each run. Of what is
    damaged nothing is left to be kept.
    """
    if published is None:
        return {}
    named = {(file.filename, file.sha256) for file in page.files}
    return {
        name: file
        for name, file in published.files.items()
        if (name, file.sha256) not in named and published.places[name] not in damaged
    }


def retire(
    name: NormalizedName, published: PublishedPage | None, *, staying: frozenset[str], grace: int | None
) -> tuple[Retirement, ...]:
    """
    Return what leaves of a published page.

    Args:
        staying: places of what does not.
        grace: seconds that it may still be had; None, of what is quarantined: none, and it may come back.
    """
    if published is None:
        return ()
    now = int(time.time())
    return tuple(
        Retirement(
            name,
            place,
            file.sha256,
            due_at=now + (grace or 0),
            withdraw=grace is None,
            retired_at=now,
            size=file.size or 0,
        )
        for file in published.page.files
        if (place := published.places[file.filename]) not in staying
    )


def intents(name: NormalizedName, leaving: Sequence[Retirement]) -> list[Pending]:
    """Return what a publication notes before it touches anything: its page, and the files that leave it."""
    return [Pending.page(name), *(Pending(name, r.place, r.sha256, r.withdraw) for r in leaving)]
