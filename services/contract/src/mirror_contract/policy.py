"""The policy file: its state, its mistakes, and the check of a candidate."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class PolicyProblem(BaseModel):
    """One mistake in ``mirror.toml``."""

    line: int | None = Field(default=None, description="Absent: no single line is wrong.")
    key: str | None = Field(default=None, description="Such as mirror.latest; absent: no single key is wrong.")
    message: str = Field(description="The mistake with its key, and the valid values.")

    def __str__(self) -> str:
        return self.message if self.line is None else f"line {self.line}: {self.message}"


class PolicyState(BaseModel):
    """The policy in force, and the mistakes in the policy file."""

    file: str = Field(description="The file that the syncer read last.")
    starter: bool = Field(
        default=False, description="The shipped mirror.example.toml is in force: there is no mirror.toml yet."
    )
    changed: bool = Field(default=False, description="The file has changed; the next run uses it.")
    problems: list[PolicyProblem] = Field(
        default=[], description="Why the file cannot be used; the last good policy stays in force."
    )
    warnings: list[str] = Field(
        default=[], description="Lines that contradict each other, and lock files that cannot be used; all else holds."
    )
    invalid_since: datetime | None = Field(
        default=None, description="When the syncer first found it invalid; absent: it is valid."
    )

    def sentence(self) -> str:
        """Return the policy in force as text for people."""
        if self.problems:
            return "the last good one, because mirror.toml cannot be used"
        if self.starter:
            return (
                "mirror.example.toml, the starter selection. To choose your own, run "
                "cp config/mirror.example.toml config/mirror.toml and edit the copy"
            )
        return "mirror.toml" + ("; the next run uses its latest changes" if self.changed else "")


class PolicyCandidate(BaseModel):
    """A candidate for ``mirror.toml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(description="The file's content, TOML.")


class PolicyCheck(BaseModel):
    """The check of a candidate for ``mirror.toml``: its mistakes, or how many projects it would change."""

    problems: list[PolicyProblem] = Field(
        default=[], description="All mistakes; if there are any, the numbers are absent."
    )
    scope: str | None = Field(default=None, description="Absent: the candidate is invalid.")
    selected: int | None = Field(default=None, description="Projects that the candidate names.")
    arriving: int | None = Field(default=None, description="Named projects that are not published yet.")
    leaving: int | None = Field(
        default=None, description="Published projects that it does not select; absent with scope everything."
    )
    withheld: int | None = Field(default=None, description="Removals that the deletion guard would withhold.")
    arriving_names: list[str] = Field(default=[], description="The first twenty names.")
    leaving_names: list[str] = Field(default=[], description="The first twenty names.")

    def sentences(self) -> list[str]:
        """Return the result as lines for people."""
        if self.problems:
            return [f"error: {problem}" for problem in self.problems]
        lines = [f"valid: scope {self.scope}, {self.selected:,} projects named"]
        for count, verb, names in (
            (self.arriving, "would be added", self.arriving_names),
            (self.leaving, "would be removed", self.leaving_names),
        ):
            if count is not None:
                more = f" and {count - len(names):,} more" if count > len(names) else ""
                lines.append(f"{count:,} {verb}{': ' if names else ''}{', '.join(names)}{more}")
        if self.withheld:
            lines.append(
                f"the deletion guard would withhold {self.withheld:,} of these removals; "
                f"to allow them, run sync --allow-removals {self.withheld}"
            )
        return lines
