"""A mirror host as tests see it: its policy, its runs, and what clients would find."""

import asyncio
import gzip
import hashlib
import itertools
import os
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mirror_contract import Run, RunKind, RunRequest, Trigger, parse_project_name
from mirror_syncer.config.settings import Settings
from mirror_syncer.model.page import PublishedPage
from mirror_syncer.model.project import ProjectRow
from mirror_syncer.publish import parse_published
from mirror_syncer.service.assembly import Mirror, open_mirror
from mirror_syncer.upstream import Limits

# Short timeouts for tests: three attempts within a tenth of a second, and two seconds of silence.
IMPATIENT = Limits(
    attempts=3,
    connect_seconds=2,
    silence_seconds=2,
    initial_wait_seconds=0.01,
    max_wait_seconds=0.03,
    max_retry_after_seconds=0.5,
)
STALE_WAITS = (0.01, 0.01)


@contextmanager
def memory_below(limit: int) -> Iterator[None]:
    """Assert that the block never holds more memory than this at once."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < limit, f"{peak:,} bytes"


def same_directory(content: bytes) -> bytes:
    """Return other content of the same length whose short path is in the same of the 256 directories."""
    wanted, length = _digits(content), len(content)
    candidates = (f"{number:0{length}}".encode() for number in itertools.count())
    return next(other for other in candidates if other != content and _digits(other) == wanted)


def _digits(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=32).hexdigest()[:2]


@dataclass(frozen=True)
class Running:
    """A mirror whose engine is running."""

    mirror: Mirror

    def ask(self, kind: RunKind, *projects: str, **options: object) -> Run:
        """Request a run, and do not wait for it."""
        request = RunRequest.model_validate({"kind": kind, "projects": projects or None, **options})
        return self.mirror.runs.request(request, trigger=Trigger.API)

    async def ended(self, run: Run) -> Run:
        """Return a run once it has ended."""
        if active := self.mirror.runs.active(run.id):
            async with asyncio.timeout(60):
                await active.ended.wait()
        found = self.mirror.runs.get(run.id)
        assert found is not None
        return found

    async def sync(self, *projects: str, **options: object) -> Run:
        """Sync, and return the run once it has ended."""
        return await self.ended(self.ask(RunKind.SYNC, *projects, **options))

    async def verify(self, *projects: str, **options: object) -> Run:
        """Verify, and return the run once it has ended."""
        return await self.ended(self.ask(RunKind.VERIFY, *projects, **options))

    async def collect(self) -> Run:
        """Collect, and return the run once it has ended."""
        return await self.ended(self.ask(RunKind.COLLECT))

    def row(self, name: str) -> ProjectRow:
        """Return the catalog's row of a project."""
        row = self.mirror.catalog.projects.get(parse_project_name(name))
        assert row is not None
        return row


class Site:
    """
    A directory with a mirror's data, state and policy.

    Args:
        catalog: the URL of an empty database on PostgreSQL; without it, the catalog is on SQLite.
    """

    def __init__(self, directory: Path, *, upstream: str, catalog: str = "") -> None:
        self.catalog = catalog
        self.data = directory / "data"
        self.state = directory / "state"
        self.policy = directory / "mirror.toml"
        self.upstream = upstream
        self.data.mkdir(exist_ok=True)
        self.state.mkdir(exist_ok=True)

    @property
    def web(self) -> Path:
        """The directory that nginx serves."""
        return self.data / "pypi" / "web"

    def select(
        self,
        *lines: str,
        latest: int | None = None,
        grace: str = "24h",
        guard: str = "1%",
        legacy_json: bool = False,
        follow: bool = False,
    ) -> None:
        """
        Write a mirror.toml that selects these projects.

        Args:
            follow: mirror what they need, too. Most tests are about the selected projects alone, and count requests;
                those of dependencies follow, as a mirror does by default.
        """
        projects = ", ".join(f'"{line}"' for line in lines)
        newest = "" if latest is None else f"latest = {latest}\n"
        serve = f"[serve]\nlegacy_json = {str(legacy_json).lower()}\n"
        removal = f'[removal]\ngrace = "{grace}"\nguard = "{guard}"\n'
        dependencies = f"[dependencies]\nfollow = {str(follow).lower()}\n"
        self.policy.write_text(f"[mirror]\nprojects = [{projects}]\n{newest}{dependencies}{removal}{serve}")

    def everything(self, *lines: str, latest: int | None = None, grace: str = "24h", guard: str = "1%") -> None:
        """Write a mirror.toml that selects the whole index."""
        projects = ", ".join(f'"{line}"' for line in lines)
        newest = "" if latest is None else f"latest = {latest}\n"
        self.policy.write_text(
            f'[mirror]\nscope = "everything"\nprojects = [{projects}]\n{newest}'
            f'[removal]\ngrace = "{grace}"\nguard = "{guard}"\n'
        )

    def environment(self, **more: str) -> dict[str, str]:
        """Return the syncer's environment."""
        return {
            "MIRROR_DATA": str(self.data),
            "MIRROR_STATE": str(self.state),
            "MIRROR_POLICY": str(self.policy),
            "MIRROR_UPSTREAM": self.upstream,
            "MIRROR_DISK_RESERVE": "0%",
            "MIRROR_CATALOG": self.catalog,
            **more,
        }

    def settings_of_tree(self) -> dict[str, object]:
        """Return the settings that say where the tree is."""
        return {"data": self.data}

    @asynccontextmanager
    async def running(
        self,
        *,
        limits: Limits = IMPATIENT,
        connections: int = 10,
        workers: int = 1,
        reserve: float = 0.0,
        netrc: Path | None = None,
        ca_file: Path | None = None,
        verify_bandwidth: str | None = None,
        bandwidth: str | None = None,
        webhook_url: str | None = None,
        webhook_secret_file: Path | None = None,
        without_hash: str = "own-host",
        file_hosts: str = "127.0.0.1 127.0.0.2",
    ) -> AsyncIterator[Running]:
        """Run the mirror's engine; stop it as SIGTERM would."""
        settings = Settings.model_validate(
            {
                **self.settings_of_tree(),
                "state": self.state,
                "policy": self.policy,
                "catalog": self.catalog,
                "upstream": self.upstream,
                "upstream_netrc": netrc,
                "ca_file": ca_file,
                "disk_reserve": reserve,
                "connections": connections,
                "workers": workers,
                "verify_bandwidth": verify_bandwidth,
                "bandwidth": bandwidth,
                "webhook_url": webhook_url,
                "webhook_secret_file": webhook_secret_file,
                "file_hosts": file_hosts,
                "without_hash": without_hash,
            }
        )
        async with open_mirror(settings, limits=limits, stale_waits=STALE_WAITS) as mirror:
            engine = asyncio.create_task(mirror.run())
            try:
                yield Running(mirror)
            finally:
                mirror.engine.stop()
                await engine

    async def sync(self, *projects: str, **options: object) -> Run:
        """Start the mirror, sync once, stop it."""
        async with self.running() as running:
            return await running.sync(*projects, **options)

    def sql(self, statement: str) -> None:
        """Change the catalog without the mirror's knowledge."""
        with self._engine() as engine, engine.begin() as connection:
            connection.exec_driver_sql(statement)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return what a query of the catalog finds."""
        with self._engine() as engine, engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(statement)]

    def columns(self, table: str) -> set[str]:
        """Return the names of a table's columns; none if there is no such table."""
        with self._engine() as engine:
            inspector = sa.inspect(engine)
            return {one["name"] for one in inspector.get_columns(table)} if inspector.has_table(table) else set()

    @contextmanager
    def _engine(self) -> Iterator[sa.Engine]:
        url = self.catalog.replace(":", "+psycopg:", 1) or f"sqlite:///{self.state / 'catalog.sqlite'}"
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        try:
            yield engine
        finally:
            engine.dispose()

    # What clients find

    def published(self, name: str) -> PublishedPage:
        """Return a project's page."""
        project = parse_project_name(name)
        return parse_published((self.web / "simple" / project / "index.v1_json").read_bytes(), name=project)

    def filenames(self, name: str) -> set[str]:
        """Return the files that a project's page names."""
        return set(self.published(name).files)

    async def pages_become(self, expected: list[str]) -> None:
        """Wait until exactly these projects have a page; the tree sends no events, so poll it."""
        async with asyncio.timeout(60):
            while self.pages() != expected:  # noqa: ASYNC110 - polls, as above
                await asyncio.sleep(0.01)

    def pages(self) -> list[str]:
        """Return the projects that have a page."""
        return sorted(path.parent.name for path in self.web.glob("simple/[!.]*/index.v1_json"))

    def content(self, name: str, filename: str) -> bytes:
        """Return a published file."""
        return (self.web / self.published(name).places[filename]).read_bytes()

    def assert_whole(self) -> None:
        """Assert that each form of each page names only correct files, and that nothing temporary is left."""
        self.assert_right()
        assert list(self.temporaries()) == []

    def assert_right(self) -> None:
        """Assert that each form of each page names only correct files."""
        for name in self.pages():
            published = self.published(name)
            for filename, file in published.files.items():
                path = self.web / published.places[filename]
                assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256, path
                assert path.stat().st_size == file.size
                if isinstance(file.core_metadata, str):
                    metadata = path.with_name(f"{path.name}.metadata").read_bytes()
                    assert hashlib.sha256(metadata).hexdigest() == file.core_metadata
            html = (self.web / "simple" / name / "index.html").read_text()
            assert all(f">{filename}</a>" in html for filename in published.files)
        for twin in self.web.glob("simple/**/*.gz"):
            assert gzip.decompress(twin.read_bytes()) == twin.with_suffix("").read_bytes()

    def temporaries(self) -> Iterator[Path]:
        """Yield the files that must not be left behind."""
        # Tombstones and markers stay: see volume/tombstones.py and volume/held_markers.py.
        # Not by Path.rglob, which takes 6 ms for the 256 directories.
        for directory, folders, names in os.walk(self.web):
            hidden = (name for name in (*folders, *names) if name.startswith("."))
            yield from (Path(directory, name) for name in hidden if name not in (".gone", ".held"))
        yield from (self.data / "pypi" / ".staging").iterdir()
