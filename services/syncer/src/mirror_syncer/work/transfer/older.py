"""
A page that seems older than the last one, by its serial: what its content says to that.

An edge of the CDN may lag behind, and must not take back what is new. But a serial may have been wrong, or upstream was
restored from a backup; and what upstream restricts must hold at once, whatever its serial.
"""

import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import msgspec

from mirror_syncer.config import SelectedFiles
from mirror_syncer.model.page import File, Page, ProjectStatus
from mirror_syncer.model.project import ProjectRow
from mirror_syncer.publish import PublishedPage

OLDER_SECONDS = 86_400
"""Pages that seem older for so long are upstream's word: edges of a CDN catch up within an hour."""


def has_news(verdict: SelectedFiles[File], published: PublishedPage) -> bool:
    """Return whether a page names a file that was uploaded after all that is published: then it is not older."""
    if published.page.status is ProjectStatus.QUARANTINED:
        return False  # nothing is published that its files could be newer than
    ours = _newest(published.page.files)
    theirs = _newest(file for file in verdict.wanted if file.filename not in published.files)
    return theirs is not None and (theirs > ours if ours is not None else not published.files)


def says_the_same(page: Page, verdict: SelectedFiles[File], published: PublishedPage) -> bool:
    """Return whether a page has just what is published: then it does not matter how old it is."""
    ours = published.page
    return (page.status, page.status_reason) == (ours.status, ours.status_reason) and _what(verdict.wanted) == _what(
        ours.files
    )


def stays_older(row: ProjectRow) -> bool:
    """Return whether a project's pages have seemed older for so long that they are taken."""
    return row.older_since is not None and int(time.time()) - row.older_since >= OLDER_SECONDS


def tightened(page: Page, published: PublishedPage) -> Page | None:
    """
    Return what is published, restricted by what an older page says; None where it restricts nothing.

    Its quarantine and its yanks hold, and what it names no more is lost, which the deletion guard judges. A file that
    was uploaded after all that the page names is news to it, and no loss.
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


def stands_still(page: Page, published: PublishedPage | None, row: ProjectRow) -> bool:
    """
    Return whether a page changed while its serial did not.

    What the policy makes of a page may change by itself, so upstream's own changes alone count: a file more, a file
    less, a yank.
    """
    if published is None or page.serial is None or page.serial != row.serial:
        return False
    if len(page.files) > row.file_count + row.withheld_files + row.missing_files:
        return True
    named = {(file.filename, file.sha256): file.yanked for file in page.files}
    return any(named.get((file.filename, file.sha256), not file.yanked) != file.yanked for file in published.page.files)


def _what(files: Iterable[File]) -> set[tuple[str, str, bool | str]]:
    return {(file.filename, file.sha256, file.yanked) for file in files}


def _newest(files: Iterable[File]) -> datetime | None:
    return max((_moment(file.upload_time) for file in files if file.upload_time is not None), default=None)


def _moment(upload_time: str) -> datetime:
    return datetime.fromisoformat(upload_time)
