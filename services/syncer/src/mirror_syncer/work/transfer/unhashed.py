"""
Files without a sha256 upstream: the first content is hashed, published with that hash, and compared with it later.

So clients of the mirror always have a sha256 to lock, and the index cannot change a file unnoticed while the mirror
names it.
"""

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from msgspec.structs import replace as replace_file

from mirror_syncer.model.digests import NO_DIGEST, OtherDigest, Unhashed, is_weak
from mirror_syncer.model.names import PackagePath
from mirror_syncer.model.page import File, Page, PublishedPage, Refusal

DigestOf = Callable[[PackagePath, OtherDigest], OtherDigest | None]
"""Computes another digest of the file at a place; it blocks for the disk."""


class UnhashedFiles:
    """
    Decides whether files without a sha256 are accepted.

    Args:
        accepted: the hosts that they may come from.
        upstream: the index's URL.
        digest_of: hashes what is published with a sha256 alone, when upstream begins to give another digest instead.
    """

    def __init__(self, accepted: Unhashed, *, upstream: str, digest_of: DigestOf) -> None:
        self._accepted = accepted
        self._host = _origin(upstream)
        self._digest_of = digest_of

    def settle(self, page: Page, published: PublishedPage | None) -> Page:
        """
        Return a page whose files without a sha256 have that of what is published, or none if they are to be downloaded.

        Files on a host that is not accepted become refusals. It may block for the disk.
        """
        if not any(file.sha256 == NO_DIGEST for file in page.files):
            return page
        files: list[File] = []
        refused: list[Refusal] = []
        for file in page.files:
            if file.sha256 != NO_DIGEST:
                files.append(file)
            elif (pinned := self._pinned(file, published)) is not None:
                files.append(pinned)
            elif (reason := self.refusal(file, file.url)) is None:
                files.append(file)
            else:
                refused.append(Refusal(file.filename, reason))
        return replace(page, files=tuple(files), refused=(*page.refused, *refused))

    def refusal(self, file: File, url: str) -> str | None:
        """Return why a file without a sha256 must not be downloaded from a URL; None if it may."""
        if self._accepted is Unhashed.NEVER:
            return "the page gives no sha256, so its content cannot be checked; see MIRROR_WITHOUT_HASH"
        if is_weak(file.other_digest) and self._accepted is Unhashed.OWN_HOST and _origin(url) != self._host:
            return (
                f"the page gives no sha256, and the file is on another host, {urlsplit(url).netloc}; "
                "MIRROR_WITHOUT_HASH=any-host accepts it"
            )
        return None

    def _pinned(self, file: File, published: PublishedPage | None) -> File | None:
        """Return a file with the sha256 of what is published by its name, unless upstream promises other content."""
        before = None if published is None else published.files.get(file.filename)
        if published is None or before is None or file.size not in (None, before.size):
            return None
        if (promised := file.other_digest) is not None:
            known = before.other_digest
            if known is None or known.partition("=")[0] != promised.partition("=")[0]:
                known = self._digest_of(published.places[file.filename], promised)
            if known != promised:
                return None
        return replace_file(file, sha256=before.sha256, size=before.size)


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)
