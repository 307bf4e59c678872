"""The report of an adoption: its progress while it runs, and its totals at the end."""

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
from mirror_syncer.commands.adoption.project import AdoptionResult, Outcome

log = structlog.get_logger()

_LOG_INTERVAL_SECONDS = 10.0
_MAX_NAMES_SHOWN = 10


@dataclass(slots=True)
class Report:
    """The totals of an adoption."""

    dry_run: bool
    projects_adopted: int = 0
    projects_kept: int = 0
    """Projects that this mirror has already."""
    projects_unselected: int = 0
    projects_failed: int = 0
    files_adopted: int = 0
    files_left_out: int = 0
    """Missing, wrong or refused files; the next sync downloads them."""
    files_withheld: int = 0
    """Files that the policy leaves out; they stay where they are."""
    bytes_adopted: int = 0

    @property
    def incomplete(self) -> bool:
        """Whether a selected project or file was not adopted."""
        return bool(self.projects_failed or self.files_left_out)


class Reporter:
    """
    Counts outcomes and shows the progress: one moving line on a terminal, log lines elsewhere.

    Use it as a context manager; ``summarize`` prints the totals.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        self._console = Console(stderr=True)
        self._logged_at = time.monotonic()
        self._unselected = list[str]()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("adopt {task.completed:,} projects · {task.fields[totals]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._bar = self._progress.add_task("adopt", total=None, totals="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def record(self, outcome: Outcome) -> None:
        """Count a finished project."""
        report = self.report
        match outcome.result:
            case AdoptionResult.ADOPTED:
                report.projects_adopted += 1
            case AdoptionResult.KEPT:
                report.projects_kept += 1
            case AdoptionResult.UNSELECTED:
                report.projects_unselected += 1
                if len(self._unselected) < _MAX_NAMES_SHOWN:
                    self._unselected.append(outcome.name)
            case AdoptionResult.FAILED:
                report.projects_failed += 1
        report.files_adopted += outcome.files
        report.bytes_adopted += outcome.stored_bytes
        report.files_withheld += outcome.withheld
        report.files_left_out += sum(failure.file is not None for failure in outcome.failures)
        if outcome.failures:
            # One line per project: an old tree may lack millions of files.
            first = outcome.failures[0].facts()
            log.warning("not adopted", **first, files=len(outcome.failures))
        totals = f"{report.files_adopted:,} files, {report.bytes_adopted / 1e9:,.1f} GB"
        self._progress.update(self._bar, advance=1, totals=totals)
        if self._progress.disable and time.monotonic() - self._logged_at >= _LOG_INTERVAL_SECONDS:
            self._logged_at = time.monotonic()
            log.info("progress", projects=report.projects_adopted, files=report.files_adopted)

    def summarize(self) -> None:
        """Print the totals: a line each for people, one JSON document on standard output for programs."""
        report = self.report
        if report.projects_unselected:
            more = report.projects_unselected - len(self._unselected)
            log.info(
                "projects not selected in mirror.toml; skipped",
                projects=report.projects_unselected,
                examples=", ".join(self._unselected) + (", …" if more else ""),
            )
        if not self._console.is_terminal:
            sys.stdout.write(f"{json.dumps(asdict(report))}\n")
            return
        would = "would be " if report.dry_run else ""
        for number, noun in (
            (report.projects_adopted, f"projects {would}adopted"),
            (report.files_adopted, f"files in them, {report.bytes_adopted / 1e9:,.1f} GB"),
            (report.projects_kept, "projects already mirrored"),
            (report.projects_unselected, "projects not selected in mirror.toml; skipped"),
            (report.projects_failed, "projects failed; the next sync downloads them"),
            (report.files_left_out, "files missing or wrong; the next sync downloads them"),
            (report.files_withheld, "files left out by mirror.toml; skipped"),
        ):
            if number:
                self._console.print(Text(printable(f"{number:>12,} {noun}")))
