"""The newest version of a project's published files."""

from collections.abc import Iterable

from packaging.utils import NormalizedName

from mirror_contract.distributions import read_version
from mirror_syncer.model.page import File


def newest_version(name: NormalizedName, files: Iterable[File]) -> str | None:
    """Return what installers take by default: the newest final version that is not yanked, or else the newest."""
    versions = (
        (not file.yanked, not version.is_prerelease, version)
        for file in files
        if (version := read_version(name, file.filename)) is not None
    )
    newest = max(versions, default=None)
    return None if newest is None else str(newest[2])
