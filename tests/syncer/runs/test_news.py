"""When upstream last changed: an upstream that always answers the same is not fresh."""

import pytest

import fakepypi
from mirror_contract import RunState
from syncer.runs.test_whole_index import gauges, publish
from syncer.site import Running, Site

pytestmark = pytest.mark.proves("reliability/upstream")

METRIC = "pypi_mirror_upstream_serial_timestamp_seconds"


def last_change_at(running: Running) -> float:
    """Return when upstream last changed, as the metric says; 0 means never."""
    return gauges(running)[METRIC]


@pytest.mark.parametrize("everything", [True, False])
@pytest.mark.parametrize("serials", [True, False])
async def test_only_upstream_changes_count_as_news(
    site: Site, pypi: fakepypi.FakePyPI, *, everything: bool, serials: bool
) -> None:
    """A first sync and a new release count as news; a 304, an unchanged page and another policy do not."""
    publish(pypi, "alpha", "beta")
    if not serials:
        pypi.faults.everywhere().without_serials()
    if everything:
        site.everything()
    else:
        site.select("alpha", "beta")
    async with site.running() as running:
        never = last_change_at(running)
        await running.sync()
        first = last_change_at(running)
        site.sql("UPDATE about SET value = '1' WHERE key = 'news'")
        site.sql("UPDATE project SET checked_at = 1")
        quiet = await running.sync()
        if everything:
            site.everything("alpha<3")
        else:
            site.select("alpha<2", "beta")
        await running.sync()
        same = last_change_at(running)
        pypi.index.project("beta").upload("2.0")
        site.sql("UPDATE project SET checked_at = 1")
        await running.sync()
        again = last_change_at(running)

    assert quiet.state is RunState.SUCCEEDED
    assert (never, same) == (0, 1)
    assert first > 1
    assert again > 1
