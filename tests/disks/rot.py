"""
A published file rots on a disk that detects it: reading fails instead of returning wrong bytes.

``python -m disks.rot`` prints the results of the verifies as JSON.
"""

import asyncio
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import fakepypi
from disks.disk import Disk
from mirror_contract import Run
from mirror_syncer.logs import configure_logging
from syncer.site import Site

ROTTEN, GOOD = "six-1.0.tar.gz", "idna-1.0.tar.gz"
_BLOCK = 4096


async def rot() -> dict[str, object]:
    """Sync, corrupt a file on btrfs, which keeps a checksum of each block, and verify; return the results."""
    with TemporaryDirectory(dir="/disks") as directory:
        async with fakepypi.serve() as pypi:
            for name in ("idna", "six"):
                pypi.index.project(name).upload("1.0", wheel=False, padding=100_000)
            disk = Disk(Path(directory) / "data", file_system="btrfs")
            site = Site(Path(directory), upstream=pypi.url)
            site.select("idna", "six")
            await site.sync()
            content = site.content("six", ROTTEN)
            disk.unmount()
            _corrupt(disk.image, content)
            disk.mount()
            pypi.log.forget()
            async with site.running() as running:
                found = await running.verify()
                repaired = await running.verify(repair=True)
                again = await running.verify()
            fetched = [path for path in pypi.log.paths() if path.endswith(".tar.gz")]
            site.assert_whole()
            disk.unmount()
            return {
                "runs": [_summary(run) for run in (found, repaired, again)],
                "fetched": [path.rpartition("/")[2] for path in fetched],
            }


def _corrupt(image: Path, content: bytes) -> None:
    """Flip a bit of a file, wherever it is stored."""
    with image.open("r+b") as disk:
        for offset in range(0, image.stat().st_size, _BLOCK):
            disk.seek(offset)
            if disk.read(_BLOCK) == content[:_BLOCK]:
                disk.seek(offset)
                disk.write(bytes([content[0] ^ 1]))
                return
    raise AssertionError("the file's content is not on the disk image")


def _summary(run: Run) -> dict[str, object]:
    failures = [[failure.file, failure.reason] for failure in run.failures]
    return {"state": run.state, "damaged": run.counts.files_damaged, "failures": failures}


def main() -> None:
    """Run it, and print the result."""
    configure_logging(level="error", form="json")
    print(json.dumps(asyncio.run(rot())))  # noqa: T201 - the caller reads it


if __name__ == "__main__":
    main()
