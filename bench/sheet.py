"""What every result begins with: of what it is, on what machine, when."""

from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(slots=True, kw_only=True)
class Sheet:
    """One scenario's, before its numbers."""

    scenario: str
    what: str
    quick: bool
    machine: dict[str, str]
    versions: dict[str, str]
    measured: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def label(self) -> str:
        """The name of its files."""
        return f"{self.scenario}-quick" if self.quick else self.scenario
