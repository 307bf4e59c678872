"""
A published page that ``mirror.toml`` would empty: its files stay until the deletion guard allows their removal.

A mistake in ``[machines]``, ``[files]``, a specifier or ``latest`` shows in projects that nobody can install any more.
So it is judged like a loss upstream: up to a share of all projects in a day, and beyond it only if a person allows it.
A page that keeps any file is no such mistake, and what is blocked or held leaves at once, whatever the guard says.
"""

from collections.abc import Collection

from mirror_syncer.config.judgement.screening import Screening
from mirror_syncer.model.decision import Reasoned
from mirror_syncer.model.page import PublishedPage, names


def stay_of(screening: Screening, published: PublishedPage | None, *, damaged: Collection[str]) -> tuple[Reasoned, ...]:
    """
    Return the published files of a page that would be emptied, each with the reason why it stays for now.

    Args:
        damaged: places whose content is missing or wrong, so that nothing there can be kept.
    """
    if screening.wanted or published is None:
        return ()
    return tuple(
        (file, f"{reason}; no file of its project would be left, so the deletion guard decides whether it leaves")
        for file, reason in screening.left_out
        if names(published.files, file) and published.places[file.filename] not in damaged
    )
