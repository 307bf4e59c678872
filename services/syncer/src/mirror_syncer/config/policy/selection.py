"""The lines for one project: which releases they select."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

MIRROR_TOML = "mirror.toml"


@dataclass(frozen=True, slots=True)
class VersionRule:
    """The releases that one line of ``mirror.toml`` selects: the newest ones that match, or all."""

    specifier: SpecifierSet
    latest: int | None
    prereleases: bool | None = None
    """
    Whether pre-releases are wanted beside finals; where a project has nothing else they always are, as for pip.

    None: all of them without ``latest``, and none with it.
    """
    clients: int | None = None
    """The clients that it counts for, as the bits of ``Compatibility``; None: all of them."""
    takes_yanked: bool = True
    """Whether yanked releases count where no other matches; for a requirement of a release, only ``==`` takes them."""

    @property
    def keeps_all(self) -> bool:
        """Whether every release is selected, even one without a version."""
        return self.latest is None and not self.specifier and self.prereleases is not False

    @property
    def with_prereleases(self) -> bool:
        """Whether pre-releases are wanted beside finals."""
        return self.latest is None if self.prereleases is None else self.prereleases


@dataclass(frozen=True, slots=True)
class Selection:
    """The lines for one project: of ``mirror.toml``, and one that a person added."""

    line: str
    """As it is written; several lines are joined by " or "."""
    rules: tuple[VersionRule, ...]
    """One for each line. A release that one of them selects is selected: no specifier can say "1.1 or 2.0"."""
    named: bool = True
    """Whether a line names the project; a line that matches nothing is a mistake in ``mirror.toml``."""
    is_required: bool = False
    """Only other projects' requirements name it: ``line`` is the chain that leads to it, and ``rules`` is empty."""
    where: str = MIRROR_TOML
    """Where the lines stand, as messages name it: ``mirror.toml``, a line that a person added, or both."""

    @property
    def kept_because(self) -> str:
        """The sentence why the project's files are kept."""
        return f"it is required: {self.line}" if self.is_required else f"{self.where} selects it by {self.words}"

    @property
    def words(self) -> str:
        """The selection as a message quotes it."""
        latest = {rule.latest for rule in self.rules}
        return f"{self.line!r}" + (f" with latest = {latest.pop()}" if len(latest) == 1 and None not in latest else "")

    @property
    def place(self) -> str:
        """Where a person looks for the lines, to correct or remove them."""
        if self.where == MIRROR_TOML:
            return MIRROR_TOML
        added = "the added line (`mirrorctl selection`)"
        return f"{MIRROR_TOML} or {added}" if self.where.startswith(MIRROR_TOML) else added

    @property
    def keeps_all(self) -> bool:
        """Whether every release is selected, even one without a version."""
        return any(rule.keeps_all for rule in self.rules)

    def idle_lines(self, name: NormalizedName, versions: Iterable[Version]) -> Iterator[str]:
        """Yield a sentence about each line that matches none of a project's releases; it is for several lines."""
        versions = tuple(versions)
        for specifier in dict.fromkeys(rule.specifier for rule in self.rules):
            if specifier and not any(specifier.contains(version, prereleases=True) for version in versions):
                yield f"'{name}{specifier}' matches none of its releases; correct {self.place}"
