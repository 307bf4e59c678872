"""The header of a result: scenario, machine and time."""

from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(slots=True, kw_only=True)
class Sheet:
    """The header of one scenario's result."""

    scenario: str
    what: str
    quick: bool
    machine: dict[str, str]
    versions: dict[str, str]
    measured: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def label(self) -> str:
        """The name of the result's files."""
        return f"{self.scenario}-quick" if self.quick else self.scenario
