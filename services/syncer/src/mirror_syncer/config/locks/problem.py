"""What is wrong with a lock, for the operator: the file, the line, and what to do."""

from dataclasses import dataclass

WRONG_FILE = "if it is no lock, remove it, or narrow the pattern in [dependencies] locks"
"""The remedy where a file looks like another one's."""


@dataclass(frozen=True, slots=True)
class LockProblem:
    """One problem of a lock file, or of a pattern that names lock files."""

    file: str
    """Relative to the directory of ``mirror.toml``; the pattern where no single file is at fault."""
    line: int | None
    message: str
    unusable: bool = False
    """Whether the whole file could not be used. Otherwise only the line has no effect."""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}, line {self.line}"
        return f"{place}: {self.message}"


class LockError(ValueError):
    """A lock cannot be used."""

    def __init__(self, file: str, message: str, *, line: int | None = None) -> None:
        self.problem = LockProblem(file, line, message, unusable=True)
        super().__init__(str(self.problem))
