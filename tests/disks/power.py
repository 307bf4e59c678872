"""
Repeated power cuts: after each one the disk is checked, and the next sync must repair it.

``python -m disks.power --file-system ext4 --state same --cuts 20`` prints the broken promises as JSON.
"""

import argparse
import asyncio
import contextlib
import gzip
import hashlib
import json
import random
import re
import signal
import sqlite3
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import Collection, Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urljoin

import fakepypi
from disks.cut_sync import STEPS
from disks.disk import Disk, cut
from mirror_contract import RunState
from mirror_syncer.logs import configure_logging
from mirror_syncer.volume import durability
from syncer.site import Site

NAMES = [f"project{number}" for number in range(10)]
_AT_ANY_MOMENT = "at any moment"
_ORPHAN = "an orphan"
_CUT = {-signal.SIGKILL, -signal.SIGBUS}
_LINK = re.compile(r'href="([^"#]+)#sha256=([0-9a-f]{64})"')


class Host:
    """
    A mirror host whose power is cut.

    Args:
        state: the catalog's disk: the ``same``, ``another`` that loses its power too, or ``safe``.
    """

    def __init__(self, directory: Path, *, upstream: str, file_system: str, state: str) -> None:
        self.disks = [Disk(directory / "data", file_system=file_system)]
        if state == "another":
            self.disks.append(Disk(directory / "state", file_system=file_system))
        self.site = Site(directory, upstream=upstream)
        if state == "same":
            self.site.state = self.site.data / "state"
            self.site.state.mkdir(exist_ok=True)
        self.select(*NAMES)

    def select(self, *names: str) -> None:
        """Select these projects; what is dropped leaves at once."""
        self.site.select(*names, grace="0h", guard="100%", legacy_json=True)

    def cut(self, *, log_flushed: bool) -> None:
        """Cut the power now."""
        for disk in self.disks:
            cut(disk.directory, log_flushed=log_flushed)

    def boot(self) -> None:
        """Start again."""
        for disk in self.disks:
            disk.unmount()
            disk.mount()

    # What must hold after a cut

    def broken_promises(self, *, wanted: AbstractSet[str]) -> Iterator[str]:
        """Yield what clients or the next sync would find wrong, if these projects should be published."""
        pages = self.site.web / "simple"
        for page in sorted(pages.glob("[!.]*/index.*")) + sorted(self.site.web.glob("pypi/*/json*")):
            yield from self._broken(page)
        if (self.site.state / "catalog.sqlite").exists():
            yield from self._broken_rows(wanted)

    def due_files(self) -> set[Path]:
        """Return the files that no page names and that will be removed."""
        with contextlib.closing(sqlite3.connect(self.site.state / "catalog.sqlite")) as catalog:
            due = catalog.execute("SELECT place FROM retired WHERE due_at IS NOT NULL").fetchall()
        return {self.site.web / place for (place,) in due}

    def _broken(self, page: Path) -> Iterator[str]:
        try:
            body = page.read_bytes()
            text = (gzip.decompress(body) if page.suffix == ".gz" else body).decode()
            named = _named(text, form=page.name)
        except (OSError, EOFError, ValueError) as error:
            yield f"{page} is not a complete page: {error!r}"
            return
        base = f"{self.site.web}/" if page.name.startswith("json") else f"{page}"
        for url, sha256 in named:
            place = Path(urljoin(base, unquote(url).lstrip("/") if page.name.startswith("json") else unquote(url)))
            if not place.is_file():
                yield f"{page} names {place.name}, which is missing"
            elif hashlib.sha256(place.read_bytes()).hexdigest() != sha256:
                yield f"{page} names {place.name}, which is corrupt: {place.stat().st_size} bytes"

    def _broken_rows(self, wanted: AbstractSet[str]) -> Iterator[str]:
        with contextlib.closing(sqlite3.connect(self.site.state / "catalog.sqlite")) as catalog:
            (sound,) = catalog.execute("PRAGMA integrity_check").fetchone()
            if sound != "ok":
                yield f"the catalog is damaged: {sound}"
            if not catalog.execute("SELECT 1 FROM sqlite_master WHERE name = 'project'").fetchall():
                return
            # A page is published with our own serial where its content does not follow upstream's, as when the guard
            # keeps files that upstream's page lacks.
            serials = catalog.execute("SELECT name, COALESCE(own_serial, serial) FROM project WHERE published")
            for name, serial in serials:
                page = self.site.web / "simple" / name / "index.v1_json"
                try:
                    shown = json.loads(page.read_bytes())["meta"]["_last-serial"]
                except FileNotFoundError:
                    if name in wanted:  # otherwise it was removed, and its row follows
                        yield f"the catalog has {name} at serial {serial}, which has no page"
                except ValueError:
                    continue  # no complete page, as reported
                else:
                    if shown < serial:
                        yield f"the catalog has {name} at serial {serial}, its page at {shown}"


def _named(text: str, *, form: str) -> list[tuple[str, str]]:
    if form.startswith("index.html"):
        if not text.rstrip().endswith(("</html>", "-->")):
            raise ValueError("the page is truncated")
        return _LINK.findall(text)
    document = json.loads(text)
    if form.startswith("json"):
        return [(e["url"], e["digests"]["sha256"]) for files in document["releases"].values() for e in files]
    return [(entry["url"], entry["hashes"]["sha256"]) for entry in document["files"]]


class Upstream:
    """An index that changes between two cuts."""

    def __init__(self, index: fakepypi.Index, dice: random.Random) -> None:
        self._index = index
        self._dice = dice
        self._versions = 0
        for name in NAMES:
            self._upload(name)

    def change(self) -> None:
        """Upload, delete, and upload again with other content."""
        absent = [name for name in NAMES if not self._index.project(name).files]
        for name in NAMES:
            project = self._index.project(name)
            if project.status is fakepypi.Status.QUARANTINED:
                project.clear_quarantine()
            match self._dice.choice(["upload", "upload", "delete release", "delete", "quarantine", "nothing"]):
                case "delete release" if len(project.releases) > 1:
                    project.delete_release(self._dice.choice(sorted(project.releases)))
                case "delete" if not absent:
                    project.delete()
                    absent.append(name)
                case "quarantine" if project.files:
                    project.quarantine()
                case "nothing":
                    pass
                case _:
                    self._upload(name)

    def wanted(self, selected: Collection[str]) -> dict[str, set[str]]:
        """Return the selected projects that should be published, and their files."""
        found = ((name, self._index.project(name)) for name in selected)
        return {
            name: set() if project.status is fakepypi.Status.QUARANTINED else {file.filename for file in project.files}
            for name, project in found
            if project.status is not fakepypi.Status.ABSENT
        }

    def quarantined(self) -> set[bytes]:
        """Return the contents of the files of quarantined projects."""
        projects = (self._index.project(name) for name in NAMES)
        quarantined = (project for project in projects if project.status is fakepypi.Status.QUARANTINED)
        return {
            f.content
            for project in quarantined
            for release in project.releases.values()
            for f in release.files.values()
        }

    def _upload(self, name: str) -> None:
        self._versions += 1
        padding = self._dice.choice((0, 0, 20_000, 400_000))
        self._index.project(name).upload(f"1.{self._versions}", padding=padding)


async def _sync_until_cut(
    host: Host, pypi: fakepypi.FakePyPI, dice: random.Random, *, by_file: bool, lying: bool
) -> str:
    """
    Sync; return when the power was cut, or how the sync ended instead.

    Raises:
        AssertionError: the sync failed before the cut. Between cut and kill it may fail, or get a SIGBUS: SQLite writes
            to a mapped file, the catalog's `-shm`, and XFS cannot provide the page any more.
    """
    step = dice.choice((*STEPS, *(_AT_ANY_MOMENT,) * 3))
    times = dice.randint(1, 3 if "sync" in step or "rows" in step else 6)
    log_flushed = dice.random() < 0.5
    disks = [str(disk.directory) for disk in host.disks]
    options = {
        "step": step,
        "times": times,
        "disks": disks,
        "log_flushed": log_flushed,
        "by_file": by_file,
        "lying": lying,
    }
    if step == _AT_ANY_MOMENT:
        options["step"] = ""
    environment = {"PATH": "", "PYTHONPATH": ":".join(sys.path), **host.site.environment(MIRROR_WORKERS="1")}
    pypi.log.forget()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "disks.cut_sync", json.dumps(options), "sync", env=environment, stdout=PIPE, stderr=PIPE
    )
    ending = asyncio.create_task(process.communicate())
    allowed = {*_CUT, 0, 3}
    if step == _AT_ANY_MOMENT:
        while not pypi.log.paths() and not ending.done():  # noqa: ASYNC110 - the log has no events
            await asyncio.sleep(0.005)
        await asyncio.sleep(dice.random() * 0.4)
        if not ending.done():
            allowed = allowed | {1}
        host.cut(log_flushed=log_flushed)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    _, output = await ending
    if process.returncode not in allowed:
        raise AssertionError(f"exit {process.returncode} at {step}:\n{output.decode()}")
    if process.returncode not in _CUT and step != _AT_ANY_MOMENT:
        host.cut(log_flushed=log_flushed)
        return f"after the sync ({step})"
    return step


async def _check_repair(host: Host, wanted: dict[str, set[str]], *, quarantined: set[bytes]) -> list[str]:
    """Sync and verify; return what differs from upstream."""
    site = host.site
    async with site.running() as running:
        run = await running.sync()
        verified = await running.verify()
    wrong = list(host.broken_promises(wanted=wanted.keys()))
    if run.state is RunState.FAILED:
        wrong.append(f"the next sync failed: {run.message}")
    if (found := {name: site.filenames(name) for name in site.pages()}) != wanted:
        wrong.append(f"the next sync published {found}, not {wanted}")
    listed = json.loads((site.web / "simple/index.v1_json").read_bytes())["projects"]
    if (names := {entry["name"] for entry in listed}) != set(wanted):
        wrong.append(f"the project list names {names}")
    served = [path for path in site.web.glob("packages/**/*") if path.is_file() and path.read_bytes() in quarantined]
    # Files that its page dropped before wait for the end of their grace period.
    wrong += [f"{path} is quarantined but served" for path in served if path not in host.due_files()]
    try:
        site.assert_whole()
    except AssertionError as error:
        wrong.append(f"after the next sync: {error}")
    if verified.counts.files_damaged:
        wrong.append(f"verify finds damage: {verified.failures}")
    return wrong + [_ORPHAN] * verified.counts.files_orphaned


async def cut_repeatedly(
    *, file_system: str, state: str, cuts: int, seed: int, by_file: bool, lying: bool
) -> dict[str, object]:
    """Cut the power this many times; return the moments, and the broken promises."""
    dice = random.Random(seed)
    if by_file:
        durability._SYNCFS_FILE_SYSTEMS = frozenset()
    broken: list[str] = []
    moments: Counter[str] = Counter()
    orphans = 0
    with TemporaryDirectory(dir="/disks") as directory:
        async with fakepypi.serve() as pypi:
            upstream = Upstream(pypi.index, dice)
            host = Host(Path(directory), upstream=pypi.url, file_system=file_system, state=state)
            try:
                for number in range(cuts):
                    left_out = dice.choice((*NAMES, None, None))
                    selected = [name for name in NAMES if name != left_out]
                    host.select(*selected)
                    moment = await _sync_until_cut(host, pypi, dice, by_file=by_file, lying=lying)
                    moments[moment] += 1
                    host.boot()
                    host.select(*NAMES)
                    due = upstream.wanted(selected)
                    found = [f"after a cut: {problem}" for problem in host.broken_promises(wanted=due.keys())]
                    found = found or await _check_repair(
                        host, upstream.wanted(NAMES), quarantined=upstream.quarantined()
                    )
                    orphans += found.count(_ORPHAN)
                    broken += [f"{number}, {moment}: {problem}" for problem in found if problem != _ORPHAN]
                    if broken:
                        break
                    upstream.change()
            finally:
                for disk in host.disks:
                    disk.unmount()
    return {"moments": moments, "broken": broken, "orphans": orphans}


def main() -> None:
    """Print the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--file-system", default="ext4")
    parser.add_argument("--state", choices=["same", "another", "safe"], default="same")
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--by-file", action="store_true", help="sync file by file, without syncfs")
    parser.add_argument("--lying", action="store_true", help="make every sync do nothing")
    configure_logging(level="error", form="json")
    print(json.dumps(asyncio.run(cut_repeatedly(**vars(parser.parse_args())))))  # noqa: T201


if __name__ == "__main__":
    main()
