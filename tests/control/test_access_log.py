"""nginx's access log is kept small: old minutes go, and nothing else does."""

import errno
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from control.live import Background, control
from mirror_control.access_log import AccessLog
from mirror_control.settings import Settings

NOW = datetime(2027, 1, 1, 0, 4, 30, tzinfo=UTC)
OLD = "access-2026-12-31T2353.jsonl"


def touch(directory: Path, *names: str) -> None:
    """Make files with a line in each."""
    for name in names:
        (directory / name).write_text('{"status":"200"}\n')


def names(directory: Path) -> set[str]:
    """Return the names of what is there."""
    return {path.name for path in directory.iterdir()}


def test_old_minutes_go(tmp_path: Path) -> None:
    """By its name in UTC, whatever its time stamp, a minute goes once it began more than two minutes ago."""
    kept = {"access-2027-01-01T0003.jsonl", "access-2027-01-01T0004.jsonl", "access-2027-01-01T0010.jsonl"}
    touch(tmp_path, OLD, "access-2026-12-31T2359.jsonl", "access-2025-02-28T1200.jsonl", *kept)
    AccessLog(tmp_path).sweep(now=NOW)

    assert names(tmp_path) == kept


def test_two_minutes_are_kept_to_the_second(tmp_path: Path) -> None:
    """A minute that began exactly two minutes ago is still there; a second later it is not."""
    touch(tmp_path, "access-2027-01-01T0002.jsonl")
    access_log = AccessLog(tmp_path)
    access_log.sweep(now=NOW.replace(second=0))
    assert names(tmp_path)

    access_log.sweep(now=NOW.replace(second=1))
    assert not names(tmp_path)


def test_nothing_else_goes(tmp_path: Path) -> None:
    """What nginx does not name so, and what is no regular file, stays, and so does what a link leads to."""
    logs, elsewhere = tmp_path / "logs", tmp_path / "elsewhere"
    (logs / "access-2026-01-01T0001.jsonl").mkdir(parents=True)
    elsewhere.mkdir()
    touch(elsewhere, OLD)
    (logs / "access-2026-01-01T0002.jsonl").symlink_to(elsewhere / OLD)
    (logs / "access-2026-01-01T0003.jsonl").symlink_to(elsewhere)
    os.mkfifo(logs / "access-2026-01-01T0004.jsonl")
    touch(
        logs,
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
    )
    (logs / "older").mkdir()
    touch(logs / "older", OLD)
    before = sorted(tmp_path.rglob("*"))
    AccessLog(logs).sweep(now=NOW)

    assert sorted(tmp_path.rglob("*")) == before


def test_files_are_told_in_order(tmp_path: Path) -> None:
    """The files come oldest first, each with its minute."""
    touch(tmp_path, "access-2027-01-01T0004.jsonl", OLD, "error.log")

    assert AccessLog(tmp_path).files() == [
        (datetime(2026, 12, 31, 23, 53, tzinfo=UTC), tmp_path / OLD),
        (datetime(2027, 1, 1, 0, 4, tzinfo=UTC), tmp_path / "access-2027-01-01T0004.jsonl"),
    ]


def test_without_a_directory_there_is_nothing_to_do(tmp_path: Path) -> None:
    """Where nobody mounted a log, a sweep says and makes nothing."""
    with capture_logs() as told:
        AccessLog(tmp_path / "logs").sweep(now=NOW)

    assert told == []
    assert not names(tmp_path)


def test_trouble_is_told_once(tmp_path: Path) -> None:
    """A directory that can't be read is logged once by name; when it can be again, that is, and the files go."""
    logs = tmp_path / "logs"
    logs.write_text("no directory")
    access_log = AccessLog(logs)
    with capture_logs() as told:
        for _ in range(3):
            access_log.sweep(now=NOW)
        logs.unlink()
        logs.mkdir()
        touch(logs, OLD)
        for _ in range(3):
            access_log.sweep(now=NOW)

    assert [line["log_level"] for line in told] == ["warning", "info"]
    assert str(logs) in told[0]["error"]
    assert not names(logs)


def test_one_file_keeps_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that can't be removed is logged, and the younger ones go all the same."""
    stuck = "access-2025-01-01T0000.jsonl"
    touch(tmp_path, stuck, OLD)
    unlink = Path.unlink

    def refuse(path: Path, *, missing_ok: bool) -> None:
        if path.name == stuck:
            raise PermissionError(errno.EPERM, "Operation not permitted", str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    with capture_logs() as told:
        AccessLog(tmp_path).sweep(now=NOW)

    assert names(tmp_path) == {stuck}
    assert [stuck in line["error"] for line in told] == [True]


def test_control_sweeps_from_its_start(tmp_path: Path, settings: Settings, background: Background) -> None:
    """A running control removes what is old by the real clock, and ends in order."""
    logs = tmp_path / "logs"
    logs.mkdir()
    touch(logs, OLD.replace("2026", "2020"), "access-9999-12-31T2359.jsonl")
    deadline = time.monotonic() + 10
    with control(settings.model_copy(update={"access_log": logs}), background=background):
        while len(names(logs)) > 1:
            assert time.monotonic() < deadline, "nothing was removed"

    assert names(logs) == {"access-9999-12-31T2359.jsonl"}
