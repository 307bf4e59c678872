"""What a proof asks about the releases that one machine may install: the border between a closure and its solver."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_syncer.model.need import Need


class Candidate(NamedTuple):
    """A release that the machine may install."""

    version: Version
    is_kept: bool
    """Whether the mirror keeps it without the proof."""
    is_yanked: bool = False


class Releases(Protocol):
    """
    The releases of all projects, as one machine sees them.

    The solver calls it from its own thread, so that a call may block while a page or metadata is fetched. Each call
    must give the same answer for as long as a solver runs.
    """

    def versions(self, project: NormalizedName) -> Sequence[Candidate]:
        """
        Return the releases that the machine may install, in any order; none where the project does not exist.

        Yanked ones are among them, since ``==`` takes them; held, blocked and unusable ones are not.
        """
        ...

    def all_versions(self, project: NormalizedName) -> Sequence[Version]:
        """Return each version of the page with a file for the machine: pip looks at them for finals."""
        ...

    def why_none(self, project: NormalizedName, specifier: SpecifierSet) -> str:
        """Return why no candidate satisfies a specifier, such as "no such project" or "held until 2026-12-05"."""
        ...

    def needs(self, project: NormalizedName, version: Version) -> Sequence[Need]:
        """Return the requirements of a release, those of all its extras included."""
        ...

    def counts(self, need: Need, extra: str | None) -> bool:
        """Return whether a requirement counts on the machine, with one of its release's extras or without any."""
        ...


def requirement_text(need: Need) -> str:
    """Return a requirement without its marker, as in ``uvicorn[standard]>=0.30``."""
    extras = f"[{','.join(sorted(need.extras))}]" if need.extras else ""
    return f"{need.name}{extras}{need.specifier}"


def sort_key(need: Need) -> tuple[str, str, str]:
    """Return a key by which requirements are sorted, so that the order in the metadata does not matter."""
    return need.name, requirement_text(need), need.text


def is_pin(specifiers: SpecifierSet) -> bool:
    """Return whether a specifier is a pin for pip, so that a yanked release satisfies it: ``==`` without ``.*``."""
    return any(
        specifier.operator == "===" or (specifier.operator == "==" and not specifier.version.endswith(".*"))
        for specifier in specifiers
    )


def is_required(need: Need, extra: str | None, releases: Releases) -> bool:
    """Return whether a requirement counts with an extra and not without it; with None, whether it counts without."""
    return releases.counts(need, extra) and (extra is None or not releases.counts(need, None))
