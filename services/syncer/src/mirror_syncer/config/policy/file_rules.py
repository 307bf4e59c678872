"""``[files]``: which files and releases are wanted, in all projects."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from mirror_contract.distributions import DistributionType, distribution_type
from mirror_syncer.model.page import File

_ALL_KINDS = frozenset(DistributionType)


@dataclass(frozen=True, slots=True)
class FileRules:
    """What a file must be like to be wanted."""

    prereleases: bool | None = None
    """None: as the scope and the line have it, see ``VersionRule``."""
    yanked: bool = True
    """Whether yanked files are wanted; pip and uv install them only for ``==`` (PEP 592)."""
    kinds: frozenset[DistributionType] = _ALL_KINDS
    max_file_size: int | None = None
    """Bytes. A file whose size is unknown is wanted."""
    max_project_size: int | None = None
    """Bytes; the newest releases that fit are wanted."""
    uploaded_after: datetime | None = None
    uploaded_before: datetime | None = None

    @property
    def judges_files(self) -> bool:
        """Whether a file may be unwanted for what it is itself."""
        return (
            not self.yanked
            or self.kinds != _ALL_KINDS
            or self.max_file_size is not None
            or self.uploaded_after is not None
            or self.uploaded_before is not None
        )

    def objections(self, file: File) -> Iterator[str]:
        """Yield why a file is not wanted."""
        if self.kinds != _ALL_KINDS and (kind := distribution_type(file.filename)) not in self.kinds:
            yield f"its kind is {kind}, and [files] kinds names {', '.join(sorted(self.kinds))}"
        if file.yanked and not self.yanked:
            yield "it is yanked, and [files] yanked is false"
        if self.max_file_size is not None and (file.size or 0) > self.max_file_size:
            yield f"it has {file.size:,} bytes, and [files] max_file_size is {self.max_file_size:,}"
        if file.upload_time is None:
            return
        if self.uploaded_after is not None and file.upload_time[:19] < f"{self.uploaded_after:%Y-%m-%dT%H:%M:%S}":
            yield f"it was uploaded before [files] uploaded_after, {self.uploaded_after:%Y-%m-%d %H:%M} UTC"
        if self.uploaded_before is not None and file.upload_time[:19] >= f"{self.uploaded_before:%Y-%m-%dT%H:%M:%S}":
            yield f"it was uploaded after [files] uploaded_before, {self.uploaded_before:%Y-%m-%d %H:%M} UTC"
