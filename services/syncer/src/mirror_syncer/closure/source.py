"""What the resolution asks about projects and their files; ``ClosureSource`` and ``MirrorSource`` answer."""

from collections.abc import Iterable
from typing import Protocol

from packaging.utils import NormalizedName

from mirror_syncer.model.page import File, Page, PublishedPage
from mirror_syncer.model.requirement_lines import RequirementLines

ABSENT_SECONDS = 86_400
"""How long upstream's answer counts that it lacks a project: no sync asks for that page."""


class Source(Protocol):
    """Where pages and metadata come from."""

    async def page(self, name: NormalizedName) -> Page | None:
        """Return upstream's page, or None if it has no such project."""

    def is_unconfirmed(self, name: NormalizedName) -> bool:
        """Return whether the page that ``page`` returned may never have been upstream's, but only the mirror's."""

    async def published(self, name: NormalizedName) -> PublishedPage | None:
        """Return a project's published page, whose files are on disk."""

    async def requirement_lines(self, name: NormalizedName, file: File) -> RequirementLines:
        """Return what a file's metadata says."""

    async def prefetch(self, files: Iterable[File]) -> None:
        """Look many files up at once."""

    def is_known(self, file: File) -> bool:
        """Return whether what a file requires was found by ``prefetch``."""
