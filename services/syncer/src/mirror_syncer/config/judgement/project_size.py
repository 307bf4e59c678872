"""``[files] max_project_size``: the oldest releases of a project that is too large are left out."""

from collections.abc import Callable, Iterable, Iterator

from mirror_syncer.config.judgement.release import Release
from mirror_syncer.model.page import File


def too_large(
    releases: Iterable[Release], files_of: Callable[[Release], Iterable[File]], limit: int
) -> Iterator[Release]:
    """
    Yield the releases with which a project would be too large.

    Args:
        releases: the newest first.
        files_of: returns the files that are wanted of a release.
        limit: bytes.
    """
    total = 0
    for release in releases:
        size = sum(file.size or 0 for file in files_of(release))
        # A release that is too large by itself does not count against the others.
        total += size if size <= limit else 0
        if max(size, total) > limit:
            yield release
