"""The files of nginx's access log: their names, their order, and when they are closed."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mirror_control.downloads.access_log import AccessLog, MinuteFile

MIDNIGHT = datetime(2027, 1, 1, tzinfo=UTC)
OLD = "access-2026-12-31T2353.jsonl"


def test_other_files_are_ignored(tmp_path: Path) -> None:
    """Files with other names, other file types and links are not log files."""
    logs, elsewhere = tmp_path / "logs", tmp_path / "elsewhere"
    (logs / "access-2026-01-01T0001.jsonl").mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / OLD).touch()
    (logs / "access-2026-01-01T0002.jsonl").symlink_to(elsewhere / OLD)
    (logs / "access-2026-01-01T0003.jsonl").symlink_to(elsewhere)
    os.mkfifo(logs / "access-2026-01-01T0004.jsonl")
    for name in (
        "access-unknown.jsonl",
        "access-2026-13-01T0000.jsonl",
        "access-2026-01-01T2460.jsonl",
        "access-0000-01-01T0000.jsonl",
        "access-2026-1-1T0000.jsonl",
        "access-2026-01-01T0000.jsonl.gz",
        "access-2026-01-01T0000.jsonl\n",
        "Access-2026-01-01T0000.jsonl",
        "access-٢٠٢٦-01-01T0000.jsonl",
        "my-access-2026-01-01T0000.jsonl",
        "error.log",
    ):
        (logs / name).touch()

    assert AccessLog(logs).files() == []


def test_files_are_sorted_by_minute(tmp_path: Path) -> None:
    """The files come oldest first, each with its minute."""
    for name in ("access-2027-01-01T0004.jsonl", OLD, "error.log"):
        (tmp_path / name).touch()

    assert AccessLog(tmp_path).files() == [
        (MIDNIGHT - timedelta(minutes=7), tmp_path / OLD),
        (MIDNIGHT + timedelta(minutes=4), tmp_path / "access-2027-01-01T0004.jsonl"),
    ]


def test_missing_directory_has_no_files(tmp_path: Path) -> None:
    """A missing log directory has no files and is not created."""
    assert AccessLog(tmp_path / "logs").files() == []
    assert not list(tmp_path.iterdir())


def test_file_is_closed_after_90_seconds(tmp_path: Path) -> None:
    """A file counts as closed 90 s after the start of its minute."""
    file = MinuteFile(MIDNIGHT, tmp_path)

    assert not file.is_closed(MIDNIGHT + timedelta(seconds=90))
    assert file.is_closed(MIDNIGHT + timedelta(seconds=91))
