"""Counts that are made ahead of the pages that show them."""

import asyncio
from pathlib import Path

import httpx2
import pytest

from mirror_control.client.download_schemas import DownloadFilter, Downloads
from mirror_control.downloads import statistics
from mirror_control.downloads.statistics import Statistics
from mirror_control.ui.frequent_counts import frequent_counts, keep_counted


def test_pages_of_all_projects_ask_for_what_is_counted_ahead(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each period of the downloads, and the list of projects by downloads, ask for exactly what is counted ahead."""
    asked: set[DownloadFilter] = set()
    count = Statistics.get_recent_downloads

    async def record(self: Statistics, wanted: DownloadFilter) -> Downloads:
        asked.add(wanted)
        return await count(self, wanted)

    monkeypatch.setattr(Statistics, "get_recent_downloads", record)
    before = set(frequent_counts())
    for days in (7, 30, 90, 365):
        assert client.get(f"/ui/downloads?days={days}").status_code == 200
    assert client.get("/ui/projects?sort=downloads").status_code == 200
    assert asked <= before | set(frequent_counts()), "midnight may pass meanwhile"
    assert len(asked) == len(before)


async def test_slow_counts_are_there_before_anybody_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start all of them are counted; without a store, or with a broken one, it goes on trying."""
    monkeypatch.setattr(statistics, "_QUICK_SECONDS", 0)
    (tmp_path / "broken.db").write_bytes(b"no database" * 100)
    broken, counts = Statistics(tmp_path / "broken.db"), Statistics(tmp_path / "downloads.db")
    paused = [asyncio.Event(), asyncio.Event()]
    pauses = iter(paused)

    async def pause(_seconds: float) -> None:
        next(pauses).set()
        await asyncio.Event().wait()

    monkeypatch.setattr("mirror_control.ui.frequent_counts.asyncio.sleep", pause)
    tasks = [asyncio.create_task(keep_counted(each)) for each in (broken, counts)]
    await asyncio.wait_for(asyncio.gather(*(each.wait() for each in paused)), 60)
    assert len(counts._remembered) == len(set(frequent_counts()))
    assert not broken._remembered
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
