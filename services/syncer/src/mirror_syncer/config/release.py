"""A release as the policy judges it: its files that are still wanted, and the machines that can install it."""

from collections.abc import Iterable
from typing import NamedTuple

from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_contract.distributions import Installers, read_release
from mirror_syncer.model.page import File

_CLIENTS = {Installers.ALL: 0b11, Installers.PIP: 0b01, Installers.NONE: 0}


class Candidate(NamedTuple):
    """A file that no rule has left out so far."""

    file: File
    installers: Installers
    """The installers that take a file of this name."""


class Release:
    """
    A release of a project.

    Attributes:
        version: None for files whose names give none.
        candidates: the files that no rule has left out so far.
        clients: pip and uv on each machine that can install it, as the bits of ``Compatibility``.
        yanked_clients: the same, if only its yanked files counted (PEP 592: installers ignore them).
    """

    __slots__ = ("candidates", "clients", "version", "yanked_clients")

    def __init__(self, version: Version | None) -> None:
        self.version = version
        self.candidates: list[Candidate] = []
        self.clients = self.yanked_clients = 0

    def note(self, file: File, clients: int) -> None:
        """Note that clients can install a file of it."""
        if file.yanked:
            self.yanked_clients |= clients
        else:
            self.clients |= clients

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
    for file in files:
        version, installers = read_release(name, file.filename)
        release = releases.get(version)
        if release is None:
            release = releases[version] = Release(version)
        release.candidates.append(Candidate(file, installers))
    return list(releases.values())
