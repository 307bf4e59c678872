"""The command line of ``bench/run``."""

import argparse
import sys
from pathlib import Path

from bench.api import ApiTrial
from bench.cold import ColdTrial
from bench.contenders import Bandersnatch, Contender, Ours
from bench.driver import Driver
from bench.ground import Ground
from bench.intake import IntakeTrial
from bench.limits import LimitsTrial
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
_TRIALS: tuple[Trial, ...] = (
    ListTrial(),
    MemoryTrial(),
    VerifyTrial(),
    ServingTrial(),
    ApiTrial(),
    IntakeTrial(),
    LimitsTrial(),
    ColdTrial(),
)


def main() -> int:
    """Run the scenarios; print tables, and write them to ``bench/results/`` with JSON and plots."""
    scenarios = {scenario.name: scenario for scenario in SCENARIOS}
    trials = {trial.name: trial for trial in _TRIALS}
    known = {one.name: one.what for one in SCENARIOS} | {one.name: one.what for one in _TRIALS}
    parser = argparse.ArgumentParser(
        prog="bench/run",
        description="Mirrors the same corpus with pypi-mirror and bandersnatch in turns, and compares.",
        epilog=f"scenarios: {'; '.join(f'{name} ({what})' for name, what in known.items())}",
    )
    parser.add_argument("scenario", nargs="+", choices=known, metavar="SCENARIO", help="one or more of those below")
    parser.add_argument("--pairs", type=int, default=3, metavar="N", help="runs of each contender (3)")
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the corpus: for a first impression, not for publication"
    )
    parser.add_argument("--ours", action="store_true", help="skip bandersnatch")
    parser.add_argument("--profile", action="store_true", help="run under py-spy; stacks go to bench/results/profile-*")
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
        if not options.profile:  # py-spy slows the program
            write(results, _RESULTS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
