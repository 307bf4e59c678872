"""A release as the policy judges it: its files that are still wanted, and the clients that can install it."""

from collections.abc import Collection, Iterable
from types import MappingProxyType
from typing import TYPE_CHECKING

from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_contract.distributions import Installers, read_release
from mirror_syncer.model.names import Filename
from mirror_syncer.model.page import File

if TYPE_CHECKING:
    from mirror_syncer.config.judgement.fitting import Fitting

_BOTH = Installers.ALL
_UNRESTRICTED: MappingProxyType[Filename, Installers] = MappingProxyType({})


class Release:
    """
    A release of a project.

    Attributes:
        version: None for files whose names give none.
        equal_versions: of further files, perhaps spelled otherwise, as in ``1.0.0`` for ``1.0``; with repetitions.
        files: the files that no rule has left out so far.
        restricted: the installers of files that not both of them take.
        fitting: fits the files to the machines once the clients are needed, which is rare; None once that is done.
    """

    __slots__ = ("_clients", "_yanked_clients", "equal_versions", "files", "fitting", "restricted", "version")

    def __init__(self, version: Version | None) -> None:
        self.version = version
        # Most releases need no list and no dictionary of their own, and a page may have 7,000 releases.
        self.equal_versions: list[Version] | tuple[()] = ()
        self.files: list[File] = []
        self.fitting: Fitting | None = None
        self.restricted: dict[Filename, Installers] | MappingProxyType[Filename, Installers] = _UNRESTRICTED
        self._clients = self._yanked_clients = 0

    @property
    def is_prerelease(self) -> bool:
        """Whether the version says so."""
        return self.version is not None and self.version.is_prerelease

    def add_spelling(self, version: Version) -> None:
        """Note that a file spells the version in another way."""
        if isinstance(self.equal_versions, tuple):
            self.equal_versions = []
        self.equal_versions.append(version)

    def restrict(self, file: File, installers: Installers) -> None:
        """Note which installers take a file that not both of them take."""
        if isinstance(self.restricted, MappingProxyType):
            self.restricted = {}
        self.restricted[file.filename] = installers

    def installers(self, file: File) -> Installers:
        """Return the installers that take a file of this name."""
        return self.restricted.get(file.filename, _BOTH)

    def is_among(self, versions: Collection[str]) -> bool:
        """Return whether versions, each as ``str(Version)``, include this one in any of its spellings."""
        return str(self.version) in versions or any(str(version) in versions for version in self.equal_versions)

    @property
    def clients(self) -> int:
        """Pip and uv on each machine that can install it, as the bits of ``Compatibility``."""
        if self.fitting is not None:
            self.ensure_fit()
        return self._clients

    @property
    def yanked_clients(self) -> int:
        """The same, if only its yanked files counted (PEP 592: installers ignore them)."""
        self.ensure_fit()
        return self._yanked_clients

    def ensure_fit(self) -> None:
        """Leave out the files that fit no machine, unless that is done."""
        if (fitting := self.fitting) is not None:
            self.fitting = None
            fitting.fit(self)

    def note(self, file: File, clients: int) -> None:
        """Note that clients can install a file of it."""
        if file.yanked:
            self._yanked_clients |= clients
        else:
            self._clients |= clients

    @property
    def uploaded(self) -> str | None:
        """When its first file was uploaded, if any file says so."""
        return min((time for file in self.files if (time := file.upload_time) is not None), default=None)


def read_releases(name: NormalizedName, files: Iterable[File]) -> dict[Version | None, Release]:
    """Return the releases of a project by version, in the order of their first files."""
    releases: dict[Version | None, Release] = {}
    release = None
    for file in files:
        version, installers = read_release(name, file.filename)
        # Mostly the same object as for the file before, which spares the hash of a version.
        if release is None or version is not release.version:
            release = releases.setdefault(version, Release(version))
            if version is not None and version is not release.version:
                release.add_spelling(version)
        release.files.append(file)
        if installers is not _BOTH:
            release.restrict(file, installers)
    return releases
