"""Faults between upstream and the syncer, all the time, for a share of the requests of each kind."""

import random
from collections.abc import Callable

from fakepypi import Endpoint, Faults, Rule, Target

_PAGES: tuple[tuple[float, Callable[[Rule], object]], ...] = (
    (0.015, lambda rule: rule.status(503, retry_after=1)),
    (0.005, lambda rule: rule.status(500)),
    (0.003, lambda rule: rule.status(429, retry_after=1)),
    (0.002, lambda rule: rule.status(404)),
    (0.010, lambda rule: rule.delay(1)),
    (0.005, lambda rule: rule.reset()),
    (0.005, lambda rule: rule.cut()),
    (0.005, lambda rule: rule.stale()),
    (0.003, lambda rule: rule.drip(size=200, every=0.05)),
    (0.002, lambda rule: rule.wrong_hash()),
    (0.002, lambda rule: rule.broken_gzip()),
    (0.001, lambda rule: rule.wrong_size()),
    (0.001, lambda rule: rule.login_page()),
)
_FILES: tuple[tuple[float, Callable[[Rule], object]], ...] = (
    (0.015, lambda rule: rule.status(503, retry_after=1)),
    (0.003, lambda rule: rule.status(404)),
    (0.010, lambda rule: rule.reset()),
    (0.010, lambda rule: rule.cut()),
    (0.005, lambda rule: rule.corrupt()),
    (0.003, lambda rule: rule.shortened()),
    (0.003, lambda rule: rule.drip(size=4_000, every=0.05)),
    (0.001, lambda rule: rule.endless(limit=16 * 1024 * 1024)),
)
_LISTS: tuple[tuple[float, Callable[[Rule], object]], ...] = (
    (0.03, lambda rule: rule.status(503, retry_after=1)),
    (0.02, lambda rule: rule.reset()),
    (0.02, lambda rule: rule.cut()),
    (0.05, lambda rule: rule.stale()),
)


def add_faults(faults: Faults, *, seed: int) -> None:
    """Add faults from now on: to six pages in a hundred, five files, twelve project lists."""
    dice = random.Random(f"weather {seed}")
    kinds = {Endpoint.PAGE: _PAGES, Endpoint.FILE: _FILES, Endpoint.METADATA: _FILES, Endpoint.ROOT: _LISTS}
    for endpoint, kinds_of_faults in kinds.items():
        for share, add in kinds_of_faults:
            add(faults.on(Target(endpoint=endpoint)).sometimes(share, dice=dice))
