"""``[block]``: names, versions and hashes that are never asked for and never served."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_syncer.config.policy.patterns import NamePatterns
from mirror_syncer.model.names import Sha256


class Blocking(Protocol):
    """What blocks files of one project: a line of ``[block]``, or an advisory."""

    @property
    def reason(self) -> str:
        """A sentence."""

    @property
    def hashes(self) -> frozenset[Sha256]:
        """Contents that are blocked, whatever their version."""

    def affects(self, version: Version | None, text: str) -> bool:
        """
        Return whether a release is blocked.

        Args:
            version: None if the file's name has none by PEP 440.
            text: as the file's name has it; only read if there is no version.
        """


@dataclass(frozen=True, slots=True)
class Block:
    """Versions of one project."""

    specifier: SpecifierSet
    reason: str

    @property
    def hashes(self) -> frozenset[Sha256]:
        """Empty: lines of ``[block] hashes`` hold for all projects, see ``Rules.hashes``."""
        return frozenset()

    def affects(self, version: Version | None, text: str) -> bool:
        """Return whether a release is blocked; one without a version is, if all are."""
        del text
        return not self.specifier if version is None else self.specifier.contains(version, prereleases=True)


@dataclass(frozen=True, slots=True)
class BlockedNames:
    """Whole projects that are blocked, each with the reason; they need not exist."""

    names: Mapping[NormalizedName, str] = field(default_factory=dict)
    patterns: Mapping[str, str] = field(default_factory=dict)
    """Each pattern for names with the reason."""

    def __bool__(self) -> bool:
        return bool(self.names or self.patterns)

    def reason(self, name: NormalizedName) -> str | None:
        """Return why a project is blocked, or None if it is not."""
        if (reason := self.names.get(name)) is not None or not self.patterns:
            return reason
        pattern = NamePatterns(tuple(self.patterns)).match(name)
        return None if pattern is None else self.patterns[pattern]


def blocked_hashes(blockings: Iterable[Blocking]) -> frozenset[Sha256]:
    """Return the contents that any of several blockings names."""
    return frozenset().union(*(blocking.hashes for blocking in blockings))
