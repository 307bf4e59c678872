"""The retirement of published files: when they leave the document root, and what the catalog notes before."""

import time
from collections.abc import Collection, Sequence

from packaging.utils import NormalizedName

from mirror_syncer.model.page import PublishedPage
from mirror_syncer.model.project import Pending, Retirement


def retire(
    name: NormalizedName,
    published: PublishedPage | None,
    *,
    staying: frozenset[str],
    grace: int | None,
    at_once: Collection[str] = frozenset(),
) -> tuple[Retirement, ...]:
    """
    Return the files of a published page that leave it.

    Args:
        staying: places that the next page still names.
        grace: seconds for which they may still be downloaded; None: they leave at once and may come back, as those of
            a quarantined project do.
        at_once: names of files that leave as with None, whatever the grace is.
    """
    if published is None:
        return ()
    now = int(time.time())
    return tuple(
        Retirement(
            name,
            place,
            file.sha256,
            due_at=now + (0 if (aside := grace is None or file.filename in at_once) else grace or 0),
            withdraw=aside,
            retired_at=now,
            size=file.size or 0,
        )
        for file in published.page.files
        if (place := published.places[file.filename]) not in staying
    )


def intents(name: NormalizedName, leaving: Sequence[Retirement]) -> list[Pending]:
    """Return what a publication notes before it changes anything: its page, and the files that leave it."""
    return [Pending.page(name), *(Pending(name, r.place, r.sha256, r.withdraw) for r in leaving)]
