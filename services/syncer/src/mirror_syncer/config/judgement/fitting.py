"""The fitting of releases to machines: which clients can install a release, and which of its files nobody needs."""

from collections.abc import Collection

from mirror_contract.distributions import Installers
from mirror_syncer.config.judgement.release import Release
from mirror_syncer.config.machines.compatibility import Compatibility, compatibility
from mirror_syncer.config.machines.machines import Machines
from mirror_syncer.model.names import Filename
from mirror_syncer.model.page import File

# As the bits of ``Compatibility`` without [machines]: pip, uv, and pip on a first patch release.
_CLIENTS = {Installers.ALL: 0b111, Installers.PIP: 0b101, Installers.NONE: 0}
_WHEEL = ".whl"
_BOTH, _NEITHER = Installers.ALL, Installers.NONE
EVERYONE = _CLIENTS[Installers.ALL]
"""All clients where every machine may install."""


class Fitting:
    """
    Fits the releases of one page to the machines of ``mirror.toml``.

    Args:
        left_out: why files are left out, by file name; it adds to these.
        kept: names of files that are kept, whatever the machines are.

    Attributes:
        everyone: all clients, as the bits of ``Compatibility``.
        takes_all: whether no file is left out, because every machine may install.
    """

    def __init__(self, machines: Machines, *, left_out: dict[Filename, str], kept: Collection[Filename]) -> None:
        self._fits = None if machines.are_all else compatibility(machines)
        self._left_out = left_out
        self._kept = kept
        self.takes_all = self._fits is None
        self.everyone = EVERYONE if self._fits is None else self._fits.everyone

    def fit(self, release: Release) -> None:
        """Note which clients can install a release, and leave out its files that no machine can install, or needs."""
        if self._fits is not None:
            self._fit_to_machines(self._fits, release)
            return
        for file in release.files:
            release.note(file, _CLIENTS[release.installers(file)])

    def unfit(self, release: Release) -> dict[Filename, str]:
        """Return why files of a release would be left out, by file name; it leaves out none."""
        return {} if self._fits is None else _sort(self._fits, release)[0]

    def _fit_to_machines(self, fits: Compatibility, release: Release) -> None:
        unfit, fitting = _sort(fits, release)
        for file, clients in fitting:
            release.note(file, clients)
        if unfit:
            self._left_out.update((name, reason) for name, reason in unfit.items() if name not in self._kept)
            release.files = [file for file in release.files if file.filename not in self._left_out]


def _sort(fits: Compatibility, release: Release) -> tuple[dict[Filename, str], list[tuple[File, int]]]:
    """Return why files of a release are left out, by file name, and which clients can install the others."""
    unfit: dict[Filename, str] = {}
    fitting: list[tuple[File, int]] = []
    others: list[File] = []
    wheels = 0
    for file in release.files:
        filename = file.filename
        if not filename.endswith(_WHEEL) or filename in release.restricted:
            others.append(file)
        elif clients := fits.fits_wheel(filename, file.requires_python):
            wheels |= clients
            fitting.append((file, clients))
        else:
            unfit[filename] = fits.why_not(filename, _BOTH, file.requires_python)
    for file in others:
        filename, installers = file.filename, release.installers(file)
        clients = fits.fits(filename, installers, file.requires_python)
        if not clients:
            unfit[filename] = fits.why_not(filename, installers, file.requires_python)
        elif installers is _NEITHER:
            continue  # somebody may install it by hand
        elif fits.wants_sdist(clients, wheels):
            fitting.append((file, clients))
        else:
            unfit[filename] = fits.why_no_sdist()
    return unfit, fitting
