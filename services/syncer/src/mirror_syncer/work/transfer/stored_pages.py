"""Upstream's page and ours as they are stored, so that a project can be judged without a request."""

from collections.abc import Callable

from packaging.utils import NormalizedName

from mirror_syncer.errors import InvalidPageError
from mirror_syncer.model.digests import Unhashed
from mirror_syncer.model.page import Page, PublishedPage
from mirror_syncer.model.project import KeptPage
from mirror_syncer.publish import find_published
from mirror_syncer.volume import AnyView
from mirror_syncer.work.transfer.page import last_page
from mirror_syncer.work.transfer.unhashed import UnhashedFiles


class StoredPages:
    """
    Reads the pages of projects; it blocks for the disk and the catalog.

    Args:
        kept: returns upstream's page as it was kept for a project, if it was.
        without_hash: the hosts whose files need no sha256.
    """

    def __init__(
        self, view: AnyView, *, kept: Callable[[NormalizedName], KeptPage | None], without_hash: Unhashed, upstream: str
    ) -> None:
        self._view = view
        self._kept = kept
        # A sync also puts upstream's other digest on our page, so no file has to be hashed for a comparison.
        self._unhashed = UnhashedFiles(without_hash, upstream=upstream, digest_of=lambda _place, _like: None)

    def read(self, name: NormalizedName) -> tuple[Page, PublishedPage | None]:
        """
        Return upstream's page as it was last taken, and ours; None if there is none, or none that can be read.

        Raises:
            PathError: the published page cannot be read.
        """
        published = find_published(self._view, name)
        return self.last_of(name, published), published

    def last_of(self, name: NormalizedName, published: PublishedPage | None) -> Page:
        """Return upstream's page as it was last taken; ours where nothing else is left of it."""
        try:
            page = last_page(self._kept(name), published)
        except InvalidPageError:
            page = published.page if published else Page(name, ())
        return self._unhashed.settle(page, published)
