"""
A published file rots on a disk that finds that out by itself: reading it is an error, and no wrong bytes.

``python -m disks.rot`` prints what verifies made of it, as JSON.
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

ROTTEN, SOUND = "six-1.0.tar.gz", "idna-1.0.tar.gz"
_BLOCK = 4096


async def rot() -> dict[str, object]:
    """Sync, let a file rot on btrfs, which keeps a checksum of each block, and verify; return how that ends."""
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
            _spoil(disk.image, content)
            disk.mount()
            pypi.log.forget()
            async with site.running() as running:
                found = await running.verify()
                mended = await running.verify(repair=True)
                again = await running.verify()
            fetched = [path for path in pypi.log.paths() if path.endswith(".tar.gz")]
            site.assert_whole()
            disk.unmount()
            return {
                "runs": [_told(run) for run in (found, mended, again)],
                "fetched": [path.rpartition("/")[2] for path in fetched],
            }


def _spoil(image: Path, content: bytes) -> None:
    """Turn over a bit of a file, wherever it lies."""
    with image.open("r+b") as disk:
        for offset in range(0, image.stat().st_size, _BLOCK):
            disk.seek(offset)
            if disk.read(_BLOCK) == content[:_BLOCK]:
                disk.seek(offset)
                disk.write(bytes([content[0] ^ 1]))
                return
    raise AssertionError("it is not to be found")


def _told(run: Run) -> dict[str, object]:
    failures = [[failure.file, failure.reason] for failure in run.failures]
    return {"state": run.state, "damaged": run.counts.files_damaged, "failures": failures}


def main() -> None:
    """Try it, and tell."""
    configure_logging(level="error", form="json")
    print(json.dumps(asyncio.run(rot())))  # noqa: T201 - it is what it is for


if __name__ == "__main__":
    main()
