"""A project's publication, ready for the group commit."""

from dataclasses import dataclass

from mirror_syncer.model.project import CatalogUpdate
from mirror_syncer.volume import StagedDocument, StagedPages


@dataclass(frozen=True, slots=True)
class Publication:
    """A publication of one project: its files are in place, its page is written but not yet visible."""

    catalog_update: CatalogUpdate
    staged: StagedPages | None = None
    withdrawn: bool = False
    """Remove its page."""
    legacy: StagedDocument | None = None
    """Its legacy document, or the removal of it."""

    @property
    def is_visible(self) -> bool:
        """Whether its commit changes a page that clients see."""
        return self.staged is not None or self.legacy is not None or self.withdrawn

    @property
    def replaces_page(self) -> bool:
        """Whether an edge may have a page that its commit replaces or removes."""
        return self.withdrawn or (self.staged is not None and not self.staged.is_first)
