"""One advisory as it concerns one project."""

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from packaging.version import Version

from mirror_syncer.config.advisories.affected import Interval, Intervals, parse_version
from mirror_syncer.config.advisories.severity import Severity
from mirror_syncer.model.names import Sha256


class Kind(StrEnum):
    """What an advisory warns of."""

    MALWARE = "malware"
    VULNERABILITY = "vulnerability"


@dataclass(frozen=True)
class Advisory:
    """
    What a record says about one project.

    It is a value that can be sent to a worker process: it holds text, and parses it on first use.
    """

    id: str
    aliases: tuple[str, ...] = field(compare=False)
    """Not compared, since they have no effect by themselves, and records often get new ones."""
    kind: Kind
    severity: Severity | None
    """Its own, or else that of a record with a common alias; None: nobody has rated it."""
    reviewed: bool
    """Whether people who do not own the project have checked it: PYSEC, and GitHub's reviewed advisories."""
    summary: str
    versions: str
    """The affected versions that it lists, each on a line."""
    intervals: tuple[Interval, ...]
    """The affected versions between two versions."""
    hashes: frozenset[Sha256]
    """The hashes of the files that it names."""
    fixed: tuple[str, ...]
    """Versions that fix the problem."""

    @property
    def reason(self) -> str:
        """One sentence: what it says, on one line without control characters."""
        rated = f", severity {self.severity.word}" if self.severity and self.kind is Kind.VULNERABILITY else ""
        named = f"advisory {self.id} ({self.kind}{rated})"
        return f"{named}: {self.summary}" if self.summary else named

    def affects(self, version: Version | None, text: str) -> bool:
        """
        Return whether a version is affected.

        Args:
            version: None if the text is not a version; then only the list can contain it, by exactly this text.
            text: the version as the file's name spells it.
        """
        if version is None:
            return text in self._listed_texts
        return version in self._listed or version in self._intervals

    @cached_property
    def fixes(self) -> frozenset[Version]:
        """The versions that fix the problem, except those that it affects again."""
        parsed = ((parse_version(text), text) for text in self.fixed)
        return frozenset(version for version, text in parsed if version is not None and not self.affects(version, text))

    @cached_property
    def _listed(self) -> frozenset[Version]:
        return frozenset(filter(None, map(parse_version, self.versions.split("\n"))))

    @cached_property
    def _listed_texts(self) -> frozenset[str]:
        return frozenset(text for text in self.versions.split("\n") if parse_version(text) is None)

    @cached_property
    def _intervals(self) -> Intervals:
        return Intervals(self.intervals)

    def __getstate__(self) -> dict[str, object]:
        """Leave out what is parsed on first use: a worker may need none of it."""
        return {name: value for name, value in self.__dict__.items() if name in self.__dataclass_fields__}
