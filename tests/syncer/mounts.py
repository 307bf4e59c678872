"""Disks of a few megabytes, mounted for a test; this needs root or sudo."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(directory: Path, *, size: int, inodes: int = 0) -> Iterator[None]:
    """Mount a tmpfs of this many bytes and, if given, inodes."""
    options = f"size={size},nr_inodes={inodes},uid={os.getuid()},gid={os.getgid()},mode=0755"
    _as_root("mount", "-t", "tmpfs", "-o", options, "tmpfs", directory)
    try:
        yield
    finally:
        _as_root("umount", "--lazy", directory)


@contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """Make a disk read-only within the block, by a bind mount on top: open files would prevent a remount."""
    _as_root("mount", "-o", "bind,ro", directory, directory)
    try:
        yield
    finally:
        _as_root("umount", "--lazy", directory)


@contextmanager
def fill(directory: Path, *, leaving: int = 0) -> Iterator[None]:
    """Fill a disk with other data until this many bytes are free; remove the data at the end."""
    other = directory / "ubuntu"
    other.write_bytes(bytes(shutil.disk_usage(directory).free - leaving))
    try:
        yield
    finally:
        other.unlink()


def _as_root(*command: str | Path) -> None:
    sudo = () if os.getuid() == 0 else ("sudo", "--non-interactive")
    subprocess.run([*sudo, *command], check=True)
