"""
``python -m bench.hashing DIRECTORY OUTPUT``: sha256 of all files below a directory, one process per core.

The baseline for a verify: the clock starts after the processes have started and the files are listed.
"""

import hashlib
import json
import multiprocessing
import os
import sys
import time
from pathlib import Path


def digest(paths: list[Path]) -> tuple[int, int, float]:
    """Return the number of files, the hashed bytes, and the processor seconds."""
    read, began = 0, time.process_time()
    for path in paths:
        with path.open("rb") as file:
            hashlib.file_digest(file, "sha256")
            read += file.tell()
    return len(paths), read, time.process_time() - began


def main(directory: Path, output: Path) -> None:
    """Hash all files, and write seconds, processor seconds, files and bytes."""
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    cores = os.cpu_count() or 1
    with multiprocessing.get_context("fork").Pool(cores) as pool:
        pool.map(digest, [[]] * cores, chunksize=1)
        shares = [paths[start : start + 64] for start in range(0, len(paths), 64)]
        began = time.monotonic()
        results = list(pool.imap_unordered(digest, shares))
        seconds = time.monotonic() - began
    files, read, processor = (sum(column) for column in zip(*results, strict=True))
    output.write_text(json.dumps({"seconds": seconds, "processor": processor, "files": files, "bytes": read}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
