"""The policy's file: its state, its mistakes, and the judgement of a candidate."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class PolicyProblem(BaseModel):
    """One mistake in ``mirror.toml``."""

    line: int | None = Field(default=None, description="Absent: it is of no one line.")
    key: str | None = Field(default=None, description="Such as mirror.latest; absent: it is of no one key.")
    message: str = Field(description="The mistake with its key, and what is right.")

    def __str__(self) -> str:
        return self.message if self.line is None else f"line {self.line}: {self.message}"


class PolicyState(BaseModel):
    """The policy in force, and what is wrong with the file that should be."""

    file: str = Field(description="The file that was read last, as the syncer sees it.")
    starter: bool = Field(
        default=False, description="The shipped mirror.example.toml is in force: there is no mirror.toml yet."
    )
    changed: bool = Field(default=False, description="The file has changed; the next run puts it into force.")
    problems: list[PolicyProblem] = Field(
        default=[], description="Why the file cannot be used; the last good policy stays in force."
    )
    invalid_since: datetime | None = Field(
        default=None, description="When the syncer first saw that; absent: it is valid."
    )

    def sentence(self) -> str:
        """Return which policy is in force, for people."""
        if self.problems:
            return "the last good one, since mirror.toml cannot be used"
        if self.starter:
            return (
                "mirror.example.toml, the starter selection; to choose: "
                "cp config/mirror.example.toml config/mirror.toml, and edit it"
            )
        return "mirror.toml" + (", whose changes come with the next run" if self.changed else "")


class PolicyCandidate(BaseModel):
    """A candidate for ``mirror.toml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(description="The file's content, TOML.")


class PolicyCheck(BaseModel):
    """The judgement of a candidate for ``mirror.toml``, and how many projects it would change."""

    problems: list[PolicyProblem] = Field(default=[], description="All mistakes; with any, nothing is counted.")
    scope: str | None = Field(default=None, description="Absent: the policy is not valid.")
    selected: int | None = Field(default=None, description="Projects that the policy names.")
    arriving: int | None = Field(default=None, description="Those of them that are not published yet.")
    leaving: int | None = Field(
        default=None, description="Published projects that it no longer selects; absent with scope everything."
    )
    withheld: int | None = Field(default=None, description="Those of them that the deletion guard would hold back.")
    arriving_names: list[str] = Field(default=[], description="The first twenty.")
    leaving_names: list[str] = Field(default=[], description="The first twenty.")

    def sentences(self) -> list[str]:
        """Return the judgement for people, a line each."""
        if self.problems:
            return [f"error: {problem}" for problem in self.problems]
        told = [f"valid: scope {self.scope}, {self.selected:,} projects named"]
        for count, verb, names in (
            (self.arriving, "would be added", self.arriving_names),
            (self.leaving, "would be removed", self.leaving_names),
        ):
            if count is not None:
                more = f" and {count - len(names):,} more" if count > len(names) else ""
                told.append(f"{count:,} {verb}{': ' if names else ''}{', '.join(names)}{more}")
        if self.withheld:
            told.append(
                f"the deletion guard would hold back {self.withheld:,} of these removals; "
                f"if they are meant: sync --allow-removals {self.withheld}"
            )
        return told
