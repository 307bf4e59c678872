"""Pages while many clients read files that are not in the page cache, from a slow disk."""

import asyncio
import contextlib
import multiprocessing
import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.figures import Figures
from bench.ground import Ground
from bench.options import Options
from bench.report import say
from bench.trials import figures_of
from bench.webserver import servers

_ROOT = Path("/srv/mirror")
_PORT = 8080
_READ_BYTES = 20_000_000  # per second
_READERS, _LOOKERS = 64, 16
_LOOK_SECONDS = 0.05  # so 320 pages a second
_SECONDS, _QUICK_SECONDS = 15, 5
_FILES, _FILE_BYTES, _METADATA_BYTES = 1_200, 1_000_000, 1_000
_SLOWEST, _BAR_SHARE = 5.0, 0.99  # target in ms, for so many of the pages
_PAGE = b"A page of this mirror, and nothing that gzip could shorten much.\n" * 100


class ColdTrial:
    """
    The latency of pages under the load of cold files.

    The tree is on a file system of its own, whose device the kernel slows down. Names are known, and pages are in the
    page cache; the content of the files is not. Needs a privileged container, which ``bench/run`` starts.
    """

    name = "cold"
    what = "pages in memory, while 64 clients read cold files from a disk of 20 MB/s"

    def run(self, options: Options, ground: Ground) -> Figures:
        """Run the trial."""
        figures = figures_of(self, options)
        room = ground.fresh(self.name)
        seconds = _QUICK_SECONDS if options.quick else _SECONDS
        with _slow_disk(room) as (tree, device):
            names = _plant(tree)
            _ROOT.symlink_to(tree)
            try:
                for suffix, said in (("", "files of 1 MB"), (".metadata", "`.metadata`")):
                    say(f"{figures.label}: {said}")
                    paths = [f"{name}{suffix}" for name in names]
                    waits = [_measure(room, paths, seconds=seconds, device=device) for _ in range(options.pairs)]
                    for share, what in ((0.5, "half of them"), (0.99, "99 of 100")):
                        bar = _SLOWEST if share == _BAR_SHARE else None
                        subject = f"pages beside {said}: {what}"
                        samples = [one[int(len(one) * share)] for one in waits]
                        figures.add(subject, "our nginx", *samples, unit="ms", at_most=bar)
            finally:
                _ROOT.unlink()
        shutil.rmtree(room)
        return figures


def _measure(room: Path, names: list[str], *, seconds: int, device: Path) -> list[float]:
    """Return how many milliseconds each page takes, in order."""
    with servers(room, log=True):
        _evict(names)
        with _limited(device):
            reading = multiprocessing.get_context("fork").Process(target=_read, args=(names, seconds))
            reading.start()
            waits = sorted(asyncio.run(_look(seconds)))
            reading.join()
    if reading.exitcode:
        raise RuntimeError("the readers failed")
    return waits


@contextmanager
def _slow_disk(room: Path) -> Iterator[tuple[Path, Path]]:
    """Mount a file system in a file; yield its directory and its device."""
    image, mounted = room / "disk", room / "mounted"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(2 * _FILES * (_FILE_BYTES + 8_192))
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)  # noqa: S603, S607 - Debian's
    find = ["losetup", "--find", "--show", str(image)]
    device = subprocess.run(find, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 - as above
    try:
        subprocess.run(["mount", "-o", "noatime", device, str(mounted)], check=True)  # noqa: S603, S607 - as above
        try:
            (mounted / "tree").mkdir()
            yield mounted / "tree", Path(device)
        finally:
            subprocess.run(["umount", str(mounted)], check=True)  # noqa: S603, S607 - as above
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)  # noqa: S603, S607 - as above


@contextmanager
def _limited(device: Path) -> Iterator[None]:
    """Have the kernel limit reads from a device, by cgroups of either version."""
    number = device.stat().st_rdev
    numbers = f"{os.major(number)}:{os.minor(number)}"
    older = Path("/sys/fs/cgroup/blkio/blkio.throttle.read_bps_device")
    group = Path("/sys/fs/cgroup/bench")
    if older.exists():
        older.write_text(f"{numbers} {_READ_BYTES}")
    else:
        # In version 2 a group with limits for its children has no processes of its own.
        group.mkdir(exist_ok=True)
        for process in (group.parent / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):  # it has exited meanwhile
                (group / "cgroup.procs").write_text(process)
        (group.parent / "cgroup.subtree_control").write_text("+io")
        (group / "io.max").write_text(f"{numbers} rbps={_READ_BYTES}")
    try:
        yield
    finally:
        if older.exists():
            older.write_text(f"{numbers} 0")
        else:
            (group / "io.max").write_text(f"{numbers} rbps=max")


def _plant(tree: Path) -> list[str]:
    """Write a page and files; return the paths of the files below ``packages/``."""
    page = tree / "pypi/web/simple/cold"
    page.mkdir(parents=True)
    for form in ("index.html", "index.v1_json"):
        (page / form).write_bytes(_PAGE)
    body = os.urandom(_FILE_BYTES)
    names = []
    for number in range(_FILES):
        digits = f"{number % 256:02x}"
        folder = tree / "pypi/web/packages" / digits
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{digits}/cold-1.{number}-py3-none-any.whl"
        (folder.parent / name).write_bytes(body)
        (folder.parent / f"{name}.metadata").write_bytes(body[:_METADATA_BYTES])
        names.append(name)
    os.sync()
    return names


def _evict(names: list[str]) -> None:
    for name in names:
        with (_ROOT / "pypi/web/packages" / name).open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _read(names: list[str], seconds: float) -> None:
    """Read each file once, with 64 clients, for at most so many seconds."""
    random.Random(1).shuffle(names)
    waiting = iter(names)

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", _PORT)
        for name in waiting:
            await _ask(reader, writer, f"/packages/{name}")

    async def clients() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(client() for _ in range(_READERS)))

    asyncio.run(clients())


async def _look(seconds: float) -> list[float]:
    """Return how many milliseconds each page takes, on connections that stay open."""
    end = time.monotonic() + seconds
    waits: list[float] = []

    async def looker() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", _PORT)
        due = time.monotonic() + random.random() * _LOOK_SECONDS
        while due < end:
            await asyncio.sleep(due - time.monotonic())
            began = time.monotonic()
            await _ask(reader, writer, "/simple/cold/")
            now = time.monotonic()
            while due < now:  # each page that was due while this one waited has waited for it, too
                waits.append(1000 * (now - max(began, due)))
                due += _LOOK_SECONDS

    await asyncio.gather(*(looker() for _ in range(_LOOKERS)))
    return waits


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    if not head.startswith("http/1.1 200 "):
        raise RuntimeError(f"{path}: {head}")
    await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))
