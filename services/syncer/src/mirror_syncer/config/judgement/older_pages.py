"""
Judgement of an upstream page that, by its serial, seems older than the last one.

A CDN edge may lag behind and must not take back what is new. But the last serial may have been wrong, or upstream was
restored from a backup; and what upstream restricts must hold at once, whatever its serial.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import msgspec

from mirror_syncer.model.page import File, Page, ProjectStatus, PublishedPage

OLDER_SECONDS = 86_400
"""After so long, older pages are believed: the edges of a CDN catch up within an hour."""


def is_outdated(
    page: Page, wanted: Iterable[File], published: PublishedPage, *, older_since: int | None, now: int
) -> bool:
    """
    Return whether a page that seems older is older, by its content.

    Args:
        wanted: its files that the policy selects.
        older_since: since when upstream has shown only older pages.
    """
    if older_since is not None and now - older_since >= OLDER_SECONDS:
        return False
    wanted = tuple(wanted)
    return not (_has_news(wanted, published) or _says_the_same(page, wanted, published))


def restrict(page: Page, published: PublishedPage) -> Page | None:
    """
    Return the published page, restricted by an older page; None if that restricts nothing.

    Its quarantine and its yanks hold. What it no longer names is lost, for the deletion guard to judge, unless it was
    uploaded after all that the older page names.
    """
    ours = published.page
    if page.status is ProjectStatus.QUARANTINED:
        return None if ours.status is page.status else page
    named = {(file.filename, file.sha256): file for file in page.files}
    newest = _newest(page.files)
    files: list[File] = []
    for file in ours.files:
        theirs = named.get((file.filename, file.sha256))
        if theirs is not None:
            files.append(msgspec.structs.replace(file, yanked=file.yanked or theirs.yanked))
        elif newest is None or file.upload_time is None or _moment(file.upload_time) > newest:
            files.append(file)
    if files == list(ours.files):
        return None
    return replace(ours, files=tuple(files), versions=())


def _has_news(wanted: Iterable[File], published: PublishedPage) -> bool:
    """Return whether a page names a file that was uploaded after all that is published."""
    if published.page.status is ProjectStatus.QUARANTINED:
        return False  # nothing is published that its files could be newer than
    ours = _newest(published.page.files)
    theirs = _newest(file for file in wanted if file.filename not in published.files)
    return theirs is not None and (theirs > ours if ours is not None else not published.files)


def _says_the_same(page: Page, wanted: Iterable[File], published: PublishedPage) -> bool:
    """Return whether a page says exactly what is published, so that its age does not matter."""
    ours = published.page
    return (page.status, page.status_reason) == (ours.status, ours.status_reason) and _what(wanted) == _what(ours.files)


def _what(files: Iterable[File]) -> set[tuple[str, str, bool | str]]:
    return {(file.filename, file.sha256, file.yanked) for file in files}


def _newest(files: Iterable[File]) -> datetime | None:
    return max((_moment(file.upload_time) for file in files if file.upload_time is not None), default=None)


def _moment(upload_time: str) -> datetime:
    return datetime.fromisoformat(upload_time)
