"""
``python -m bench.downloads STORE PROJECT…``: fills control's store with 50 million downloads within a hundred days.

Each day has as many rows as the store keeps of one. Some downloads are of the named projects. It runs with control's
Python.
"""

import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from mirror_control.downloads.store import Position, Store
from mirror_control.downloads.tally import Download, Miss, PythonShare, Tally

_DAYS: Final = 100
_ROWS_PER_DAY: Final = 10_000
_DOWNLOADS_PER_ROW: Final = 50
_MISSES_PER_DAY: Final = 1_000
_PYTHONS: Final = ("", "3.10", "3.11", "3.12", "3.13", "3.14")
_CLIENTS: Final = ("pip", "uv", "poetry", "pdm", "bandersnatch")
_FILE_TYPES: Final = ("wheel", "wheel", "wheel", "sdist")


def fill(path: Path, named: list[str]) -> None:
    """Add the downloads of all days, each in one transaction."""
    chance = random.Random(len(named))
    today = datetime.now(UTC).date()
    with Store(path) as store:
        for number in range(_DAYS):
            day = (today - timedelta(days=number)).isoformat()
            tally = Tally()
            for row in range(_ROWS_PER_DAY):
                project = named[row % len(named)] if row < len(named) * 10 else f"project-{row}"
                client, version = chance.choice(_CLIENTS), f"{chance.randrange(20, 27)}.{chance.randrange(4)}"
                download = Download(day, project, f"1.{row}", chance.choice(_FILE_TYPES), client, version)
                tally.downloads[download] = _DOWNLOADS_PER_ROW
                tally.pythons[PythonShare(day, chance.choice(_PYTHONS))] += _DOWNLOADS_PER_ROW
            for row in range(_MISSES_PER_DAY):
                tally.misses[Miss(day, f"missing-{row}", "page")] = 1 + row % 7
            store.add(tally, file=day, position=Position(1, b""))


if __name__ == "__main__":
    fill(Path(sys.argv[1]), sys.argv[2:])
