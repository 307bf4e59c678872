"""``PYTHONPATH=tests python -m bench.advisories``: shows what 25,000 records cost in time and memory."""

import os
import tempfile
import time
from pathlib import Path

from mirror_syncer.config.advisories import BlockingRules, Location, Severity
from mirror_syncer.config.advisories.feed import AdvisorySource
from syncer.osv import real_looking_feed, write_zip

_RECORDS = 25_000
_MB = 1_000_000


def main() -> None:
    """Read records in the proportions of PyPI's part of OSV, ask about each project, and read them again."""
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        (room / "advisories").mkdir()
        # In a process of its own, so that its memory does not count.
        if (child := os.fork()) == 0:
            write_zip(room / "advisories" / "all.zip", real_looking_feed(_RECORDS))
            os._exit(0)
        os.waitpid(child, 0)
        idle = _resident()
        source, location = AdvisorySource(state=room), Location.parse(None, beside=room / "mirror.toml")
        rules = BlockingRules(Severity.HIGH, fixes=True)
        for what, work in (
            ("read", lambda: source.reload(location)),
            ("all digests", lambda: [source.current.digest(name, rules) for name in source.current.projects]),
            ("changed", lambda: source.changed(location)),
            ("read again", lambda: source.reload(location)),
        ):
            began = time.process_time()
            work()
            seconds = time.process_time() - began
            print(f"{what:12} {seconds:8.3f} s of CPU, {(_resident() - idle) / _MB:6.1f} MB over idle")


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
