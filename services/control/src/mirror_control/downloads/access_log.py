"""nginx's access log: a file a minute on a small volume, which nginx writes, and control counts and removes."""

import os
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

# How long a file is written to, from the begin of its minute: a worker that waits for a disk logs late, and nginx holds
# a file for 10 s after its last line (open_log_file_cache).
_OPEN = timedelta(seconds=90)

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

    def closed(self, now: datetime) -> bool:
        """Whether nginx writes no more to it."""
        return now - self.minute > _OPEN


class AccessLog:
    """
    The files of the last minutes.

    Args:
        directory: where nginx writes them; it need not be there.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

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

    def full(self) -> bool:
        """Return whether its volume has no room left, so that nginx loses lines."""
        try:
            return os.statvfs(self._directory).f_bavail == 0
        except OSError:  # `files` says so
            return False
