"""A soak of a minute: long enough for what gets lost or is left behind, not for what grows."""

from pathlib import Path

import pytest

from soak.soak import Options, soak
from soak.verdict import judge


@pytest.mark.proves("reliability/soak")
@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_minute_of_changes_faults_and_deaths(tmp_path: Path) -> None:
    """A minute at 50 times PyPI's rate, with faults and deaths: nothing lost, no URL changed, nothing left over."""
    outcome = await soak(tmp_path, Options(minutes=1, projects=300, seed=1), say=print)

    assert [figure for figure in judge(outcome).figures if figure.met is False] == []
    assert outcome.faults > 10
    assert sum(outcome.changes.values()) > 300
