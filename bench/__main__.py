"""``bench/run``: what may be asked for."""

import argparse
import sys
from pathlib import Path

from bench.contenders import Bandersnatch, Contender, Ours
from bench.driver import Driver, Options
from bench.ground import Ground
from bench.report import table, write
from bench.scenarios import SCENARIOS

_DATA = Path("/data")
_RESULTS = Path("/results")


def main() -> int:
    """Run what is asked for; tables go to standard output, and with JSON and plots to ``bench/results/``."""
    named = {scenario.name: scenario for scenario in SCENARIOS}
    parser = argparse.ArgumentParser(
        prog="bench/run",
        description="Mirrors the same corpus with pypi-mirror and bandersnatch in turns, and compares.",
        epilog="scenarios: " + "; ".join(f"{scenario.name} ({scenario.what})" for scenario in SCENARIOS),
    )
    parser.add_argument("scenario", nargs="+", choices=named, metavar="SCENARIO", help="one or more; see below")
    parser.add_argument("--pairs", type=int, default=3, metavar="N", help="runs of each contender (3)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the corpus: to see a change, not to quote")
    parser.add_argument("--ours", action="store_true", help="without bandersnatch")
    parser.add_argument("--profile", action="store_true", help="under py-spy; stacks go to bench/results/profile-*")
    arguments = parser.parse_args()
    if arguments.pairs < 1:
        parser.error("--pairs: one at least")
    contenders: list[Contender] = [Ours()] if arguments.ours else [Ours(), Bandersnatch()]
    options = Options(pairs=arguments.pairs, quick=arguments.quick, profile=arguments.profile)
    _RESULTS.mkdir(exist_ok=True)
    driver = Driver(contenders, options, ground=Ground(_DATA), output=_RESULTS)
    for name in dict.fromkeys(arguments.scenario):
        try:
            results = driver.run(named[name])
        except RuntimeError as error:
            sys.stderr.write(f"bench/run: {name}: {error}\n")
            return 1
        sys.stdout.write(f"\n{table(results)}\n")
        if not options.profile:  # which slows what it looks at
            write(results, _RESULTS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
