"""
``PYTHONPATH=tests python -m bench.maturity``: shows how long after its time a held file is on the page.

A real service with a minimum age of a minute mirrors files of a fake upstream. Each becomes old enough at another
second, some of them together. What upstream is asked for meanwhile is counted.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fakepypi
from stack.compose import until

_AGE = timedelta(minutes=1)
_FIRST_SECONDS = 30  # after the start: the first sync is over by then
# Of each project, the seconds after the first that its releases become old enough.
_DUE: Mapping[str, tuple[int, ...]] = {
    "alone": (0,),
    "pair": (7, 7),
    "soon": (7, 8),
    "later": (21, 43),
    "last": (44, 70),
}
_POLL_SECONDS = 0.05


async def main() -> None:
    """Start the service, wait for each file, and print how late it was."""
    with tempfile.TemporaryDirectory() as directory:
        async with fakepypi.serve() as pypi:
            start = datetime.now(UTC) + timedelta(seconds=_FIRST_SECONDS)
            due: dict[tuple[str, str], datetime] = {}
            for name, seconds in _DUE.items():
                for number, second in enumerate(seconds):
                    version = f"{number}.0"
                    due[name, version] = start + timedelta(seconds=second)
                    uploaded = due[name, version] - _AGE
                    pypi.index.project(name).upload(version, sdist=False, uploaded_at=uploaded)
            service = await _serve(Path(directory), upstream=pypi.url)
            try:
                await asyncio.to_thread(until, lambda: _all_held(Path(directory), due), seconds=_FIRST_SECONDS)
                pypi.log.forget()
                late = await _wait(Path(directory), due)
            finally:
                service.terminate()
                await service.wait()
            pages = [path for path in pypi.log.paths() if not path.startswith("/packages/")]
            files = len(pypi.log.paths()) - len(pages)
    seconds_late = sorted(late.values())
    print(f"{len(late)} files, minimum age {_AGE.total_seconds():g} s")
    print(f"late: median {statistics.median(seconds_late):.2f} s, most {seconds_late[-1]:.2f} s")
    print(f"requests to upstream meanwhile: {len(pages)} for pages, {files} for the files themselves")


async def _serve(directory: Path, *, upstream: str) -> asyncio.subprocess.Process:
    for name in ("data", "state"):
        (directory / name).mkdir()
    names = json.dumps(list(_DUE))
    (directory / "mirror.toml").write_text(
        f'[mirror]\nprojects = {names}\n[age]\nmin = "{int(_AGE.total_seconds() // 60)}m"\n', encoding="utf-8"
    )
    environment = {
        "MIRROR_DATA": str(directory / "data"),
        "MIRROR_STATE": str(directory / "state"),
        "MIRROR_POLICY": str(directory / "mirror.toml"),
        "MIRROR_UPSTREAM": upstream,
        "MIRROR_SCHEDULE": "off",
        "MIRROR_DISK_RESERVE": "0%",
        "MIRROR_LISTEN": f"unix:{directory}/syncer.sock",
        "MIRROR_LOG_LEVEL": "warning",
    }
    program = Path(sys.executable).with_name("mirror-syncer")
    service = await asyncio.create_subprocess_exec(program, "serve", env={**os.environ, **environment})
    await asyncio.to_thread(until, (directory / "syncer.sock").exists, seconds=_FIRST_SECONDS)
    sync = await asyncio.create_subprocess_exec(
        program, "sync", env={**os.environ, **environment}, stdout=asyncio.subprocess.DEVNULL
    )
    await sync.wait()
    return service


def _page(directory: Path, name: str) -> dict[str, list[dict[str, str]]]:
    try:
        page: dict[str, list[dict[str, str]]] = json.loads(
            (directory / "data/pypi/web/simple" / name / "index.v1_json").read_bytes()
        )
    except FileNotFoundError:
        return {}
    return page


def _all_held(directory: Path, due: Mapping[tuple[str, str], datetime]) -> bool:
    return all(
        any(f"-{version}-" in held["filename"] for held in _page(directory, name).get("_held", []))
        for name, version in due
    )


async def _wait(directory: Path, due: Mapping[tuple[str, str], datetime]) -> dict[tuple[str, str], float]:
    """Return how many seconds after its time each file was on its page; negative would be too early."""
    late: dict[tuple[str, str], float] = {}
    latest = max(due.values()).timestamp() + 60
    while len(late) < len(due):
        for (name, version), at in due.items():
            offered = _page(directory, name).get("files", [])
            if (name, version) not in late and any(f"-{version}-" in file["filename"] for file in offered):
                late[name, version] = time.time() - at.timestamp()
        if time.time() > latest:
            raise SystemExit(f"not on the page within a minute: {sorted(due.keys() - late.keys())}")
        await asyncio.sleep(_POLL_SECONDS)
    return late


if __name__ == "__main__":
    asyncio.run(main())
