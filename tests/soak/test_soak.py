"""A soak of one minute: it finds lost and leftover files, but not growth."""

from pathlib import Path

import pytest

from soak.soak import Options, soak
from soak.verdict import judge


@pytest.mark.proves("reliability/soak")
@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_soak_of_a_minute_loses_nothing(tmp_path: Path) -> None:
    """A minute at 50 times PyPI's rate, with faults and kills, loses nothing, changes no URL and leaves nothing."""
    outcome = await soak(tmp_path, Options(minutes=1, projects=300, seed=1), report=print)

    assert [figure for figure in judge(outcome).figures if figure.met is False] == []
    assert outcome.faults > 10
    assert sum(outcome.changes.values()) > 300
