"""Downloads and misses in the API, Prometheus and mirrorctl."""

import asyncio
import json
import sqlite3
import threading
import time
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from control.log_lines import line, minute_file
from mirror_control.client.download_schemas import DownloadFilter, Downloads, Misses
from mirror_control.downloads import queries, statistics
from mirror_control.downloads.statistics import Statistics, StatisticsBusyError
from mirror_control.downloads.store import Position, Store
from mirror_control.downloads.tally import Tally
from mirror_control.settings import Settings
from mirrorctl.cli import main

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
SIX = "/packages/cd/six-1.17.0.tar.gz"


def request(uri: str, *, days_ago: int = 0, **told: str) -> bytes:
    """Return a log line that is a number of days old."""
    return line(uri, time=(TODAY - timedelta(days=days_ago)).isoformat(), **told)


@pytest.fixture
def counted(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was counted before control started, as seen on the day on which the tests began."""
    monkeypatch.setattr(queries, "_today", TODAY.date)
    new, old = "/packages/ab/requests-2.32.3-py3-none-any.whl", "/packages/ab/requests-2.31.0.tar.gz"
    miss = partial(request, status="404", route="page")
    lines = [
        *[request(new)] * 5,
        *[request(new, days_ago=1, agent="uv/0.9.2")] * 3,
        *[request(old, days_ago=29)] * 2,
        *[request(old, days_ago=30)] * 7,
        request(SIX, agent="curl/8"),
        *[miss("/simple/internal_lib/")] * 4,
        request("/packages/ab/six-0.9.tar.gz", status="404"),
        miss("/simple/left-pad/", days_ago=40),
    ]
    with Store(settings.control_state / "downloads.db") as store:
        store.add(Tally.of(lines), file="x", position=Position(1, b""))


def ask(client: httpx2.Client, path: str) -> dict[str, object]:
    """Send a request and return the successful answer."""
    answer = client.get(f"/api/v1/{path}")
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def day(days_ago: int) -> str:
    """Return a day as the API writes it."""
    return str((TODAY - timedelta(days=days_ago)).date())


def test_downloads_cover_thirty_days_by_default(counted: None, client: httpx2.Client) -> None:
    """Without parameters, downloads cover thirty days by day, project, file type and client, largest first."""
    assert ask(client, "downloads") == {
        "since": day(29),
        "until": day(0),
        "project": None,
        "downloads": 11,
        "mirrors": 0,
        "days": [
            {"day": day(29), "downloads": 2, "mirrors": 0},
            {"day": day(1), "downloads": 3, "mirrors": 0},
            {"day": day(0), "downloads": 6, "mirrors": 0},
        ],
        "projects": [{"name": "requests", "downloads": 10}, {"name": "six", "downloads": 1}],
        "versions": None,
        "file_types": [{"name": "wheel", "downloads": 8}, {"name": "sdist", "downloads": 3}],
        "clients": [
            {"name": "pip", "version": "25.1", "downloads": 7, "mirror": False},
            {"name": "uv", "version": "0.9.2", "downloads": 3, "mirror": False},
            {"name": "other", "version": "", "downloads": 1, "mirror": False},
        ],
        "pythons": [{"name": "3.13", "downloads": 11}],
    }


def test_downloads_of_a_project_are_by_version(counted: None, client: httpx2.Client) -> None:
    """For a project in any spelling, downloads are listed by version, with their own totals."""
    found = ask(client, f"downloads?project=Requests&since={day(30)}&top=1")

    assert found["project"] == "requests"
    assert found["downloads"] == 17
    assert found["projects"] is None
    assert found["versions"] == [{"name": "2.31.0", "downloads": 9}]
    assert ask(client, "downloads?project=nobody-s")["downloads"] == 0


def test_misses_are_counted_by_project(counted: None, holder: httpx2.Client) -> None:
    """Misses are counted by project, for its page and its files, with the last day."""
    found = ask(holder, "misses")

    assert found["requests"] == 5
    assert found["projects"] == [
        {"name": "internal-lib", "requests": 4, "pages": 4, "files": 0, "last_day": day(0)},
        {"name": "six", "requests": 1, "pages": 0, "files": 1, "last_day": day(0)},
    ]
    assert ask(holder, f"misses?since={day(40)}&top=1")["requests"] == 6


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("downloads?since=yesterday", "query/since"),
        ("downloads?since=1700000000", "query/since"),
        ("downloads?since=2026-02-30", "query/since"),
        ("downloads?top=0", "query/top"),
        ("downloads?top=1001", "query/top"),
        ("downloads?project=", "query/project"),
        ("downloads?project=..%2F..%2Fetc", "query/project"),
        ("downloads?porject=six", "query/porject"),
        ("misses?since=2026-13-01", "query/since"),
        ("misses?project=six", "query/project"),
    ],
)
def test_invalid_download_filter_is_422(holder: httpx2.Client, query: str, pointer: str) -> None:
    """An invalid day, number, name or parameter is 422 with a pointer."""
    answer = holder.get(f"/api/v1/{query}")

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_corrupt_store_is_503(counted: None, settings: Settings, client: httpx2.Client) -> None:
    """A corrupt store is a 503 that names its file; the rest of the API works."""
    for path in settings.control_state.glob("downloads.db*"):
        path.write_bytes(b"no database" * 1000)
    answer = client.get("/api/v1/downloads")

    assert answer.status_code == 503
    assert "downloads.db" in answer.json()["detail"]
    assert client.get("/api/v1/status").status_code == 200


def served(client: httpx2.Client) -> dict[str, float]:
    """Return the samples of the serving metrics by name and labels."""
    return {
        " ".join([sample.name.removeprefix("pypi_mirror_"), *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        if "serve" in family.name or "access_log" in family.name
        for sample in family.samples
    }


def test_serving_metrics_count_the_access_log(settings: Settings, client: httpx2.Client) -> None:
    """Metrics of requests, bytes and durations start at 0 for every label set and follow the access log."""
    before = served(client)
    assert set(before.values()) == {0}
    settings.access_log.mkdir()
    lines = [
        line(),
        line(status="503", seconds=3),
        line(status="000", route="page"),
        line(status="301", route="page"),
        line(status="<b>", route="<b>", bytes=1),
        b"torn\n",
    ]
    minute_file(settings.access_log).write_bytes(b"".join(lines))
    deadline = time.monotonic() + 10
    while not (after := served(client))["access_log_unreadable_lines_total"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)

    assert set(after) == set(before), "labels come from closed sets"
    assert {name for name in after if name.startswith("served_requests") and after[name]} == {
        "served_requests_total package 200",
        "served_requests_total package 5xx",
        "served_requests_total page 4xx",
        "served_requests_total page 3xx",
        "served_requests_total other 4xx",
    }
    assert after["served_bytes_total package"] == 2 * 64928
    assert after["serve_duration_seconds_bucket 0.025 package"] == 1
    assert after["serve_duration_seconds_bucket +Inf package"] == after["serve_duration_seconds_count package"] == 2
    assert after["serve_duration_seconds_sum package"] == pytest.approx(3.012)


def test_mirrorctl_shows_downloads_and_misses(counted: None, client: httpx2.Client) -> None:
    """`downloads` and `misses` print tables for people and JSON for programs."""
    runner = CliRunner(env={"MIRRORCTL_URL": str(client.base_url), "COLUMNS": "80"})

    def run(*arguments: str) -> str:
        result = runner.invoke(main, arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    assert "11, " in run("downloads")
    assert all(told in run("downloads") for told in ("requests", "8 wheel, 3 sdist", "pip 25.1", "other"))
    assert all(told in run("downloads", "Requests", "--since", day(30)) for told in ("17 of requests", "2.31.0"))
    assert all(told in run("misses", "--top", "1") for told in ("5 requests", "internal-lib"))
    assert Downloads.model_validate_json(run("downloads", "six", "--json")).downloads == 1
    assert Misses.model_validate(json.loads(run("misses", "--json"))).requests == 5
    assert runner.invoke(main, ["downloads", "..", "--json"]).exit_code == 2
    assert runner.invoke(main, ["misses", "--since", "soon"]).exit_code == 2


@pytest.mark.parametrize("value", ["400", "0d", "-1d", "1w", "99999d", "forever"])
def test_downloads_kept_is_a_number_of_days(settings: Settings, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """MIRROR_DOWNLOADS_KEPT is a number of days; any other value stops the start with an example."""
    monkeypatch.setenv("MIRROR_DOWNLOADS_KEPT", value)
    with pytest.raises(Exception, match="must be a number of days from 1d to 9999d, such as 400d"):
        Settings.load()
    monkeypatch.setenv("MIRROR_DOWNLOADS_KEPT", "30d")
    assert Settings.load().downloads_kept == timedelta(days=30)


@pytest.mark.proves("security/clients")
async def test_many_who_ask_leave_threads_for_the_counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two questions are looked up at once; who asks the same shares the answer, others are told to come again."""
    release, asked = threading.Event(), list[str | None]()
    busy, loop = asyncio.Event(), asyncio.get_running_loop()

    def slow(_store: sqlite3.Connection, wanted: DownloadFilter) -> Downloads:
        asked.append(wanted.project)
        if len(asked) == 2:
            loop.call_soon_threadsafe(busy.set)
        release.wait(60)
        day = date(2026, 11, 22)
        return Downloads(since=day, until=day, project=wanted.project, downloads=1, days=[], file_types=[], clients=[])

    monkeypatch.setattr(statistics, "read_downloads", slow)
    monkeypatch.setattr(statistics, "_MAX_WAIT_SECONDS", 0.05)
    counts = Statistics(tmp_path / "downloads.db")
    questions = [DownloadFilter(project=name) for name in ("a", "b", "a", "b", "c", "d")]
    answers = [asyncio.create_task(counts.get_downloads(question)) for question in questions]
    await busy.wait()
    for late in answers[4:]:
        with pytest.raises(StatisticsBusyError):
            await late
    release.set()

    assert [(await answer).project for answer in answers[:4]] == ["a", "b", "a", "b"]
    assert sorted(filter(None, asked)) == ["a", "b"]
    assert (await counts.get_downloads(DownloadFilter(project="e"))).project == "e"


async def test_slow_answer_of_a_page_is_shown_as_it_was_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page shows what took long as it was counted last, at once, and it is counted again meanwhile; not too often."""
    again, day, number = threading.Event(), date(2026, 11, 22), 0

    def count(_store: sqlite3.Connection, _wanted: DownloadFilter) -> Downloads:
        nonlocal number
        number += 1
        if number > 1:
            again.wait(60)
        return Downloads(since=day, until=day, downloads=number, days=[], file_types=[], clients=[])

    monkeypatch.setattr(statistics, "read_downloads", count)
    monkeypatch.setattr(statistics, "_QUICK_SECONDS", 0)
    monkeypatch.setattr(statistics, "_REST_FACTOR", 0)
    counts, wanted = Statistics(tmp_path / "downloads.db"), DownloadFilter()
    shown = [(await counts.get_recent_downloads(wanted)).downloads for _ in range(3)]
    again.set()
    await asyncio.gather(*counts._renewals)
    last = (await counts.get_recent_downloads(wanted)).downloads
    monkeypatch.setattr(statistics, "_REST_FACTOR", 1_000_000)
    resting = [(await counts.get_recent_downloads(wanted)).downloads for _ in range(3)]
    assert shown == [1, 1, 1]
    assert last >= 2
    assert len(set(resting)) <= 2
    await asyncio.gather(*counts._renewals)
    monkeypatch.setattr(statistics, "_QUICK_SECONDS", 3600)
    quick = Statistics(tmp_path / "downloads.db")
    first, second = [(await quick.get_recent_downloads(wanted)).downloads for _ in range(2)]
    assert second == first + 1, "what is quick is counted each time"
    assert not quick._remembered, "and takes no slow answer's place"
