"""What releases require: which of their files are read for that, and what these say."""

import asyncio
from collections.abc import Iterable
from functools import reduce
from operator import or_

import structlog
from packaging.utils import NormalizedName

from mirror_syncer.closure.project import Project, metadata_key
from mirror_syncer.closure.requirements import read_build_requirements, read_requirements
from mirror_syncer.closure.source import Source
from mirror_syncer.config import Policy
from mirror_syncer.config.judgement.release import Release
from mirror_syncer.config.machines.compatibility import compatibility
from mirror_syncer.errors import MirrorError, VolumeError
from mirror_syncer.model.page import File, names
from mirror_syncer.model.requirement_lines import RequirementLines

log = structlog.get_logger()

_WHEEL = ".whl"


class ReleaseReader:
    """
    Reads what releases require, and notes it in their projects.

    Args:
        policy: says which machines build an sdist, and what is added to the metadata of a project.
    """

    def __init__(self, policy: Policy, source: Source) -> None:
        self._additions = policy.dependencies.additions
        self._machines = policy.rules.machines
        self._fits = compatibility(policy.rules.machines)
        self._source = source

    async def read_all(self, releases: Iterable[tuple[Project, Release]]) -> None:
        """Read releases; of those whose metadata cannot be had, ``Project.unread`` says why."""
        pairs = list(releases)
        await self._source.prefetch(file for project, release in pairs for file in project.files(release))
        await asyncio.gather(*(self._note(project, release) for project, release in pairs))

    async def read(self, project: Project, release: Release) -> None:
        """
        Read a release, unless that is done.

        Raises:
            MirrorError: its metadata cannot be had.
        """
        assert release.version is not None
        if release.version in project.requirements:
            return
        files = self._files_to_read(project, release)
        lines = await asyncio.gather(*(self._source.requirement_lines(project.name, file) for file in files))
        by_lines = {one: read_requirements(one, project.name) for one in lines}
        if len(by_lines) > 1:
            by_file = {metadata_key(file): by_lines[one] for file, one in zip(files, lines, strict=True)}
            project.requirements_of_files[release.version] = by_file
        found = list(by_lines.values())
        to_build = [read_build_requirements(one) for one in dict.fromkeys(lines) if one.build_requires]
        if added := self._additions.get(project.name, ()):
            found.append(read_requirements(RequirementLines(added), project.name))
        project.requirements[release.version] = found
        project.build_requirements[release.version] = to_build
        if not all(one.is_usable for one in (*found, *to_build)):
            project.unusable.add(release.version)

    async def _note(self, project: Project, release: Release) -> None:
        try:
            await self.read(project, release)
        except VolumeError:
            raise
        except Exception as error:
            if not isinstance(error, MirrorError) and any(
                names(project.on_disk, file) for file in project.files(release)
            ):
                raise  # what a published release requires would leave
            assert release.version is not None
            project.unread[release.version] = explain_defect(project.name, error)

    def _files_to_read(self, project: Project, release: Release) -> list[File]:
        """
        Return which of a release's files are read.

        Wheels of a release rarely differ in what they require, so of those whose metadata costs a request each, only
        the first is read; the others are read from the disk once they are here. An sdist is read where it is built.
        """
        files = sorted(project.files(release), key=lambda file: file.filename)
        wheels = [file for file in files if file.filename.endswith(_WHEEL)]
        by_metadata: dict[str, File] = {}
        for file in wheels:
            if isinstance(file.core_metadata, str) or names(project.on_disk, file) or self._source.is_known(file):
                by_metadata.setdefault(metadata_key(file), file)
        if wheels and not by_metadata:
            by_metadata[wheels[0].sha256] = wheels[0]
        sdists = [file for file in files if file not in wheels] if self._is_built(release) else []
        return [*by_metadata.values(), *sdists]

    def _is_built(self, release: Release) -> bool:
        """Return whether a machine has no wheel of a release, so that it builds the sdist."""
        fitting = (
            self._fits.fits(file.filename, release.installers(file), file.requires_python)
            for file in release.files
            if file.filename.endswith(_WHEEL)
        )
        wheels = reduce(or_, fitting, 0)
        if self._machines.are_all:
            return not wheels
        return bool((release.clients | release.yanked_clients) & ~wheels & ~self._fits.uv)


def explain_defect(name: NormalizedName, error: Exception) -> str:
    """Return why a project cannot be read; a defect of this program has its traceback in the log."""
    if isinstance(error, MirrorError):
        return str(error)
    log.error("project failed", project=name, exc_info=error)
    return f"{type(error).__name__}: {error}"
