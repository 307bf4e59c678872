"""What a distribution's metadata says about its dependencies, as the text that it is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequirementLines:
    """
    The fields of a distribution's core metadata that say what it needs, unparsed.

    Text, because the catalog stores it for years, and a later version of this program may read a line better.
    """

    requires_dist: tuple[str, ...] = ()
    """PEP 345 and 508: one requirement each, in the order of the metadata."""
    extras: tuple[str, ...] = ()
    """``Provides-Extra``, normalized."""
    requires_python: str | None = None
    is_dynamic: bool = False
    """The lines may differ after a build, so they are a guess: an sdist without PEP 643's static ``Requires-Dist``."""
    build_requires: tuple[str, ...] | None = None
    """``[build-system] requires`` of an sdist's ``pyproject.toml`` (PEP 518); None: not an sdist."""
