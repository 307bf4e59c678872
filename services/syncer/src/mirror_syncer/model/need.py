"""A requirement that was read: a line of ``mirror.toml``, an item of a group, or a line of a release's metadata."""

from dataclasses import dataclass, field

from packaging.markers import Marker
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName


@dataclass(frozen=True, slots=True)
class Need:
    """A requirement on a project; in a release's metadata it may be on an extra of its own project."""

    name: NormalizedName
    """The project that is required."""
    extras: frozenset[NormalizedName] = frozenset()
    specifier: SpecifierSet = field(default_factory=SpecifierSet)
    marker: Marker | None = None
    """Where it counts; None: on all machines."""
    text: str = ""
    """As it is written; a long line of metadata is shortened."""
