"""What a project's turn leaves to its group's commit."""

from dataclasses import dataclass

from mirror_syncer.model.project import CatalogUpdate
from mirror_syncer.volume import StagedDocument, StagedPages


@dataclass(frozen=True, slots=True)
class Publication:
    """One project, ready: its files are in place, its page is written and not yet visible."""

    catalog_update: CatalogUpdate
    staged: StagedPages | None = None
    withdrawn: bool = False
    """Its page goes."""
    legacy: StagedDocument | None = None
    """Its legacy document, or that this goes."""

    @property
    def shows(self) -> bool:
        """Whether its commit changes what clients see."""
        return self.staged is not None or self.legacy is not None or self.withdrawn
