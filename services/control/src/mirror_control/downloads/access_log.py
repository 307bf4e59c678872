"""nginx's access log: a file per minute on a small volume. nginx writes the files; control counts and deletes them."""

import os
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

# nginx writes to a file for this long after the start of its minute: a worker that waits for the disk logs late, and
# nginx keeps a file open for 10 s after its last line (open_log_file_cache).
_WRITTEN_FOR = timedelta(seconds=90)

# strptime alone would also accept 2026-1-2 and digits of other scripts.
_NAME = re.compile(r"access-(\d{4}-\d\d-\d\dT\d{4})\.jsonl", re.ASCII)


class MinuteFile(NamedTuple):
    """The log file of one minute."""

    minute: datetime
    path: Path

    @classmethod
    def parse(cls, path: Path) -> Self | None:
        """Parse a file name by nginx/http/access_log.conf; return None for any other file."""
        name = _NAME.fullmatch(path.name)
        try:
            # $time_iso8601 is local time, and nginx's container runs in UTC.
            return cls(datetime.strptime(f"{name[1]}Z", "%Y-%m-%dT%H%M%z"), path) if name else None
        except ValueError:  # such as a thirteenth month
            return None

    def is_closed(self, now: datetime) -> bool:
        """Return whether nginx has finished writing the file."""
        return now - self.minute > _WRITTEN_FOR


class AccessLog:
    """
    The log files that control has not deleted yet.

    Args:
        directory: where nginx writes them; it need not exist.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def files(self) -> list[MinuteFile]:
        """
        Return the log files, oldest first; only regular files are nginx's.

        Raises:
            OSError: the directory can't be read.
        """
        try:
            with os.scandir(self.directory) as entries:
                paths = [Path(entry) for entry in entries if entry.is_file(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        return sorted(file for path in paths if (file := MinuteFile.parse(path)))

    def is_full(self) -> bool:
        """Return whether the volume is full, so that nginx loses lines."""
        try:
            return os.statvfs(self.directory).f_bavail == 0
        except OSError:  # `files` raises it
            return False
