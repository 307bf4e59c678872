"""Why a page has no release for a requirement: none matches, or all that match are held, blocked, yanked or unfit."""

from collections.abc import Iterator, Sequence

from packaging.specifiers import SpecifierSet

from mirror_contract import UnmetReason
from mirror_contract.distributions import Installers
from mirror_syncer.config.judgement.admission import Admission
from mirror_syncer.config.judgement.fitting import EVERYONE
from mirror_syncer.config.judgement.newest import newest_first
from mirror_syncer.config.judgement.release import Release, read_releases
from mirror_syncer.config.machines.compatibility import compatibility
from mirror_syncer.config.machines.listing import listed
from mirror_syncer.model.page import File

_MAX_SHOWN = 200  # characters of a specifier; a hostile release writes ten thousand


class Absence:
    """
    Explains what is missing on one page.

    Args:
        admission: of the page, with each release fitted to the machines.
    """

    def __init__(self, admission: Admission) -> None:
        self._name = admission.name
        self._admission = admission
        self._machines = admission.rules.machines
        self._all = newest_first(read_releases(admission.name, admission.files).values())

    def explain(self, specifier: SpecifierSet, clients: int) -> tuple[UnmetReason, str]:
        """
        Return why no release satisfies a requirement, with a sentence.

        What time alone mends is named first, then what a person may change.
        """
        found = [release for release in self._all if _matches(specifier, release)]
        fitting = [file for release in found for file in self._fitting(release, clients)]
        return (
            self._held(fitting)
            or self._blocked(fitting)
            or self._yanked(specifier, found, fitting)
            or self._left_out(fitting)
            or self._unfit(found, clients)
            or self._unknown(specifier)
        )

    def _fitting(self, release: Release, clients: int) -> Iterator[File]:
        """Yield the files of a release that clients can install, whatever other rules say."""
        fits = None if self._machines.are_all else compatibility(self._machines)
        for file in release.files:
            installers = release.installers(file)
            if installers is Installers.NONE:
                continue
            if (EVERYONE if fits is None else fits.fits(file.filename, installers, file.requires_python)) & clients:
                yield file

    def _held(self, files: Sequence[File]) -> tuple[UnmetReason, str] | None:
        holds = [hold for file in files if (hold := self._admission.held.get(file.filename)) is not None]
        if not holds:
            return None
        first = min(holds, key=lambda hold: (hold.until is None, hold.until or 0))
        return UnmetReason.HELD, f"{first.file.filename} is held: {first.reason}"

    def _blocked(self, files: Sequence[File]) -> tuple[UnmetReason, str] | None:
        for file in files:
            if (reason := self._admission.blocked.get(file.filename)) is not None:
                return UnmetReason.BLOCKED, f"{file.filename} is blocked: {reason}"
        return None

    def _yanked(
        self, specifier: SpecifierSet, releases: Sequence[Release], files: Sequence[File]
    ) -> tuple[UnmetReason, str] | None:
        if not files or not all(file.yanked for file in files):
            return None
        yanked = {file.filename for file in files}
        newest = next(one.version for one in releases if any(file.filename in yanked for file in one.files))
        matching = f"all releases of {self._name} that match {_text(specifier)} are yanked"
        return UnmetReason.YANKED, f"{matching}, such as {newest}; installers take a yanked release for '==' alone"

    def _left_out(self, files: Sequence[File]) -> tuple[UnmetReason, str] | None:
        for file in files:
            if (reason := self._admission.left_out.get(file.filename)) is not None:
                return UnmetReason.NO_FILE, f"{file.filename} is left out: {reason}"
        return None

    def _unfit(self, releases: Sequence[Release], clients: int) -> tuple[UnmetReason, str] | None:
        if not releases:
            return None
        release = f"{self._name} {releases[0].version}, the newest release that matches,"
        if self._machines.are_all:
            return UnmetReason.NO_FILE, f"{release} has no file that pip or uv installs"
        return UnmetReason.NO_FILE, f"{release} has no file for {listed(compatibility(self._machines).names(clients))}"

    def _unknown(self, specifier: SpecifierSet) -> tuple[UnmetReason, str]:
        newest = f"the newest is {self._all[0].version}" if self._all else "it has no release"
        return UnmetReason.NO_RELEASE, f"no release of {self._name} matches {_text(specifier)}; {newest}"


def _matches(specifier: SpecifierSet, release: Release) -> bool:
    versions = (release.version, *release.equal_versions)
    return any(version is not None and specifier.contains(version, prereleases=True) for version in versions)


def _text(specifier: SpecifierSet) -> str:
    text = str(specifier)
    return f"'{text if len(text) <= _MAX_SHOWN else f'{text[:_MAX_SHOWN]}…'}'" if text else "any version"
