"""The pages of a source with only those files that may be installed: what the policy keeps, and what hashes name."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from packaging.utils import NormalizedName

from mirror_syncer.closure.source import Source
from mirror_syncer.config import Policy, decide
from mirror_syncer.errors import MirrorError, UpstreamError
from mirror_syncer.model.names import Sha256
from mirror_syncer.model.page import File, Page, PublishedPage
from mirror_syncer.model.requirement_lines import RequirementLines


@dataclass(frozen=True, slots=True)
class InstallableFiles:
    """
    A source that leaves out files.

    Attributes:
        failures: what upstream did not deliver, so that no answer about it is right.
    """

    source: Source
    hashes: Mapping[NormalizedName, frozenset[Sha256]]
    """By project: only files with these hashes may be installed."""
    keeps: Policy | None
    """Keeps files; None: all of them, as far as blocks, ages and the like allow it."""
    now: int
    is_mirror: bool = False
    """The source is the mirror, not upstream."""
    failures: list[UpstreamError] = field(default_factory=list)

    async def page(self, name: NormalizedName) -> Page | None:
        """
        Return a project's page with the files that may be installed.

        Raises:
            MirrorError: it cannot be read, the mirror has none, or the policy mirrors nothing of the project.
        """
        try:
            page = await self.source.page(name)
        except UpstreamError as error:
            self.failures.append(error)
            raise
        if page is None:
            if self.is_mirror:
                raise MirrorError("the mirror does not have it")
            return None
        if self.keeps is not None:
            policy = self.keeps.project(name)
            if policy is None:
                raise MirrorError(f"mirror.toml does not select {name}, and follows no dependencies")
            page = replace(page, files=decide(page, None, replace(policy, closure=None), now=self.now).keep)
        if (hashes := self.hashes.get(name)) is not None:
            page = replace(page, files=tuple(file for file in page.files if file.sha256 in hashes))
        return page

    async def published(self, name: NormalizedName) -> PublishedPage | None:
        """Return a project's published page."""
        return await self.source.published(name)

    async def requirement_lines(self, name: NormalizedName, file: File) -> RequirementLines:
        """Return what a file's metadata says."""
        return await self.source.requirement_lines(name, file)

    async def prefetch(self, files: Iterable[File]) -> None:
        """Look many files up at once."""
        await self.source.prefetch(files)

    def is_unconfirmed(self, name: NormalizedName) -> bool:
        """Return whether the page that ``page`` returned may never have been upstream's, but only the mirror's."""
        return self.source.is_unconfirmed(name)

    def is_known(self, file: File) -> bool:
        """Return whether what a file requires was found by ``prefetch``."""
        return self.source.is_known(file)
