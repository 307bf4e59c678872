"""The verdict on a soak: each figure beside its limit."""

import os
import statistics
from collections.abc import Callable, Sequence

from bench.figures import Figures
from bench.machine import machine
from soak.outcome import Outcome
from soak.samples import ProcessResources, Sample

_LONG_ENOUGH_MINUTES = 10  # before, caches and memory arenas still grow
_GROWTH_PERCENT = 5
_KEPT_OPEN = 10  # descriptors: connections to upstream and to the catalog, which the first load opens
# Thread pools grow thread by thread and never shrink: the event loop's own, and the inspections'. The parent has one
# more thread for orphans, and one that waits for the worker's end.
_POOLS = 1 + min(32, (os.cpu_count() or 1) + 4) + len(os.sched_getaffinity(0))
_THREADS = {"parent": _POOLS + 2, "worker": _POOLS}
_MB = 1_000_000
Select = Callable[[Sample], ProcessResources | None]


def judge(outcome: Outcome) -> Figures:
    """Return all figures; ``Figure.met`` says whether each is within its limit."""
    sheet = Figures(
        scenario="soak",
        what=f"{outcome.minutes:g} minutes of changes at 50 times PyPI's rate, with faults and deaths",
        quick=outcome.minutes < _LONG_ENOUGH_MINUTES,
        machine=machine(),
        versions={},
    )
    rates, happened = outcome.rates, outcome.changes
    sheet.facts += [
        f"{outcome.projects:,} projects, seed {outcome.seed}",
        f"{sum(happened.values()):,} changes ({rates.files:.0f} files and {rates.projects:.1f} projects a minute): "
        + ", ".join(f"{what} {count:,}" for what, count in happened.most_common()),
        f"{outcome.requests:,} requests, {outcome.faults:,} faults",
        "runs: " + ", ".join(f"{what} {count}" for what, count in sorted(outcome.runs.items())),
        f"{outcome.retried} projects synced by name at the end",
    ]
    _promise_truth(sheet, outcome)
    _promise_speed(sheet, outcome)
    for who, select in (("parent", _parent), ("worker", _worker)):
        _promise_flatness(sheet, outcome, who, select)
    _promise_tidiness(sheet, outcome)
    return sheet


def _promise_truth(sheet: Figures, outcome: Outcome) -> None:
    sheet.add("files read and hashed", "clients", outcome.looks, unit="", at_least=outcome.minutes * 60)
    for what, found in (
        ("files that differed from their page", outcome.wrong),
        ("URLs that changed their bytes", outcome.changed),
        ("files that a page named and that were missing", outcome.lost),
    ):
        sheet.add(what, "clients", len(found), unit="", at_most=0)
    sheet.add("differences from upstream, faults off", "tree", len(outcome.differences), unit="", at_most=0)
    sheet.add("files that no page names, grace over", "tree", len(outcome.unnamed), unit="", at_most=0)
    sheet.add("found damaged by a full verify", "tree", outcome.damaged, unit="", at_most=0)
    sheet.add("found orphaned by a full verify", "tree", outcome.orphaned, unit="", at_most=0)


def _promise_speed(sheet: Figures, outcome: Outcome) -> None:
    share = statistics.quantiles(outcome.seen, n=100, method="inclusive")
    sheet.add("from change to visible, median", "tree", share[49], unit="s", at_most=20)
    sheet.add("from change to visible, 95 of 100", "tree", share[94], unit="s", at_most=90)
    sheet.add("from change to visible, 99 of 100", "tree", share[98], unit="s")
    # What failed five times in a row waits five minutes, then ten.
    sheet.add("from change to visible, the longest", "tree", max(outcome.seen), unit="s", at_most=960)
    sheet.add("changes never seen", "tree", outcome.unseen, unit="", at_most=0)
    if outcome.converged is not None:
        sheet.add("from the last fault until all is as upstream", "tree", outcome.converged, unit="s")
    sheet.add("lag behind upstream", "serials", *_seen(outcome.samples, lambda sample: sample.lag), unit="")


def _promise_flatness(sheet: Figures, outcome: Outcome, who: str, select: Select) -> None:
    """
    Assert that nothing grows: memory by a line fitted through the second half, the rest by its minimum.

    A leak also shows at rest; the load at any one moment is random.
    """
    half = outcome.samples[len(outcome.samples) // 2 :]
    resources = [(sample.seconds, one) for sample in half if (one := select(sample))]
    if sheet.quick and not resources and select is _worker:
        return  # killed in the first half and not started again: the parent may handle a minute's changes alone
    if len(resources) < 4:
        raise RuntimeError(f"{who} has {len(resources)} samples in the second half; a soak needs at least one minute")
    memory = [(seconds, one.memory / _MB) for seconds, one in resources]
    sheet.add("resident memory", who, *(size for _, size in memory), unit="MB")
    most = None if sheet.quick else _GROWTH_PERCENT
    sheet.add("resident memory, growth in the second half", who, _growth(memory), unit="%", at_most=most)
    before, after = select(outcome.before), select(outcome.after) if outcome.after else None
    sheet.add("threads, most", who, max(one.threads for _, one in resources), unit="", at_most=_THREADS[who])
    for what, allowed in (("descriptors", _KEPT_OPEN), ("tasks", 0)):
        numbers = [getattr(one, what) for _, one in resources]
        sheet.add(what, who, *numbers, unit="")
        middle = len(numbers) // 2
        drift = min(numbers[middle:]) - min(numbers[:middle])
        bar = None if sheet.quick else 1
        sheet.add(f"{what}, lowest of the last quarter less the one before", who, drift, unit="", at_most=bar)
        if before and after:
            rest = getattr(after, what) - getattr(before, what)
            sheet.add(f"{what}, at rest after less before", who, rest, unit="", at_most=allowed)


def _promise_tidiness(sheet: Figures, outcome: Outcome) -> None:
    looks = outcome.samples
    sheet.add("temporary files during the load", "tree", *_seen(looks, lambda sample: sample.temporaries), unit="")
    sheet.add("temporary files left", "tree", outcome.temporaries, unit="", at_most=0)
    sheet.add("rows of unfinished changes left", "catalog", outcome.pending, unit="", at_most=0)
    sheet.add("database", "catalog", *(sample.catalog / _MB for sample in looks), unit="MB")
    sheet.add("write-ahead log, largest", "catalog", max(sample.wal for sample in looks) / _MB, unit="MB", at_most=32)
    sheet.add("tracebacks", "log", len(outcome.tracebacks), unit="", at_most=0)
    sheet.add("exit code when stopped", "parent", max(map(abs, outcome.exits)), unit="", at_most=0)


def _growth(line: Sequence[tuple[float, float]]) -> float:
    """Return by how many percent of its mean a value grows along a line fitted through it."""
    fit = statistics.linear_regression(*zip(*line, strict=True))
    return 100 * fit.slope * (line[-1][0] - line[0][0]) / statistics.fmean(value for _, value in line)


def _seen(samples: Sequence[Sample], select: Callable[[Sample], int | None]) -> list[int]:
    return [value for sample in samples if (value := select(sample)) is not None]


def _parent(sample: Sample) -> ProcessResources | None:
    return sample.parent


def _worker(sample: Sample) -> ProcessResources | None:
    return sample.worker
