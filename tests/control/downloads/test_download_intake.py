"""The intake of the access log: nothing is lost or counted twice, and counted files are deleted."""

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from control.log_lines import line, minute_file
from control.server.test_control_process import CONTROL
from mirror_control.downloads import intake as module
from mirror_control.downloads.access_log import AccessLog
from mirror_control.downloads.intake import Intake
from mirror_control.downloads.store import Facet, Position, Store, connect
from mirror_control.downloads.tally import Tally

NOW = datetime(2026, 11, 22, 16, 12, 40, tzinfo=UTC)
LATER = NOW + timedelta(minutes=3)
FOREVER = timedelta(days=4000)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Return the directory that nginx writes to."""
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return the store's file."""
    return tmp_path / "downloads.db"


@pytest.fixture
def start(logs: Path, store: Path) -> Iterator[Callable[[], Intake]]:
    """Return a function that starts an intake on the same log and store, like a restart of control."""
    started: list[Intake] = []

    def start() -> Intake:
        started.append(Intake(AccessLog(logs), store, kept=FOREVER))
        return started[-1]

    yield start
    for intake in started:
        intake.close()


def drain(intake: Intake, now: datetime = NOW) -> int:
    """Count all new lines; return the number of slices."""
    slices = 0
    while intake.count_slice(now=now) is not None:
        slices += 1
    return slices


def counted(store: Path) -> int:
    """Return the number of downloads in the store."""
    with closing(connect(store)) as connection:
        (count,) = connection.execute("SELECT total(count) FROM download").fetchone()
    return int(count)


def write(path: Path, content: bytes) -> None:
    """Append lines, as nginx does."""
    with path.open("ab") as file:
        file.write(content)


def test_each_line_counts_once(logs: Path, store: Path, start: Callable[[], Intake]) -> None:
    """Appended lines count once, even over restarts; an incomplete line waits for its rest."""
    file = minute_file(logs, NOW)
    write(file, line() * 3 + line()[:50])
    drain(start())
    assert counted(store) == 3
    write(file, line()[50:] + line())
    drain(start())
    drain(start())

    assert counted(store) == 5


def test_counting_pauses_for_the_event_loop(
    logs: Path, store: Path, start: Callable[[], Intake], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a backlog is counted, the thread pauses often, and all lines count."""
    rests: list[float] = []
    monkeypatch.setattr(time, "sleep", rests.append)
    write(minute_file(logs, NOW), line() * 1_000)
    drain(start())

    assert counted(store) == 1_000
    assert (len(rests), min(rests) > 0) == (5, True)


def test_counted_file_is_deleted(logs: Path, store: Path, start: Callable[[], Intake]) -> None:
    """A closed file is deleted once it is counted; the current one stays."""
    old, new = minute_file(logs, NOW), minute_file(logs, LATER)
    for file in (old, new):
        write(file, line() * 2)
    intake = start()
    drain(intake, LATER)
    assert (counted(store), list(logs.iterdir())) == (4, [new])
    drain(intake, LATER)
    with Store(store) as opened:
        assert opened.get_position(old.name) is None, "nothing is remembered of it"


def test_reused_file_name_is_counted_again(logs: Path, store: Path, start: Callable[[], Intake]) -> None:
    """After a restart within a minute, a new file of the same name is counted completely."""
    file = minute_file(logs, NOW)
    write(file, line())
    drain(start())
    file.unlink()
    write(file, line("/packages/ab/six-1.17.0.tar.gz", time="2026-11-22T16:12:39+00:00") * 4)
    drain(start())

    assert counted(store) == 5


def test_truncated_last_line_is_unreadable(logs: Path, store: Path, start: Callable[[], Intake]) -> None:
    """A truncated last line of a closed file counts as unreadable, and the file is deleted."""
    write(minute_file(logs, NOW), line() + line()[:50])
    intake = start()
    tallies = [intake.count_slice(now=LATER), intake.count_slice(now=LATER), intake.count_slice(now=LATER)]

    assert [tally.metrics.unreadable for tally in tallies if tally] == [0, 1]
    assert (counted(store), list(logs.iterdir())) == (1, [])


def test_slices_are_limited(
    logs: Path, store: Path, start: Callable[[], Intake], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long file is counted in slices; a line longer than a slice does not block the others."""
    monkeypatch.setattr(module, "_SLICE_BYTES", 4096)
    write(minute_file(logs, NOW), line() * 40 + b"x" * 10_000 + b"\n" + line() * 40)

    assert drain(start()) > 5
    assert counted(store) == 80


def test_failed_transaction_is_retried(
    logs: Path, store: Path, start: Callable[[], Intake], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the store refuses a slice, counts and position do not change, the file stays, and one line is logged."""
    write(minute_file(logs, NOW), line() * 3)
    refusing = pytest.MonkeyPatch()

    def refuse(store: Store, tally: Tally, *, file: str, position: Position) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    intake = start()
    refusing.setattr(Store, "add", refuse)
    with capture_logs() as told:
        for _ in range(3):
            assert intake.count_slice(now=LATER) is None
        assert "disk is full" in str(intake.error)
        refusing.undo()
        drain(intake, LATER)
    assert [event["log_level"] for event in told] == ["warning", "info"]
    assert intake.error is None
    assert (counted(store), list(logs.iterdir())) == (3, [])


def test_transaction_is_atomic(store: Path) -> None:
    """A failure between counts and position stores neither."""
    with Store(store) as opened:
        tally = Tally.of([line()])
        with pytest.raises(sqlite3.Error):
            opened.add(tally, file="f", position=Position(1, head=object()))  # type: ignore[arg-type]
        assert opened.get_position("f") is None
        opened.add(tally, file="f", position=Position(1, b"x"))
        assert opened.get_position("f") == (1, b"x")
    assert counted(store) == 1


def test_full_log_volume_is_reported(logs: Path, start: Callable[[], Intake], monkeypatch: pytest.MonkeyPatch) -> None:
    """While the log volume is full, the intake reports an error."""
    write(minute_file(logs, NOW), line())
    intake = start()
    room = os.statvfs(logs)
    with monkeypatch.context() as patch:
        patch.setattr(os, "statvfs", lambda _: os.statvfs_result((*room[:4], 0, *room[5:])))
        assert drain(intake) == 1, "what is there counts all the same"
        assert "volume is full" in str(intake.error)
    drain(intake)
    assert intake.error is None


def test_undeletable_file_does_not_block_others(
    logs: Path, store: Path, start: Callable[[], Intake], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that cannot be deleted is reported and counted once; later files are counted and deleted."""
    stuck, other = minute_file(logs, NOW), minute_file(logs, NOW + timedelta(minutes=1))
    for file in (stuck, other):
        write(file, line())
    unlink = Path.unlink

    def refuse(path: Path, *, missing_ok: bool = False) -> None:
        if path == stuck:
            raise PermissionError(errno.EPERM, "Operation not permitted", str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    intake = start()
    with capture_logs() as told:
        for _ in range(3):
            drain(intake, LATER)

    assert list(logs.iterdir()) == [stuck]
    assert [stuck.name in event["error"] for event in told] == [True]
    assert counted(store) == 2


def test_unusable_store_is_reported(logs: Path, store: Path, start: Callable[[], Intake]) -> None:
    """A corrupt or newer store is named in the error; log and store stay unchanged."""
    write(minute_file(logs, NOW), line())
    store.write_bytes(b"no database" * 100)
    intake = start()
    assert drain(intake, LATER) == 0
    assert f"{store}: file is not a database" in str(intake.error)
    store.unlink()
    connection = sqlite3.connect(store)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert drain(intake, LATER) == 0
    assert "written by a newer control" in str(intake.error)
    assert len(list(logs.iterdir())) == 1


def test_flood_of_names_is_aggregated(store: Path) -> None:
    """If a day has too many rows, the smallest are aggregated, and totals stay correct."""
    files = [f"/packages/ab/flood{number}-1.0.tar.gz" for number in range(500)]
    with Store(store, downloads=50, misses=20) as opened:
        for place in range(3):
            lines = [line() for _ in range(9)] + [line(file) for file in files]
            lines += [line(f"/simple/flood{n}/", route="page", status="404") for n in range(500)]
            opened.add(Tally.of(lines), file="f", position=Position(place, b""))
    connection = sqlite3.connect(store)
    ask = connection.execute

    assert ask("SELECT count FROM download WHERE project = 'requests'").fetchone() == (27,)
    assert ask("SELECT count(*) <= 52, sum(count) FROM download").fetchone() == (1, 3 * 509)
    assert ask("SELECT count(*) <= 22, sum(count) FROM miss").fetchone() == (1, 1500)
    assert ask("SELECT DISTINCT client, file_type FROM download WHERE project = ''").fetchall() == [("pip", "sdist")]
    connection.close()


def test_flood_of_names_keeps_the_totals_of_each_facet(store: Path) -> None:
    """Also the sums by project and client are aggregated on a day of too many names, and their totals stay."""
    with Store(store, downloads=50) as opened:
        for place in range(3):
            lines = [line() for _ in range(9)]
            lines += [line(f"/packages/ab/flood{n}-1.0.tar.gz", agent=f"pip/{n}.0") for n in range(200)]
            opened.add(Tally.of(lines), file="f", position=Position(place, b""))
    with closing(connect(store)) as connection:
        rows = connection.execute("SELECT facet, count(*), sum(count) FROM share GROUP BY facet").fetchall()
        most = connection.execute("SELECT name FROM share WHERE facet = 'project' AND name != '' ORDER BY count DESC")
        assert most.fetchone() == ("requests",)
    assert {facet: total for facet, _, total in rows} == dict.fromkeys(Facet, 3 * 209)
    assert sum(count for _, count, _ in rows) < 60


def test_store_of_the_first_version_is_upgraded(store: Path) -> None:
    """The sums of a store that an earlier control wrote are made from its downloads; Python is unknown there."""
    with Store(store) as opened:
        lines = [line(), line(), line("/packages/ab/six-1.0.tar.gz", agent="curl/8")]
        opened.add(Tally.of(lines), file="f", position=Position(1, b""))
    select = "SELECT * FROM share ORDER BY facet, day, name"
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        expected = connection.execute(select).fetchall()
        connection.execute("DROP TABLE share")
        connection.execute("PRAGMA user_version = 1")
    with closing(connect(store)) as connection:
        found = connection.execute(select).fetchall()
    assert [row for row in found if row[0] != "python"] == [row for row in expected if row[0] != "python"]
    assert [row for row in found if row[0] == "python"] == [("python", "2026-11-22", "", 3)]
    assert counted(store) == 3


def test_old_days_are_deleted(store: Path) -> None:
    """Days older than the limit are deleted; the last allowed day stays."""
    today = date(2026, 11, 22)
    with Store(store) as opened:
        lines = [line(time=f"{today - timedelta(days=age)}T00:00:00+00:00") for age in (0, 6, 7, 8, 400)]
        opened.add(Tally.of(lines), file="f", position=Position(1, b""))
        opened.expire(today=today, kept=timedelta(days=7))
    connection = sqlite3.connect(store)
    days = [day for (day,) in connection.execute("SELECT day FROM download ORDER BY day")]
    shared = [day for (day,) in connection.execute("SELECT DISTINCT day FROM share ORDER BY day")]
    connection.close()

    assert shared == days
    assert days == ["2026-11-16", "2026-11-22"]


def test_killed_control_counts_each_line_once(tmp_path: Path, logs: Path) -> None:
    """If control is killed and restarted while lines are written, each line counts once."""
    (tmp_path / "state").mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "MIRROR_CONTROL_STATE": str(tmp_path / "state"),
        "MIRROR_CONTROL_LISTEN": "127.0.0.1:0",
        "MIRROR_SYNCER_URL": "http://127.0.0.1:1",
        "MIRROR_ACCESS_LOG": str(logs),
    }
    store = tmp_path / "state" / "downloads.db"
    moment = datetime.now(UTC)
    today = {"time": moment.isoformat()}
    writer = [sys.executable, "-c", _WRITER, str(minute_file(logs, moment)), line(**today).decode()]
    with subprocess.Popen(writer, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as writing:
        seen = 0
        for signum in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
            control = subprocess.Popen([CONTROL], env=environment, stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + 30
            while counted(store) <= seen:  # so it dies while it counts
                assert time.monotonic() < deadline
                time.sleep(0.01)
            control.send_signal(signum)
            control.wait(timeout=20)
            seen = counted(store)
        written, _ = writing.communicate("enough", timeout=20)
    assert counted(store) < int(written), "some were written while nobody counted"
    control = subprocess.Popen([CONTROL], env=environment, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while counted(store) < int(written):
            assert time.monotonic() < deadline, f"{counted(store)} of {written}"
            time.sleep(0.05)
        time.sleep(2.5)  # it looks each second, and must find nothing more
        assert counted(store) == int(written)
    finally:
        control.kill()
        control.wait()


@pytest.mark.proves("reliability/host")
def test_first_connections_at_once_create_one_store(tmp_path: Path) -> None:
    """Of four threads that open a new store at once, as a page of statistics does, none is refused."""
    with ThreadPoolExecutor(4) as threads:
        for number in range(50):
            at_once = threading.Barrier(4)

            def opened(path: Path = tmp_path / f"{number}.db", at_once: threading.Barrier = at_once) -> int:
                at_once.wait(60)
                with closing(connect(path)) as connection:
                    return int(connection.execute("SELECT count(*) FROM download").fetchone()[0])

            assert [thread.result() for thread in [threads.submit(opened) for _ in range(4)]] == [0] * 4


# A line each millisecond, until it is told that there were enough; then it prints how many there were.
_WRITER = """
import os, select, sys, time
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
count = 0
while not select.select([sys.stdin], [], [], 0.001)[0]:
    os.write(log, sys.argv[2].encode())
    count += 1
print(count)
"""
