"""The driver of scenarios: contenders run in turns into new directories; checks and cleanup come after all timings."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from bench.check import check_tree
from bench.contenders import Contender
from bench.corpus import Corpus, build_corpus
from bench.ground import Ground
from bench.machine import machine
from bench.measure import Command, Cost, measure
from bench.options import Options
from bench.profiling import hottest, profiled
from bench.report import say
from bench.results import Results, Timing
from bench.scenarios import Scenario
from bench.upstream import PLAIN, Line, delayed, serving

_LIMIT_SECONDS = 3600


class Driver:
    """
    Runs scenarios.

    Args:
        ground: provides directories for corpora and trees.
        output: directory for profiles.
    """

    def __init__(self, contenders: Sequence[Contender], options: Options, *, ground: Ground, output: Path) -> None:
        self._contenders = contenders
        self._options = options
        self._ground = ground
        self._output = output

    def run(self, scenario: Scenario) -> Results:
        """Return a scenario's timings, after a check of every tree."""
        quick = self._options.quick
        results = Results(
            scenario=scenario.name,
            what=scenario.what,
            quick=quick,
            machine=machine(),
            versions={contender.name: contender.version() for contender in self._contenders},
        )
        room = self._ground.fresh(scenario.name)
        line = delayed(room) if scenario.distant else PLAIN
        corpus = build_corpus(scenario.quick if quick else scenario.shape, room / "corpus", origin=line.origin)
        for size in (scenario.quick_sizes if quick else scenario.sizes) or (len(corpus.projects),):
            part = corpus.announce(size)
            say(f"{results.label}: {size:,} projects, {part.file_count:,} files, {part.byte_count / 1e6:,.0f} MB")
            with serving(part.directory, line, directory=room):
                results.timings += self._timings(scenario, part, line, label=results.label)
        shutil.rmtree(room)
        return results

    def _timings(self, scenario: Scenario, corpus: Corpus, line: Line, *, label: str) -> list[Timing]:
        timings = []
        homes: list[tuple[Contender, Path]] = []
        if scenario.again:
            homes = [(contender, self._ground.fresh(contender.name)) for contender in self._contenders]
            for contender, home in homes:
                measure(contender.command(home, line=line), limit_seconds=_LIMIT_SECONDS)
        for pair in range(self._options.pairs):
            turn = homes if scenario.again else [(one, self._ground.fresh(one.name)) for one in self._contenders]
            # A, B; B, A; …: so that neither always runs second.
            for contender, home in turn[:: -1 if pair % 2 else 1]:
                cost = self._measure(contender, contender.command(home, line=line), label=label)
                timings.append(Timing.of(contender.name, corpus, cost))
            homes = turn if scenario.again else homes + turn
        for contender, home in homes:
            check_tree(contender, home, corpus)
        # After all timings, because it would slow down the next run.
        for _, home in homes:
            shutil.rmtree(home)
        return timings

    def _measure(self, contender: Contender, command: Command, *, label: str) -> Cost:
        stacks = self._output / f"profile-{label}-{contender.name}.txt"
        if self._options.profile:
            command = profiled(command, stacks=stacks)
        cost = measure(command, limit_seconds=_LIMIT_SECONDS)
        processor = f"CPU {cost.user:.1f} + {cost.system:.1f} s"
        say(f"  {contender.name}: {cost.wall:.2f} s, {processor}, {cost.rss / 1e6:.0f} MB")
        if self._options.profile:
            say(hottest(stacks))
        return cost
