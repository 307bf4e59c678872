"""What an adoption came to, told while it goes on and when it has ended."""

import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import Self

import structlog
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from mirror_contract.text import printable
from mirror_syncer.commands.adoption.project import Fate, Outcome

log = structlog.get_logger()

_LINE_SECONDS = 10.0
_NAMES_SHOWN = 10


@dataclass(slots=True)
class Report:
    """An adoption in numbers."""

    dry_run: bool
    projects_adopted: int = 0
    projects_kept: int = 0
    """Mirrored already."""
    projects_unselected: int = 0
    projects_failed: int = 0
    files_adopted: int = 0
    files_left_out: int = 0
    """Missing, wrong or refused; the next sync fetches them."""
    files_withheld: int = 0
    """By the policy; they stay where they are."""
    bytes_adopted: int = 0

    @property
    def incomplete(self) -> bool:
        """Whether something that was wanted is not adopted."""
        return bool(self.projects_failed or self.files_left_out)


class Teller:
    """
    Counts outcomes, and tells of them: a moving line on a terminal, log lines elsewhere.

    Used as a context; the summary comes with ``summarize``.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        self._console = Console(stderr=True)
        self._told = time.monotonic()
        self._unselected = list[str]()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("adopt {task.completed:,} projects · {task.fields[said]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._bar = self._progress.add_task("adopt", total=None, said="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def heard(self, outcome: Outcome) -> None:
        """Count a project whose turn is over."""
        report = self.report
        match outcome.fate:
            case Fate.ADOPTED:
                report.projects_adopted += 1
            case Fate.KEPT:
                report.projects_kept += 1
            case Fate.UNSELECTED:
                report.projects_unselected += 1
                if len(self._unselected) < _NAMES_SHOWN:
                    self._unselected.append(outcome.name)
            case Fate.FAILED:
                report.projects_failed += 1
        report.files_adopted += outcome.files
        report.bytes_adopted += outcome.stored_bytes
        report.files_withheld += outcome.withheld
        report.files_left_out += sum(failure.file is not None for failure in outcome.failures)
        if outcome.failures:
            # One line a project: an old tree may lack millions of files.
            first = outcome.failures[0].model_dump(exclude_none=True)
            log.warning("left out", **first, files=len(outcome.failures))
        said = f"{report.files_adopted:,} files, {report.bytes_adopted / 1e9:,.1f} GB"
        self._progress.update(self._bar, advance=1, said=said)
        if self._progress.disable and time.monotonic() - self._told >= _LINE_SECONDS:
            self._told = time.monotonic()
            log.info("progress", projects=report.projects_adopted, files=report.files_adopted)

    def summarize(self) -> None:
        """Tell the numbers: a sentence each for people, one document on standard output for programs."""
        report = self.report
        if report.projects_unselected:
            more = report.projects_unselected - len(self._unselected)
            log.info(
                "not selected in mirror.toml, and left alone",
                projects=report.projects_unselected,
                such_as=", ".join(self._unselected) + (", …" if more else ""),
            )
        if not self._console.is_terminal:
            sys.stdout.write(f"{json.dumps(asdict(report))}\n")
            return
        would = "would be " if report.dry_run else ""
        for number, what in (
            (report.projects_adopted, f"projects {would}adopted"),
            (report.files_adopted, f"files in them, {report.bytes_adopted / 1e9:,.1f} GB"),
            (report.projects_kept, "projects mirrored already"),
            (report.projects_unselected, "projects not selected in mirror.toml, left alone"),
            (report.projects_failed, "projects that cannot be adopted; the next sync fetches them"),
            (report.files_left_out, "files missing or wrong; the next sync fetches them"),
            (report.files_withheld, "files that the policy leaves out, left alone"),
        ):
            if number:
                self._console.print(Text(printable(f"{number:>12,} {what}")))
