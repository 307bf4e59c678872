"""A line that a person added beside those of ``mirror.toml``."""

from dataclasses import dataclass

from packaging.utils import NormalizedName

_MAX_REASON_SHOWN = 120  # characters; a message about each file of a project repeats it


@dataclass(frozen=True, slots=True)
class AddedLine:
    """A line as a person wrote it, and why; who that was is not public."""

    project: NormalizedName
    text: str
    because: str

    @property
    def where(self) -> str:
        """Where the line stands, as messages say it."""
        reason = self.because
        shown = reason if len(reason) <= _MAX_REASON_SHOWN else f"{reason[:_MAX_REASON_SHOWN]}…"
        return f"a line added with mirrorctl ({shown})"
