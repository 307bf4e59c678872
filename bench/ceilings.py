"""
``python -m bench.ceilings WHAT INPUT OUTPUT``: what this machine can do at best, with one process a core.

Each process begins when all have started; the clock stops when the last is done.

- ``requests``: INPUT has URLs, one a line. libcurl alone requests all of them over ten kept connections.
- ``creation``: INPUT has ``DIRECTORY COUNT BYTES``. Files are written under temporary names and renamed, and no more.
"""

import json
import multiprocessing
import multiprocessing.synchronize
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

_CONNECTIONS = 10  # of all processes together, as those of the contenders


def request(urls: Sequence[str]) -> None:
    """Request URLs over this process's share of the connections, and drop what they answer."""
    import pycurl  # noqa: PLC0415 - the syncer's environment has it, the driver's does not

    waiting = iter(urls)
    multi = pycurl.CurlMulti()
    handles = []
    for _ in range(max(1, _CONNECTIONS // (os.cpu_count() or 1))):
        handle = pycurl.Curl()
        handle.setopt(pycurl.WRITEFUNCTION, len)
        handles.append(handle)
    active = 0
    idle = handles
    while True:
        for handle in idle:
            if (url := next(waiting, None)) is not None:
                handle.setopt(pycurl.URL, url)
                multi.add_handle(handle)
                active += 1
        if not active:
            return
        multi.perform()
        _, idle, failed = multi.info_read()
        if failed:
            raise RuntimeError(f"libcurl: {failed[0][2]}")
        for handle in idle:
            multi.remove_handle(handle)
            active -= 1
        if not idle:
            multi.select(1.0)


def create(directory: Path, size: int, numbers: Sequence[int]) -> None:
    """Write a file for each number, 64 in a directory."""
    body = os.urandom(size)
    for number in numbers:
        folder = directory / str(number // 64)
        folder.mkdir(exist_ok=True)
        temporary = folder / f".{number}"
        temporary.write_bytes(body)
        temporary.rename(folder / str(number))


def timed(work: Callable[[Sequence[Any]], None], items: Sequence[Any]) -> float:
    """Return the seconds that one process a core takes for all items."""
    cores = os.cpu_count() or 1
    context = multiprocessing.get_context("fork")
    ready = context.Barrier(cores + 1)
    shares = [items[number::cores] for number in range(cores)]
    processes = [context.Process(target=_begin, args=(ready, work, share)) for share in shares]
    for process in processes:
        process.start()
    ready.wait()
    began = time.monotonic()
    for process in processes:
        process.join()
    seconds = time.monotonic() - began
    if any(process.exitcode for process in processes):
        raise RuntimeError("a process failed")
    return seconds


def _begin(
    ready: multiprocessing.synchronize.Barrier, work: Callable[[Sequence[Any]], None], share: Sequence[Any]
) -> None:
    ready.wait()
    work(share)


def main(what: str, given: Path, output: Path) -> None:
    """Measure, and write the seconds."""
    lines = given.read_text().splitlines()
    if what == "requests":
        seconds = timed(request, lines)
    else:
        directory, count, size = lines[0].split(" ")
        seconds = timed(partial(create, Path(directory), int(size)), range(int(count)))
    output.write_text(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
