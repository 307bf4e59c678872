"""
``python -m bench.closure [SET…]``: what the dependency closure of real projects costs, and whether clients can use it.

It needs PyPI, and ``uv`` in the path or in ``UV``. It downloads no file of a project but METADATA, by ``Range``.
"""

import argparse
import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
from packaging.utils import NormalizedName

from bench.kept_index import UvMachine, compiled, offering, universal_releases
from mirror_syncer.catalog import Catalog, StoredClosure
from mirror_syncer.closure.closure_source import ClosureSource
from mirror_syncer.closure.requests import RequestCounts
from mirror_syncer.closure.resolution import resolve
from mirror_syncer.config import Policy
from mirror_syncer.config.judgement.judgement import decide
from mirror_syncer.config.mirror_toml.tables import parse_policy
from mirror_syncer.config.policy.closure import Closure
from mirror_syncer.model.digests import Unhashed
from mirror_syncer.model.page import File
from mirror_syncer.upstream import Client, ClientOptions, Index
from mirror_syncer.volume import View, Volume
from mirror_syncer.work.transfer.unhashed import UnhashedFiles

_UPSTREAM = "https://pypi.org"
_HOSTS = frozenset({"pypi.org:443", "files.pythonhosted.org:443"})
_CONNECTIONS = 10  # the default of MIRROR_CONNECTIONS
_PYTHONS = ("3.11", "3.12", "3.13", "3.14")
_PLATFORMS = {
    "linux-x86_64": "x86_64-manylinux_2_40",
    "linux-aarch64": "aarch64-manylinux_2_40",
    "macos-arm64": "aarch64-apple-darwin",
    "windows-x86_64": "x86_64-pc-windows-msvc",
}
"""By the name in ``mirror.toml``, which means the newest systems: uv's."""
_OLDER_PLATFORMS = {
    "linux-x86_64:glibc2.28": "x86_64-unknown-linux-gnu",
    "linux-aarch64:glibc2.28": "aarch64-unknown-linux-gnu",
    "macos-arm64:13.0": "aarch64-apple-darwin",
    "windows-x86_64": "x86_64-pc-windows-msvc",
}
"""The systems that uv takes where nothing is said."""
_NEWEST_MACOS = "26.0"
_PASSES = 3  # of a sync
_SETS = ("requests", "django", "jupyterlab", "apache-airflow", "torch")


@dataclass(frozen=True, slots=True)
class Costs:
    """One resolution."""

    seconds: float
    processor_seconds: float
    requests: RequestCounts


class Mirror:
    """A catalog and a volume without files, and an index to ask."""

    def __init__(self, state: Path, catalog: Catalog, index: Index) -> None:
        self._state = state
        self._catalog = catalog
        self._index = index
        self._now = int(time.time())  # one, so that what resolves again is the same

    @classmethod
    @asynccontextmanager
    async def begin(cls, state: Path) -> AsyncIterator["Mirror"]:
        """Begin with what an earlier one left in a directory."""
        (state / "data").mkdir(parents=True, exist_ok=True)
        options = ClientOptions(user_agent="pypi-mirror bench", hosts=_HOSTS, connections=_CONNECTIONS)
        with closing(Catalog.in_directory(state)) as catalog:
            Volume(state / "data", mirror_id=catalog.mirror_id, known=False).close()
            async with Client(options) as client:
                yield cls(state, catalog, Index(_UPSTREAM, client=client))

    def _source(self) -> ClosureSource:
        view = View(self._state / "data")
        return ClosureSource(
            catalog=self._catalog,
            view=view,
            index=self._index,
            unhashed=UnhashedFiles(Unhashed.OWN_HOST, upstream=_UPSTREAM, digest_of=view.other_digest),
            bounds=self._catalog.serial_bounds(everything=False),
        )

    async def resolve(self, policy: Policy) -> tuple[Closure, Costs]:
        """Resolve a policy's lines."""
        async with self._source() as source:
            began, used = time.perf_counter(), time.process_time()
            closure = await resolve(policy, source=source, now=self._now)
            seconds, used = time.perf_counter() - began, time.process_time() - used
        return closure, Costs(seconds, used, source.counts)

    def look_for_news(self, closure: Closure) -> float:
        """Return the processor seconds in which a sync finds that a closure is current, by the marks of its pages."""
        self._catalog.closures.store(StoredClosure(closure, "", "", 0))
        began = time.process_time()
        stored = self._catalog.closures.get()
        assert stored is not None
        marks = sorted(self._catalog.page_marks(sorted(stored.closure.pages)).items())
        hashlib.sha256(repr(marks).encode()).hexdigest()
        return time.process_time() - began

    async def settle(self, policy: Policy, closure: Closure) -> Closure:
        """Read each kept wheel, and resolve again, as a sync does once they are here: they may differ."""
        for _ in range(_PASSES):
            kept = await self.kept(policy, closure)
            async with self._source() as source:
                wheels = [(name, one) for name, files in kept.items() for one in files if one.filename.endswith(".whl")]
                await asyncio.gather(*(source.requirement_lines(name, wheel) for name, wheel in wheels))
            before, (closure, _) = closure, await self.resolve(policy)
            if closure == before:
                break
        return closure

    async def kept(self, policy: Policy, closure: Closure) -> Mapping[NormalizedName, Sequence[File]]:
        """Return the files that a sync publishes by a closure."""
        followed = replace(policy, closure=closure)
        files = {}
        async with self._source() as source:
            for name in closure.projects:
                page, project_policy = await source.page(name), followed.project(name)
                if page is not None and project_policy is not None:
                    files[name] = decide(page, None, project_policy, now=self._now).keep
        return files


async def measure(
    lines: Sequence[str], state: Path, *, platforms: Mapping[str, str], macos: str | None, clients: bool, settles: bool
) -> dict[str, object]:
    """Resolve lines that stand together in ``mirror.toml`` twice; return the figures."""
    policy = policy_of(lines, platforms)
    machines = [UvMachine(python, triple, macos) for python in _PYTHONS for triple in platforms.values()]
    async with Mirror.begin(state) as mirror:
        closure, first = await mirror.resolve(policy)
        again, second = await mirror.resolve(policy)
        assert again == closure
        if settles:
            closure = await mirror.settle(policy, closure)
        kept = await mirror.kept(policy, closure)
        figures: dict[str, object] = {
            "projects": len(kept),
            "releases": sum(len(one.resolved) for one in closure.projects.values()),
            "files": sum(map(len, kept.values())),
            "bytes": sum(file.size or 0 for files in kept.values() for file in files),
            "first": asdict(first),
            "cached": asdict(second),
            "no news, processor seconds": mirror.look_for_news(closure),
            "unmet": [f"{one.project} {one.version} {one.requirement}: {one.message}" for one in closure.unmet],
        }
        if clients:
            with offering(kept) as url:

                async def answer(
                    line: str, machine: UvMachine, index: str | None, *, builds: bool = False
                ) -> str | None:
                    return await asyncio.to_thread(compiled, line, machine, index, cache=state / "uv", builds=builds)

                failed = [
                    (line, machine, error)
                    for line in lines
                    for machine in machines
                    if (error := await answer(line, machine, url)) is not None
                ]
                failures: dict[str, list[str]] = {
                    "cannot install": [],
                    "only with a build": [],
                    "only with a build, from PyPI too": [],
                    "nor from PyPI": [],
                }
                for line, machine, error in failed:
                    resolved = f"{line} on {machine}"
                    if (with_builds := await answer(line, machine, url, builds=True)) is None:
                        needed = await answer(line, machine, None) is not None
                        failures["only with a build" + ", from PyPI too" * needed].append(resolved)
                    elif (
                        await answer(line, machine, None) is None
                        or await answer(line, machine, None, builds=True) is None
                    ):
                        failures["cannot install"].append(f"{resolved}: {error}\nwith builds: {with_builds}")
                    else:
                        failures["nor from PyPI"].append(f"{resolved}: {with_builds}")
            figures |= failures
    return figures


def policy_of(lines: Sequence[str], platforms: Iterable[str]) -> Policy:
    """Return the policy of a mirror for sixteen machines."""
    text = (
        f'[mirror]\nscope = "selected"\nprojects = {json.dumps(list(lines))}\nlatest = 1\n'
        f"[machines]\npythons = {json.dumps(_PYTHONS)}\nplatforms = {json.dumps(list(platforms))}\n"
        "[dependencies]\nfollow = true\nlatest = 1\n"
    )
    return parse_policy(text.encode())


def main() -> None:
    """Measure each set, or all as one."""
    parser = argparse.ArgumentParser(prog="python -m bench.closure", description=__doc__)
    parser.add_argument("set", nargs="*", default=_SETS, help="lines of mirror.toml, each a mirror of its own")
    parser.add_argument("--together", action="store_true", help="the lines are one mirror")
    parser.add_argument("--clients", action="store_true", help="also resolve each line by uv on each machine")
    parser.add_argument("--universal", action="store_true", help="also count the releases of uv's resolutions")
    parser.add_argument("--older", action="store_true", help="machines as old as uv takes where nothing is said")
    parser.add_argument("--each-wheel", action="store_true", help="also read each wheel, and resolve again")
    parser.add_argument("--state", type=Path, help="keep what was fetched here, for the next run")
    arguments = parser.parse_args()
    structlog.configure(
        processors=[structlog.processors.KeyValueRenderer()], logger_factory=structlog.PrintLoggerFactory()
    )
    sets = [arguments.set] if arguments.together else [[line] for line in arguments.set]
    with TemporaryDirectory() as temporary:
        for lines in sets:
            state = (arguments.state or Path(temporary)) / "-".join(lines).replace("/", "_")[:80]
            platforms, macos = (_OLDER_PLATFORMS, None) if arguments.older else (_PLATFORMS, _NEWEST_MACOS)
            settles, clients = arguments.each_wheel, arguments.clients
            figures = asyncio.run(
                measure(lines, state, platforms=platforms, macos=macos, clients=clients, settles=settles)
            )
            if arguments.universal:
                figures["uv --universal"] = len(frozenset[str]().union(*map(universal_releases, lines)))
            print(json.dumps({"lines": lines, **figures}, indent=1))


if __name__ == "__main__":
    main()
