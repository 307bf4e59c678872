"""``bench/run``: what may be asked for."""

import argparse
import sys
from pathlib import Path

from bench.api import ApiTrial
from bench.contenders import Bandersnatch, Contender, Ours
from bench.driver import Driver
from bench.ground import Ground
from bench.intake import IntakeTrial
from bench.lists import ListTrial
from bench.memory import MemoryTrial
from bench.options import Options
from bench.report import figure_table, table, write
from bench.scenarios import SCENARIOS
from bench.trials import Trial
from bench.verifying import VerifyTrial
from bench.webserver import ServingTrial

_DATA = Path("/data")
_RESULTS = Path("/results")
_TRIALS: tuple[Trial, ...] = (ListTrial(), MemoryTrial(), VerifyTrial(), ServingTrial(), ApiTrial(), IntakeTrial())


def main() -> int:
    """Run what is asked for; tables go to standard output, and with JSON and plots to ``bench/results/``."""
    scenarios = {scenario.name: scenario for scenario in SCENARIOS}
    trials = {trial.name: trial for trial in _TRIALS}
    known = {one.name: one.what for one in SCENARIOS} | {one.name: one.what for one in _TRIALS}
    parser = argparse.ArgumentParser(
        prog="bench/run",
        description="Mirrors the same corpus with pypi-mirror and bandersnatch in turns, and compares.",
        epilog=f"scenarios: {'; '.join(f'{name} ({what})' for name, what in known.items())}",
    )
    parser.add_argument("scenario", nargs="+", choices=known, metavar="SCENARIO", help="one or more; see below")
    parser.add_argument("--pairs", type=int, default=3, metavar="N", help="runs of each contender (3)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the corpus: to see a change, not to quote")
    parser.add_argument("--ours", action="store_true", help="without bandersnatch")
    parser.add_argument("--profile", action="store_true", help="under py-spy; stacks go to bench/results/profile-*")
    arguments = parser.parse_args()
    if arguments.pairs < 1:
        parser.error("--pairs: one at least")
    if arguments.profile and (unprofiled := trials.keys() & set(arguments.scenario)):
        parser.error(f"--profile: not of {', '.join(sorted(unprofiled))}")
    contenders: list[Contender] = [Ours()] if arguments.ours else [Ours(), Bandersnatch()]
    options = Options(pairs=arguments.pairs, quick=arguments.quick, ours=arguments.ours, profile=arguments.profile)
    _RESULTS.mkdir(exist_ok=True)
    ground = Ground(_DATA)
    driver = Driver(contenders, options, ground=ground, output=_RESULTS)
    for name in dict.fromkeys(arguments.scenario):
        try:
            if name in trials:
                figures = trials[name].run(options, ground)
                sys.stdout.write(f"\n{figure_table(figures)}\n")
                write(figures, _RESULTS)
                continue
            results = driver.run(scenarios[name])
        except RuntimeError as error:
            sys.stderr.write(f"bench/run: {name}: {error}\n")
            return 1
        sys.stdout.write(f"\n{table(results)}\n")
        if not options.profile:  # which slows what it looks at
            write(results, _RESULTS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
