"""The policy file: its state, its mistakes, and the check of a candidate."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from mirror_contract.text import format_bytes


class PolicyProblem(BaseModel):
    """One mistake in ``mirror.toml``."""

    line: int | None = Field(default=None, description="Absent: no single line is wrong.")
    key: str | None = Field(default=None, description="Such as mirror.latest; absent: no single key is wrong.")
    message: str = Field(description="The mistake with its key, and the valid values.")

    def __str__(self) -> str:
        return self.message if self.line is None else f"line {self.line}: {self.message}"


class PolicyFact(BaseModel):
    """One thing that the policy in force says, in words."""

    about: str = Field(examples=["age"])
    text: str = Field(examples=["files wait 7 days"])


class PolicyState(BaseModel):
    """The policy in force, and the mistakes in the policy file."""

    file: str = Field(description="The file that the syncer read last.")
    read_at: datetime | None = Field(
        default=None,
        description="When the policy in force was read; absent: it is the last good one of before a start.",
    )
    facts: list[PolicyFact] = Field(default=[], description="The policy in force in words.")
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


class PolicyFile(BaseModel):
    """The content of the policy file that is in force."""

    state: PolicyState
    text: str = Field(description="TOML; of the last good file if the present one cannot be used.")


class PolicyCandidate(BaseModel):
    """A candidate for ``mirror.toml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(description="The file's content, TOML.")


class FileChanges(BaseModel):
    """What a candidate changes about the files of one project, or of several."""

    arriving: int = Field(default=0, description="Files that it adds to the page.")
    leaving: int = Field(default=0, description="Published files that it removes from the page.")
    held: int = Field(default=0, description="Files that it holds until they are old enough.")
    blocked: int = Field(default=0, description="Files that it blocks.")
    fetched_bytes: int = Field(default=0, description="Download size of the arriving files, as far as it is known.")
    unknown_sizes: int = Field(default=0, description="Arriving files whose size upstream does not give.")
    freed_bytes: int = Field(default=0, description="Size of the leaving files; freed after the grace period.")

    @property
    def weight(self) -> tuple[int, int]:
        """How large the changes are: first by bytes, then by files."""
        return self.fetched_bytes + self.freed_bytes, self.arriving + self.leaving + self.held + self.blocked

    def add(self, other: "FileChanges") -> None:
        """Add the changes of another project."""
        for key in FileChanges.model_fields:
            setattr(self, key, getattr(self, key) + getattr(other, key))

    def sentence(self) -> str:
        """Return the changes as text for people."""
        parts = []
        if self.arriving:
            unknown = f" and {self.unknown_sizes:,} of unknown size" if self.unknown_sizes else ""
            parts.append(f"{self.arriving:,} arrive ({format_bytes(self.fetched_bytes)}{unknown})")
        if self.leaving:
            parts.append(f"{self.leaving:,} leave ({format_bytes(self.freed_bytes)})")
        parts += [f"{self.held:,} are held"] if self.held else []
        parts += [f"{self.blocked:,} are blocked"] if self.blocked else []
        return ", ".join(parts) or "none change"


class ProjectChanges(FileChanges):
    """What a candidate changes about the files of one project."""

    project: str


class FilePreview(BaseModel):
    """What a candidate changes about the files of published projects, judged by the stored pages."""

    projects: int = Field(default=0, description="Published projects that the candidate changes.")
    judged: int = Field(
        default=0, description="How many of these were judged and are in the numbers; if not all, the largest."
    )
    total: FileChanges = Field(default_factory=FileChanges)
    largest: list[ProjectChanges] = Field(default=[], description="The ten largest changes.")
    emptied: int = Field(
        default=0, description="Projects that would have no file left; the deletion guard counts them."
    )
    unmatched: int = Field(default=0, description="Named projects without a selected file; they would not change.")
    unmatched_lines: list[str] = Field(default=[], description="The reasons, for the first twenty of them.")

    def sentences(self) -> list[str]:
        """Return the preview as lines for people."""
        if not self.projects:
            return ["files: none change"]
        which = f"; of the {self.judged:,} largest of {self.projects:,} projects" if self.judged < self.projects else ""
        lines = [f"files: {self.total.sentence()}{which}"]
        lines += [f"  {one.project}: {one.sentence()}" for one in self.largest]
        lines += [f"warning: {line}" for line in self.unmatched_lines]
        if more := self.unmatched - len(self.unmatched_lines):
            lines.append(f"warning: {more:,} more projects have no selected file")
        return lines


class PolicyCheck(BaseModel):
    """The check of a candidate for ``mirror.toml``: its mistakes, or what it would change."""

    problems: list[PolicyProblem] = Field(
        default=[], description="All mistakes; if there are any, the numbers are absent."
    )
    warnings: list[str] = Field(
        default=[], description="Rules that contradict each other, and lock files that cannot be used."
    )
    scope: str | None = Field(default=None, description="Absent: the candidate is invalid.")
    selected: int | None = Field(
        default=None, description="Projects that it selects, with dependencies that are known."
    )
    arriving: int | None = Field(default=None, description="Selected projects that are not published yet.")
    leaving: int | None = Field(default=None, description="Published projects that it does not select, or blocks.")
    withheld: int | None = Field(default=None, description="Removals that the deletion guard would withhold.")
    arriving_names: list[str] = Field(default=[], description="The first twenty names.")
    leaving_names: list[str] = Field(default=[], description="The first twenty names.")
    files: FilePreview | None = Field(
        default=None, description="What changes about files; absent: no policy is in force, or the tree is missing."
    )

    def sentences(self) -> list[str]:
        """Return the result as lines for people."""
        if self.problems:
            return [f"error: {problem}" for problem in self.problems]
        named = " named" if self.scope == "everything" else ""  # upstream's list has the others
        projects = "project" if self.selected == 1 else "projects"
        lines = [f"valid: scope {self.scope}, {self.selected:,} {projects}{named}"]
        lines += [f"warning: {warning}" for warning in self.warnings]
        for count, verb, names in (
            (self.arriving, "would be added", self.arriving_names),
            (self.leaving, "would be removed", self.leaving_names),
        ):
            if count is not None:
                rest = f" and {count - len(names):,} more" if count > len(names) else ""
                lines.append(f"{count:,} {verb}{': ' if names else ''}{', '.join(names)}{rest}")
        if self.files is not None:
            lines += self.files.sentences()
        if self.withheld:
            emptied = self.files.emptied if self.files else 0
            without = f" ({emptied:,} projects would have no file left)" if emptied else ""
            lines.append(
                f"the deletion guard would withhold {self.withheld:,} removals{without}; "
                f"to allow them, run sync --allow-removals {self.withheld}"
            )
        return lines
