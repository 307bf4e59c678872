"""Where the dependency closure starts: the lines and groups of ``mirror.toml`` as requirements."""

from dataclasses import dataclass

from mirror_syncer.model.need import Need


@dataclass(frozen=True, slots=True)
class Root:
    """Requirements that must be installable in one environment: one line, or all of a group."""

    subject: str
    """As a ``Proof`` names it: the line, or ``group web``."""
    requirements: tuple[Need, ...]
