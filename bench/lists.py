"""Syncs of a list as long as PyPI's, after a few of its projects changed, or none."""

import json
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench.check import check_stub_list, check_stub_pages
from bench.contenders import Bandersnatch, Ours
from bench.figures import Figures
from bench.ground import Ground
from bench.measure import Cost, measure
from bench.options import Options
from bench.report import say
from bench.service import Ran, Service, running
from bench.stubs import PYPI, Stubs, build_stubs
from bench.trials import figures_of, in_turns
from bench.upstream import PLAIN, serving

_MB = 1_000_000
_CHANGED = 100
_LIMIT_SECONDS = 3600


class ListTrial:
    """
    A sync of the whole index with as many projects as PyPI.

    A first sync takes hours on two cores, and another scenario measures it. Here the service merges a real first list,
    and the trial marks its projects as published. Few of them have a page.
    """

    name = "list"
    what = f"as many projects as PyPI: nothing changed, {_CHANGED} changed, the list's pages; in the running service"

    def run(self, options: Options, ground: Ground) -> Figures:
        """Run the trial."""
        ours, theirs = Ours(), Bandersnatch()
        versions = {one.name: one.version() for one in ((ours,) if options.ours else (ours, theirs))}
        figures = figures_of(self, options, **versions)
        room, home = ground.fresh(self.name), ground.fresh(ours.name)
        stubs = build_stubs(PYPI // 10 if options.quick else PYPI, room / "upstream")
        figures.facts.append(f"{len(stubs.names):,} projects, a list of {stubs.list_size / _MB:.1f} MB")
        say(f"{figures.label}: {figures.facts[0]}")
        other = None if options.ours else _bandersnatch_after_a_sync(stubs, ground.fresh(theirs.name))
        with serving(stubs.directory, PLAIN, directory=room, template="stubs.conf"):
            with running(ours.service(home, line=PLAIN)) as service:
                first = service.ask_for_plan("sync")
            figures.add("first list, into an empty catalog", ours.name, first, unit="s")
            mark_published(home, stubs)
            with running(ours.service(home, line=PLAIN)) as service:
                figures.add("resident, before the first run", ours.name, service.idle / _MB, unit="MB")
                rounds = _Rounds(figures, service, stubs, home, other, options.pairs)
                rounds.without_news()
                rounds.with_news()
        check_stub_list(ours, home, stubs)
        output = home / "rendering.json"
        render = ours.python(home, "bench.rendering", str(home), str(options.pairs), str(output))
        measure(render, limit_seconds=_LIMIT_SECONDS)
        check_stub_list(ours, home, stubs)
        seconds = json.loads(output.read_text())
        figures.add("the list's pages: both formats, gzip, synced", ours.name, *seconds, unit="s", at_most=2.5)
        return figures


@dataclass(frozen=True, slots=True)
class _Rounds:
    """Runs of both contenders in turns, with the same changes."""

    figures: Figures
    service: Service
    stubs: Stubs
    home: Path
    other: Path | None
    """bandersnatch's timings, if it takes part."""
    pairs: int

    def without_news(self) -> None:
        """Measure runs without changes."""
        first = self.service.ask("sync")  # it checks whether the published list is its own
        self.figures.add("nothing changed: the first run after a start", Ours.name, first.wall, unit="s")
        first.expect(projects_planned=0, projects_failed=0)
        # A run asks again for the project that had the newest serial, as it may have changed under it: here it is new.
        self.service.ask("sync").expect(projects_planned=1, projects_failed=0)
        runs: list[Ran] = []
        costs: list[Cost] = []
        for number in range(self.pairs):
            in_turns(number, lambda: runs.append(self.service.ask("sync")), lambda: costs.extend(self._mirror()))
        for run in runs:
            run.expect(projects_planned=1, projects_changed=0, projects_failed=0)
        self._add("nothing changed: list 304, nothing due", *(run.wall for run in runs), at_most=0.3)
        self._add_memory("nothing changed: memory over idle", *(run.peak for run in runs))
        self._add_costs("nothing changed: list fetched, nothing due", costs)

    def with_news(self) -> None:
        """Measure runs with some changed projects."""
        runs: list[Ran] = []
        costs: list[Cost] = []
        # One more than counted: in the first run these projects have no page, unlike real ones.
        for number in range(self.pairs + 1):
            self.stubs.change(_CHANGED, origin=PLAIN.origin)
            in_turns(number, lambda: runs.append(self.service.ask("sync")), lambda: costs.extend(self._mirror()))
            check_stub_pages(Ours(), self.home, self.stubs)
            if self.other is not None:
                check_stub_pages(Bandersnatch(), self.other, self.stubs)
        del runs[0], costs[:1]
        for run in runs:
            run.expect(projects_done=_CHANGED, projects_changed=_CHANGED, files_fetched=_CHANGED)
        subject = f"{_CHANGED} changed"
        self._add(f"{subject}: list fetched, detected, merged", *(run.planning for run in runs), at_most=2)
        self._add_memory(f"{subject}: memory over idle until then", *(run.planned_peak for run in runs), at_most=80)
        self._add(f"{subject}: with pages, files and list", *(run.wall for run in runs))
        self._add_memory(f"{subject}: memory over idle, all of it", *(run.peak for run in runs))
        self._add_costs(f"{subject}: with pages, files and list", costs)

    def _mirror(self) -> list[Cost]:
        """Run bandersnatch, if it takes part."""
        if self.other is None:
            return []
        return [measure(Bandersnatch().command(self.other, line=PLAIN), limit_seconds=_LIMIT_SECONDS)]

    def _add(self, subject: str, *seconds: float, at_most: float | None = None) -> None:
        self.figures.add(subject, Ours.name, *seconds, unit="s", at_most=at_most)

    def _add_memory(self, subject: str, *peaks: int, at_most: float | None = None) -> None:
        over = ((peak - self.service.idle) / _MB for peak in peaks)
        self.figures.add(subject, Ours.name, *over, unit="MB", at_most=at_most)

    def _add_costs(self, subject: str, costs: list[Cost]) -> None:
        if costs:
            self.figures.add(subject, Bandersnatch.name, *(cost.wall for cost in costs), unit="s")
            self.figures.add(f"{subject}: memory", Bandersnatch.name, *(cost.rss / _MB for cost in costs), unit="MB")


def mark_published(home: Path, stubs: Stubs) -> None:
    """Mark listed projects as synced, with values as long as real ones."""
    with closing(sqlite3.connect(home / "state" / "catalog.sqlite")) as catalog, catalog:
        catalog.execute(
            "UPDATE project SET state = 'current', serial = wanted_serial, published = 1, checked_at = :now,"
            " changed_at = :now, file_count = 23, stored_bytes = 45000000, fingerprint = '0123456789abcdef',"
            """ etag = '"' || hex(randomblob(16)) || '"' WHERE NOT published""",
            {"now": int(time.time())},
        )
        (marked,) = catalog.execute("SELECT count(*) FROM project WHERE published").fetchone()
    if marked != len(stubs.names):
        raise RuntimeError(f"the first list gave the catalog {marked:,} projects, not {len(stubs.names):,}")


def _bandersnatch_after_a_sync(stubs: Stubs, home: Path) -> Path:
    """Write the state after a sync of bandersnatch: its serial, and a directory per project for its list."""
    simple = home / "tree" / "web" / "simple"
    simple.mkdir(parents=True)
    (home / "tree" / "generation").write_text("5")
    (home / "tree" / "status").write_text(str(stubs.newest))
    for name in stubs.names:
        (simple / name).mkdir()
    return home
