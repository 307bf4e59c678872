"""
The syncer on a file system that ignores case.

``python -m disks.case --file-system exfat`` prints the messages and the remaining files as JSON.
"""

import argparse
import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from tempfile import TemporaryDirectory

import fakepypi
from disks.disk import Disk
from mirror_syncer.errors import VolumeError
from syncer.site import Site


async def start_on(file_system: str) -> dict[str, object]:
    """Start the syncer on such a disk with each command that writes; return the results."""
    with TemporaryDirectory(dir="/disks") as directory:
        async with fakepypi.serve() as pypi:
            pypi.index.project("six").upload("1.0")
            disk = Disk(Path(directory) / "data", file_system=file_system)
            site = Site(Path(directory), upstream=pypi.url)
            site.select("six")
            try:
                (disk.directory / "Case").touch()
                ignored = (disk.directory / "cASE").exists()
                (disk.directory / "Case").unlink()
                ends = [await _end_of(site, command) for command in ("sync", "serve", "verify")]
                output = await _output(site)
                left = sorted(str(path.relative_to(site.data)) for path in site.data.rglob("*") if path.is_file())
            finally:
                disk.unmount()
            return {"ignored": ignored, "ends": ends, "message": output, "left": left, "asked": pypi.log.paths()}


async def _output(site: Site) -> str:
    """Run a command in this process; return its output. It must close the disk, or that cannot be unmounted."""
    try:
        await site.sync()
    except VolumeError as error:
        return str(error)
    return ""


async def _end_of(site: Site, command: str) -> tuple[int | None, str]:
    environment = {"PATH": "", **site.environment()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mirror_syncer", command, env=environment, stdout=PIPE, stderr=PIPE
    )
    _, output = await process.communicate()
    return process.returncode, output.decode()


def main() -> None:
    """Run it, and print the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--file-system", choices=["exfat", "ntfs"], required=True)
    result = asyncio.run(start_on(parser.parse_args().file_system))
    print(json.dumps(result))  # noqa: T201 - the caller reads it


if __name__ == "__main__":
    main()
