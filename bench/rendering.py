"""
``python -m bench.rendering HOME TIMES OUTPUT``: publishes the project list of a mirror, and tells how long it takes.

It runs under the Python that has the syncer, in a process that does nothing else.
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
    """Return the seconds of each time: both formats and their twins rendered, synced and renamed in."""
    catalog = Catalog.in_directory(home / "state")
    seconds = []
    with Volume(home / "tree", mirror_id=catalog.mirror_id, known=True) as volume:
        project_list = ProjectList(catalog=catalog, volume=volume)
        for _ in range(times):
            catalog.remember(Fact.LIST, "")  # or an equal list were not published again
            project_list.mark_changed()
            began = time.monotonic()
            await project_list.publish()
            seconds.append(time.monotonic() - began)
    catalog.close()
    return seconds


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(json.dumps(asyncio.run(render(Path(sys.argv[1]), times=int(sys.argv[2])))))
