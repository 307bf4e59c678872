"""``[limits]``: a sync that would exceed one stops before it downloads a file."""

import pytest

import fakepypi
from mirror_contract import RunState
from syncer.indexes import choose, upload
from syncer.site import Site


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("projects = 2", "[limits] projects = 2, and the lines need 3 projects"),
        ('size = "2kB"', "[limits] size = 2,000"),
    ],
)
async def test_limit_stops_before_a_download(site: Site, pypi: fakepypi.FakePyPI, limit: str, words: str) -> None:
    """A selection that needs more than a limit fails with its name and a remedy in one line, and downloads no file."""
    upload(pypi, "app 1.0: lib", "lib 1.0: base", "base 1.0")
    choose(site, "app", more=f"[limits]\n{limit}\n")
    async with site.running() as running:
        run = await running.sync()

        assert run.state is RunState.FAILED
        assert run.message is not None
        assert run.message.startswith(words)
        assert "\n" not in run.message
        assert "raise the limit" in run.message
        assert (run.counts.files_fetched, site.pages()) == (0, [])

        choose(site, "app")
        assert (await running.sync()).state is RunState.SUCCEEDED
    assert site.pages() == ["app", "base", "lib"]


@pytest.mark.proves("security/project-owners")
async def test_limit_stops_requests_for_far_more_projects(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Far beyond the limit nobody asks upstream for the rest; the error names who requires it, and yanks apply."""
    upload(pypi, "app 1.0: lib", "lib 1.0", "other 1.0")
    limit = "[limits]\nprojects = 3\n"
    choose(site, "app", "other", more=limit)
    async with site.running() as running:
        await running.sync()
        upload(pypi, f"lib 2.0: {', '.join(f'n{number}' for number in range(1_001))}")
        pypi.index.project("other").yank("1.0", reason="broken")
        pypi.log.forget()
        run = await running.sync()

        assert run.state is RunState.FAILED
        assert run.message is not None
        assert "more than 1,000 projects are required, 1,001 of them first by lib" in run.message
        assert "block lib" in run.message
        assert not any("/simple/n" in exchange.path for exchange in pypi.log.exchanges)
        assert site.filenames("lib") == {"lib-1.0-py3-none-any.whl"}
        assert site.published("other").files["other-1.0-py3-none-any.whl"].yanked == "broken"

        choose(site, "app", "other", more=f'{limit}[block]\nprojects = ["lib==2.0"]\n')
        assert (await running.sync()).state is RunState.SUCCEEDED


async def test_exceeded_limit_keeps_what_is_published_and_its_restrictions(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """While a limit is exceeded, what is published stays, new releases wait, and yanks and quarantines apply."""
    upload(pypi, "app 1.0: lib", "lib 1.0", "other 1.0")
    choose(site, "app", "other")
    async with site.running() as running:
        await running.sync()
        upload(pypi, "app 2.0: lib, news", "news 1.0: more", "more 1.0")
        pypi.index.project("app").yank("1.0", reason="broken")
        pypi.index.project("other").quarantine()
        choose(site, "app", "other", more="[limits]\nprojects = 3\n")
        run = await running.sync()

        assert (run.state, run.counts.files_fetched) == (RunState.FAILED, 0)
        assert site.pages() == ["app", "lib", "other"]
        assert site.published("app").files["app-1.0-py3-none-any.whl"].yanked == "broken"
        assert site.filenames("other") == set()

        choose(site, "app", "other")
        await running.sync()
    assert site.filenames("app") == {"app-2.0-py3-none-any.whl"}


async def test_limit_below_what_is_published_fails(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A limit that is lowered below what is published fails the next sync, though no page has changed."""
    upload(pypi, "app 1.0: lib", "lib 1.0")
    choose(site, "app")
    await site.sync()
    choose(site, "app", more="[limits]\nprojects = 1\n")
    run = await site.sync()

    assert run.state is RunState.FAILED
    assert site.pages() == ["app", "lib"]


async def test_limit_holds_for_what_follows_from_the_policy_alone(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Once all requirements are known, a policy that still exceeds its limit downloads nothing either."""
    upload(pypi, "app 1.0: lib", "lib 1.0: base", "base 1.0", "other 1.0")
    choose(site, "other")
    await site.sync()
    for limit in (2, 3):
        choose(site, "app", "other", more=f"[limits]\nprojects = {limit}\n")
        run = await site.sync()

        assert (run.state, run.counts.files_fetched) == (RunState.FAILED, 0)
        assert site.pages() == ["other"]
