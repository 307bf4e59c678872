"""``mirror-syncer``, whose power is cut at a step of a publication: ``python -m disks.cut_sync '<json>' sync``."""

import functools
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from disks.disk import cut
from mirror_syncer.catalog import Catalog
from mirror_syncer.commands import cli
from mirror_syncer.publish.commit_group import CommitGroup
from mirror_syncer.volume import BufferedIncoming, Incoming, Volume, durability

# A step is the moment before or after a call.
_CALLS: dict[str, tuple[type, str]] = {
    "file named": (BufferedIncoming, "publish_file"),
    "large file named": (Incoming, "publish_file"),
    "sync": (durability.Durability, "sync"),
    "page shown": (CommitGroup, "_make_visible"),
    "rows committed": (Catalog, "commit"),
    "file unlinked": (Volume, "remove"),
}
STEPS = tuple(f"{when} {call}" for call in _CALLS for when in ("before", "after"))


class PowerSwitch:
    """
    Cuts the power the nth time that a step is taken.

    Args:
        disks: directories on the disks that lose their power.
    """

    def __init__(self, *, step: str, times: int, disks: list[str], log_flushed: bool) -> None:
        self._left = times
        self._disks = disks
        self._log_flushed = log_flushed
        when, _, call = step.partition(" ")
        owner, name = _CALLS[call]
        setattr(owner, name, self._around(getattr(owner, name), before=when == "before"))

    def _around(self, function: Callable[..., Any], *, before: bool) -> Callable[..., Any]:
        @functools.wraps(function)
        def fused(*arguments: Any, **options: Any) -> Any:
            if before:
                self._burn()
            options = function(*arguments, **options)
            if not before:
                self._burn()
            return options

        return fused

    def _burn(self) -> None:
        self._left -= 1
        if self._left == 0:
            for disk in self._disks:
                cut(Path(disk), log_flushed=self._log_flushed)
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Sync until the power is cut."""
    options = json.loads(sys.argv.pop(1))
    if options["by_file"]:
        durability._SYNCFS_FILE_SYSTEMS = frozenset()
    if options["lying"]:
        durability.Durability.sync = lambda self: None  # type: ignore[method-assign]
        durability.Durability.file_written = lambda *_: None  # type: ignore[method-assign]
    if options["step"]:
        PowerSwitch(
            step=options["step"], times=options["times"], disks=options["disks"], log_flushed=options["log_flushed"]
        )
    cli.main()


if __name__ == "__main__":
    main()
