"""nginx's access log: a file a minute on a small volume, which nginx writes and control removes."""

import asyncio
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, NoReturn, Self

import structlog

log = structlog.get_logger(__name__)

# How long a minute stays, from its begin: nginx has closed its file 5 s after its last line (open_log_file_cache), and
# 32 MB hold 3 minutes of 300 requests/s at 600 bytes a line.
_KEPT = timedelta(minutes=2)
# A file a minute comes, a file a minute goes.
_SWEEP = 60.0

# strptime alone would take 2026-1-2 as well, and digits of other scripts.
_NAME = re.compile(r"access-(\d{4}-\d\d-\d\dT\d{4})\.jsonl", re.ASCII)


class MinuteFile(NamedTuple):
    """The lines of one minute."""

    minute: datetime
    path: Path

    @classmethod
    def parse(cls, path: Path) -> Self | None:
        """Parse the name that nginx gives (nginx/http/access_log.conf); None is no file of its."""
        name = _NAME.fullmatch(path.name)
        try:
            # $time_iso8601 is nginx's local time, and its container knows no zone but UTC.
            return cls(datetime.strptime(f"{name[1]}Z", "%Y-%m-%dT%H%M%z"), path) if name else None
        except ValueError:  # a thirteenth month
            return None


class AccessLog:
    """
    The files of the last minutes.

    Args:
        directory: where nginx writes them; it need not be there.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._trouble: str | None = None

    def files(self) -> list[MinuteFile]:
        """
        Return the files that are there, oldest first; what is no regular file is none of nginx's.

        Raises:
            OSError: the directory can't be read.
        """
        try:
            with os.scandir(self._directory) as entries:
                paths = [Path(entry) for entry in entries if entry.is_file(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        return sorted(file for path in paths if (file := MinuteFile.parse(path)))

    def sweep(self, *, now: datetime) -> None:
        """Remove the files of minutes long past; what can't be removed keeps no other file."""
        trouble = None
        try:
            for file in self.files():
                if now - file.minute > _KEPT:
                    try:
                        file.path.unlink(missing_ok=True)
                    except OSError as error:
                        trouble = str(error)
        except OSError as error:
            trouble = str(error)
        self._tell(trouble)

    async def keep_small(self) -> NoReturn:
        """Sweep now and then every minute: on a full volume nginx logs two errors a request."""
        while True:
            await asyncio.to_thread(self.sweep, now=datetime.now(UTC))
            await asyncio.sleep(_SWEEP)

    def _tell(self, trouble: str | None) -> None:
        """Log the change alone, not every sweep."""
        if trouble and not self._trouble:
            log.warning("old access logs not removed; their volume will fill up", error=trouble)
        elif self._trouble and not trouble:
            log.info("old access logs removed again")
        self._trouble = trouble
