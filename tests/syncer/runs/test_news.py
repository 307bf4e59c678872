"""When upstream last had news: an upstream that answers the same for ever is not fresh."""

import pytest

import fakepypi
from mirror_contract import RunState
from syncer.runs.test_everything import gauges, publish
from syncer.site import Running, Site

pytestmark = pytest.mark.proves("reliability/upstream")

METRIC = "pypi_mirror_upstream_serial_timestamp_seconds"


def news_at(running: Running) -> float:
    """Return when upstream last had news, as the metric says; 0: never."""
    return gauges(running)[METRIC]


@pytest.mark.parametrize("everything", [True, False])
@pytest.mark.parametrize("serials", [True, False])
async def test_only_what_is_new_is_news(
    site: Site, pypi: fakepypi.FakePyPI, *, everything: bool, serials: bool
) -> None:
    """A first sync and a release are news; 304s, the same page again and another policy are none."""
    publish(pypi, "alpha", "beta")
    if not serials:
        pypi.faults.everywhere().without_serials()
    if everything:
        site.everything()
    else:
        site.select("alpha", "beta")
    async with site.running() as running:
        never = news_at(running)
        await running.sync()
        first = news_at(running)
        site.sql("UPDATE about SET value = '1' WHERE key = 'news'")
        site.sql("UPDATE project SET checked_at = 1")
        quiet = await running.sync()
        if everything:
            site.everything("alpha<3")
        else:
            site.select("alpha<2", "beta")
        await running.sync()
        same = news_at(running)
        pypi.index.project("beta").upload("2.0")
        site.sql("UPDATE project SET checked_at = 1")
        await running.sync()
        again = news_at(running)

    assert quiet.state is RunState.SUCCEEDED
    assert (never, same) == (0, 1)
    assert first > 1
    assert again > 1
