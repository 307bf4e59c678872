"""nginx's access log as files: which are its, in what order, and when one is closed."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mirror_control.downloads.access_log import AccessLog, MinuteFile

MIDNIGHT = datetime(2027, 1, 1, tzinfo=UTC)
OLD = "access-2026-12-31T2353.jsonl"


def test_nothing_else_is_a_file_of_the_log(tmp_path: Path) -> None:
    """What nginx does not name so, and what is no regular file, is none of its; nor is what a link leads to."""
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


def test_files_are_told_in_order(tmp_path: Path) -> None:
    """The files come oldest first, each with its minute."""
    for name in ("access-2027-01-01T0004.jsonl", OLD, "error.log"):
        (tmp_path / name).touch()

    assert AccessLog(tmp_path).files() == [
        (MIDNIGHT - timedelta(minutes=7), tmp_path / OLD),
        (MIDNIGHT + timedelta(minutes=4), tmp_path / "access-2027-01-01T0004.jsonl"),
    ]


def test_without_a_directory_there_is_nothing(tmp_path: Path) -> None:
    """Where nobody mounted a log, there are no files, and none is made."""
    assert AccessLog(tmp_path / "logs").files() == []
    assert not list(tmp_path.iterdir())


def test_a_minute_is_closed_after_ninety_seconds(tmp_path: Path) -> None:
    """A file may be written to for 90 s from its minute's begin, and not a second longer."""
    file = MinuteFile(MIDNIGHT, tmp_path)

    assert not file.closed(MIDNIGHT + timedelta(seconds=90))
    assert file.closed(MIDNIGHT + timedelta(seconds=91))
