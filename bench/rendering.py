"""
``python -m bench.rendering HOME TIMES OUTPUT``: measures how long publishing a mirror's project list takes.

It runs with the syncer's Python, in a process of its own.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from mirror_syncer.catalog import Catalog, Fact
from mirror_syncer.publish.project_list import ProjectList
from mirror_syncer.volume import Volume


async def render(home: Path, *, times: int) -> list[float]:
    """Return the seconds of each repetition: rendering, syncing and renaming both formats and their .gz files."""
    catalog = Catalog.in_directory(home / "state")
    seconds = []
    with Volume(home / "tree", mirror_id=catalog.mirror_id, known=True) as volume:
        project_list = ProjectList(catalog=catalog, volume=volume)
        for _ in range(times):
            catalog.remember(Fact.LIST, "")  # or an equal list were not published again
            project_list.changed()
            began = time.monotonic()
            await project_list.publish()
            seconds.append(time.monotonic() - began)
    catalog.close()
    return seconds


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(json.dumps(asyncio.run(render(Path(sys.argv[1]), times=int(sys.argv[2])))))
