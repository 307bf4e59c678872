"""
A tree on a file system that ignores case, and what the syncer makes of it.

``python -m disks.letters --file-system exfat`` prints what was said, and what was left, as JSON.
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
    """Start the syncer on such a disk, in every way that writes; return how that ends."""
    with TemporaryDirectory(dir="/disks") as directory:
        async with fakepypi.serve() as pypi:
            pypi.index.project("six").upload("1.0")
            disk = Disk(Path(directory) / "data", file_system=file_system)
            site = Site(Path(directory), upstream=pypi.url)
            site.select("six")
            try:
                (disk.directory / "Letters").touch()
                ignored = (disk.directory / "lETTERS").exists()
                (disk.directory / "Letters").unlink()
                ends = [await _end_of(site, command) for command in ("sync", "serve", "verify")]
                said = await _said(site)
                left = sorted(str(path.relative_to(site.data)) for path in site.data.rglob("*") if path.is_file())
            finally:
                disk.unmount()
            return {"ignored": ignored, "ends": ends, "said": said, "left": left, "asked": pypi.log.paths()}


async def _said(site: Site) -> str:
    """Return what is said in this process, which then has let go of the disk, or it could not be unmounted."""
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
    _, said = await process.communicate()
    return process.returncode, said.decode()


def main() -> None:
    """Try it, and tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--file-system", choices=["exfat", "ntfs"], required=True)
    told = asyncio.run(start_on(parser.parse_args().file_system))
    print(json.dumps(told))  # noqa: T201 - it is what it is for


if __name__ == "__main__":
    main()
