"""The counts of downloads that pages show most, made ahead: of a busy mirror the first of a year takes a second."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final, NoReturn

from mirror_control.client.download_schemas import DownloadFilter
from mirror_control.downloads.statistics import Statistics, StatisticsError
from mirror_control.ui import download_pages, project_list

_PAUSE: Final = timedelta(hours=1)


async def keep_counted(counts: Statistics) -> NoReturn:
    """Count at the start, each hour, and when a day begins, since each day has periods of its own."""
    while True:
        for wanted in frequent_counts():
            with suppress(StatisticsError):  # the page says it to those who look
                await counts.get_recent_downloads(wanted)
        now = datetime.now(UTC)
        midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        await asyncio.sleep(min(_PAUSE, midnight - now).total_seconds() + 1)


def frequent_counts() -> Iterator[DownloadFilter]:
    """Yield what the pages of all projects' downloads ask for today."""
    yield project_list.ranking_filter()
    for period in download_pages.PERIODS:
        yield download_pages.period_filter(period)
