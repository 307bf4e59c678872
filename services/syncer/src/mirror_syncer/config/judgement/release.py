"""A release as the policy judges it: its files that are still wanted, and the machines that can install it."""

from collections.abc import Callable, Collection, Iterable

from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_contract.distributions import Installers, read_release
from mirror_syncer.model.page import File

# As the bits of ``Compatibility`` without [machines]: pip, uv, and pip on a first patch release.
_CLIENTS = {Installers.ALL: 0b111, Installers.PIP: 0b101, Installers.NONE: 0}
EVERYONE = _CLIENTS[Installers.ALL]
"""All clients where every machine may install."""


Candidate = tuple[File, Installers]
"""A file that no rule has left out so far, and the installers that take a file of its name."""


class Release:
    """
    A release of a project.

    Attributes:
        version: None for files whose names give none.
        is_prerelease: whether the version says so.
        equal_versions: of further files, perhaps spelled otherwise, as in ``1.0.0`` for ``1.0``; with repetitions.
        candidates: the files that no rule has left out so far.
        fit: notes the clients of the candidates, and leaves out candidates without any. It is only called when the
            clients are needed, which is rare.
    """

    __slots__ = ("_clients", "_yanked_clients", "candidates", "equal_versions", "fit", "is_prerelease", "version")

    def __init__(self, version: Version | None) -> None:
        self.version = version
        self.is_prerelease = version is not None and version.is_prerelease
        self.equal_versions: list[Version] = []
        self.candidates: list[Candidate] = []
        self.fit: Callable[[Release], None] | None = None
        self._clients = self._yanked_clients = 0

    def is_among(self, versions: Collection[str]) -> bool:
        """Return whether versions, each as ``str(Version)``, include this one in any of its spellings."""
        return str(self.version) in versions or any(str(version) in versions for version in self.equal_versions)

    @property
    def clients(self) -> int:
        """Pip and uv on each machine that can install it, as the bits of ``Compatibility``."""
        self.ensure_fit()
        return self._clients

    @property
    def yanked_clients(self) -> int:
        """The same, if only its yanked files counted (PEP 592: installers ignore them)."""
        self.ensure_fit()
        return self._yanked_clients

    def ensure_fit(self) -> None:
        """Leave out the files that fit no machine, unless that is done."""
        if self.fit is not None:
            fit, self.fit = self.fit, None
            fit(self)

    def note(self, file: File, clients: int) -> None:
        """Note that clients can install a file of it."""
        if file.yanked:
            self._yanked_clients |= clients
        else:
            self._clients |= clients

    def note_installers(self) -> None:
        """Note which installers take a file of it, on whatever machine: a bit for pip, and one for uv."""
        for file, installers in self.candidates:
            self.note(file, _CLIENTS[installers])

    @property
    def uploaded(self) -> str | None:
        """When its first file was uploaded, if any file says so."""
        return min((time for file, _ in self.candidates if (time := file.upload_time) is not None), default=None)


def read_releases(name: NormalizedName, files: Iterable[File]) -> list[Release]:
    """Return the releases of a project, in the order of their first files."""
    releases: dict[Version | None, Release] = {}
    release = None
    for file in files:
        version, installers = read_release(name, file.filename)
        # Mostly the same object as for the file before, which spares the hash of a version.
        if release is None or version is not release.version:
            release = releases.get(version)
            if release is None:
                release = releases[version] = Release(version)
            elif version is not None:
                release.equal_versions.append(version)
        release.candidates.append((file, installers))
    return list(releases.values())
