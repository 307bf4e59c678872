"""``scripts/soak``: the options, and the report."""

import argparse
import asyncio
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import TypeAdapter

from bench.report import figure_table, write
from soak.outcome import Outcome
from soak.soak import FACTOR, Options, soak
from soak.verdict import judge

_OUTPUT = Path("build/soak")


def main() -> int:
    """Run a soak; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(
        prog="scripts/soak",
        description=f"Runs a real syncer before an upstream that changes at {FACTOR} times PyPI's rate, with faults "
        "and kills, and checks whether anything is lost, late or growing.",
        epilog="exit codes: 0 every promise was kept, 1 one was broken, 2 usage",
    )
    parser.add_argument(
        "--minutes", type=float, default=30, metavar="N", help="duration (30); growth counts from 10 on"
    )
    parser.add_argument("--projects", type=int, default=3_000, metavar="N", help="initial number of projects (3000)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="seed of changes and faults (1)")
    parser.add_argument(
        "--directory", type=Path, metavar="DIR", help="keep the mirror and its log in this empty directory"
    )
    parser.add_argument(
        "--output", type=Path, default=_OUTPUT, metavar="DIR", help=f"directory for the figures ({_OUTPUT})"
    )
    given = parser.parse_args()
    if given.minutes < 1:
        parser.error("--minutes: at least 1")
    if given.directory and given.directory.exists() and any(given.directory.iterdir()):
        parser.error(f"--directory: {given.directory} is not empty")
    with TemporaryDirectory(prefix="soak-") as temporary:
        directory: Path = given.directory or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        options = Options(minutes=given.minutes, projects=given.projects, seed=given.seed)
        outcome = asyncio.run(soak(directory, options, report=_report))
    figures = judge(outcome)
    given.output.mkdir(parents=True, exist_ok=True)
    write(figures, given.output)
    (given.output / f"{figures.label}-outcome.json").write_bytes(TypeAdapter(Outcome).dump_json(outcome, indent=1))
    sys.stdout.write(f"\n{figure_table(figures)}")
    return 0 if all(figure.met in (None, True) for figure in figures.figures) else 1


def _report(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")


if __name__ == "__main__":
    sys.exit(main())
