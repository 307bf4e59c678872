"""Where the dependency closure starts: the lines and groups of ``mirror.toml`` as requirements."""

from dataclasses import dataclass, field

from packaging.markers import Marker
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName


@dataclass(frozen=True, slots=True)
class RootRequirement:
    """A requirement that ``mirror.toml`` states: a line of ``projects``, or an item of a group."""

    name: NormalizedName
    extras: frozenset[NormalizedName] = frozenset()
    specifier: SpecifierSet = field(default_factory=SpecifierSet)
    marker: Marker | None = None
    """The machines on which it counts; None: all of them."""
    text: str = ""
    """As it is written."""


@dataclass(frozen=True, slots=True)
class Root:
    """Requirements that must be installable in one environment: one line, or all of a group."""

    subject: str
    """As a ``Proof`` names it: the line, or ``group web``."""
    requirements: tuple[RootRequirement, ...]
