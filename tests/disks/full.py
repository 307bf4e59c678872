"""
The syncer on a disk that another program has filled to the last byte.

``python -m disks.full --file-system xfs`` prints how the commands ended, and the freed bytes, as JSON.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from tempfile import TemporaryDirectory

import fakepypi
from disks.disk import Disk
from syncer.site import Site

NAMES = [f"project{number}" for number in range(8)]
WANTED = NAMES[:2]
FILE_BYTES = 4 * 2**20


async def fill_and_empty(file_system: str) -> dict[str, object]:
    """Fill a disk, start the syncer on it, select less and sync; return the result."""
    with TemporaryDirectory(dir="/disks") as directory:
        async with fakepypi.serve() as pypi:
            for name in NAMES:
                for version in ("1.0", "2.0"):
                    pypi.index.project(name).upload(version, sdist=False, padding=FILE_BYTES)
            disk = Disk(Path(directory) / "data", file_system=file_system)
            site = Site(Path(directory), upstream=pypi.url)
            site.select(*NAMES, grace="0m", guard="100%")
            try:
                first = await _end_of(site, "sync")
                _fill(disk.directory)
                before = _free(disk.directory)
                served = await _serves(site)
                # Fewer projects with fewer files: their pages are written again.
                site.select(*WANTED, latest=1, grace="0m", guard="100%")
                ends = [await _end_of(site, "sync"), await _end_of(site, "sync")]
                freed = _free(disk.directory) - before
                files = {name: sorted(site.filenames(name)) for name in site.pages()}
                site.assert_right()
            finally:
                disk.unmount()
            return {"first": first, "served": served, "ends": ends, "freed": freed, "files": files}


def _fill(directory: Path) -> None:
    """Take all bytes, then all remaining blocks and inodes."""
    with contextlib.suppress(OSError), (directory / "filling").open("wb", buffering=0) as file:
        for size in (2**20, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(b"n" * size):
                    pass
    for number in range(3_000):
        try:
            (directory / f"filling-{number}").write_bytes(b"n")
        except OSError:
            break
    os.sync()


def _free(directory: Path) -> int:
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


async def _serves(site: Site) -> bool:
    """Start the service; return whether its API answers, and stop it."""
    process = await _start(site, "serve", MIRROR_SCHEDULE="off", MIRROR_LISTEN="127.0.0.1:8090")
    try:
        async with asyncio.timeout(60):
            while process.returncode is None:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", 8090)
                    writer.close()
                    return True
                await asyncio.sleep(0.1)
        return False
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()


async def _end_of(site: Site, command: str) -> tuple[int | None, str]:
    process = await _start(site, command)
    _, output = await process.communicate()
    return process.returncode, output.decode()[-2000:]


async def _start(site: Site, command: str, **more: str) -> asyncio.subprocess.Process:
    environment = {"PATH": "", **site.environment(MIRROR_WORKERS="1", **more)}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mirror_syncer", command, env=environment, stdout=PIPE, stderr=PIPE
    )


def main() -> None:
    """Run it, and print the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--file-system", choices=["ext4", "xfs", "btrfs"], required=True)
    result = asyncio.run(fill_and_empty(parser.parse_args().file_system))
    print(json.dumps(result))  # noqa: T201 - the caller reads it


if __name__ == "__main__":
    main()
