"""
``PYTHONPATH=tests python -m bench.recovery``: how long a start takes to recover what a killed syncer had in hand.

A mirror of 400 projects is made from a fake upstream. Then the catalog says of all of them that they are about to be
published, as after a kill: half of them have their page, and the other half only their files.
"""

import asyncio
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import fakepypi
from fakepypi.corpus import fill
from mirror_contract import RunKind, RunRequest, Trigger
from mirror_syncer.catalog import Catalog
from mirror_syncer.config import Removal
from mirror_syncer.config.settings import Settings
from mirror_syncer.model.project import Pending
from mirror_syncer.publish import find_published
from mirror_syncer.publish.recovery import recover
from mirror_syncer.service.assembly import open_mirror
from mirror_syncer.volume import Volume

_PROJECTS = 400
_REMOVAL = Removal(grace=timedelta(hours=24))


async def main() -> None:
    """Make the mirror, leave it as a kill would, recover it, and print how long that took."""
    count = int(sys.argv[1]) if sys.argv[1:] else _PROJECTS
    with tempfile.TemporaryDirectory() as directory:
        data, state, policy = _folders(Path(directory))
        index = fakepypi.Index()
        fill(index, count)
        async with fakepypi.serve(index) as pypi:
            settings = Settings(data=data, state=state, policy=policy, upstream=pypi.url)
            async with open_mirror(settings) as mirror:
                run = mirror.runs.request(RunRequest(kind=RunKind.SYNC), trigger=Trigger.CLI)
                engine = asyncio.create_task(mirror.run())
                await mirror.runs.ended(run.id)
                mirror.engine.stop()
                await engine
        files = _take_in_hand(data, state)
        catalog = Catalog.in_directory(state)
        volume = Volume(data, mirror_id=catalog.mirror_id, known=True, reserve=0)
        wall, processor = time.perf_counter(), time.process_time()
        recovered = recover(catalog=catalog, volume=volume, removal=_REMOVAL)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        volume.close()
        catalog.close()
    print(f"{recovered} projects with {files} files: {wall:.2f} s of wall clock, {processor:.2f} s of processor")


def _folders(home: Path) -> tuple[Path, Path, Path]:
    """Make the directories of tree and state, and the policy."""
    data, state, policy = home / "tree", home / "state", home / "mirror.toml"
    data.mkdir()
    state.mkdir()
    policy.write_text('[mirror]\nscope = "everything"\n')
    return data, state, policy


def _take_in_hand(data: Path, state: Path) -> int:
    """Leave tree and catalog as a kill during the projects' publication does; return the number of their files."""
    catalog = Catalog.in_directory(state)
    volume = Volume(data, mirror_id=catalog.mirror_id, known=True, reserve=0)
    files = 0
    for number, name in enumerate(list(volume.projects())):
        published = find_published(volume, name)
        if published is None:
            continue
        hashes = {str(file.filename): file.sha256 for file in published.page.files}
        places = [(place, hashes[filename]) for filename, place in published.places.items()]
        files += len(places)
        catalog.files.claim([Pending.page(name), *(Pending(name, place, sha256) for place, sha256 in places if sha256)])
        if number % 2:
            directory = volume.page_directory(name)
            for path in directory.iterdir():
                path.unlink()
            directory.rmdir()
    volume.close()
    catalog.close()
    return files


if __name__ == "__main__":
    asyncio.run(main())
