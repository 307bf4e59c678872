"""Advisories: the published files that they block, from run to run."""

import json

import pytest

import fakepypi
from mirror_contract import RunState
from syncer.osv import record
from syncer.site import Site

pytestmark = [pytest.mark.proves("reliability/blocks")]


def advise(site: Site, *records: dict[str, object]) -> None:
    """Write advisories beside mirror.toml, in place of earlier ones."""
    directory = site.policy.parent / "advisories"
    directory.mkdir(exist_ok=True)
    for path in directory.iterdir():
        path.unlink()
    for one in records:
        (directory / f"{one['id']}.json").write_text(json.dumps(one))


async def test_malware_that_was_published_leaves_and_raises_an_alarm(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A published version that turns out to be malware leaves in the next run, which ends incomplete and names it."""
    project = pypi.index.project("six")
    project.upload("1.0")
    project.upload("1.1")
    site.select("six")
    assert (await site.sync()).state is RunState.SUCCEEDED
    malware = record("MAL-2026-1", "six", versions=["1.1"], summary="steals tokens")
    advise(site, malware)

    run = await site.sync()

    assert run.state is RunState.INCOMPLETE
    assert {failure.file for failure in run.failures} == {"six-1.1.tar.gz", "six-1.1-py3-none-any.whl"}
    assert all("MAL-2026-1 (malware): steals tokens" in failure.reason for failure in run.failures)
    assert site.filenames("six") == {"six-1.0.tar.gz", "six-1.0-py3-none-any.whl"}
    assert (await site.sync()).state is RunState.SUCCEEDED, "the alarm is raised once"


async def test_withdrawn_advisory_brings_the_version_back_from_disk(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A version that an advisory blocked by mistake is published again, and not downloaded again."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    await site.sync()
    advise(site, record("MAL-2026-1", "six", versions=["1.0"]))
    await site.sync()
    assert not site.filenames("six")
    pypi.log.forget()

    advise(site, record("MAL-2026-1", "six", versions=["1.0"], withdrawn="2026-11-30T07:00:00Z"))
    run = await site.sync()

    assert (run.state, run.counts.files_fetched) == (RunState.SUCCEEDED, 0)
    assert site.filenames("six")


async def test_malware_in_its_grace_period_leaves(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Malware of a project that mirror.toml no longer names cannot be downloaded until the end of its grace period."""
    for name in ("six", "idna"):
        pypi.index.project(name).upload("1.0")
    site.select("six", "idna", guard="100%")
    await site.sync()
    place = site.web / site.published("six").places["six-1.0.tar.gz"]
    site.select("idna", guard="100%")
    await site.sync()
    graced = place.exists()
    advise(site, record("MAL-2026-1", "six", versions=["1.0"]))

    await site.sync()

    assert graced
    assert not place.exists()
    assert "MAL-2026-1" in (place.parent / ".held" / place.name).read_text()


async def test_sync_of_one_project_applies_advisories_about_others(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A run that names projects reads the advisories as well, so malware of another project leaves in that run."""
    for name in ("six", "idna"):
        pypi.index.project(name).upload("1.0")
    site.select("six", "idna")
    await site.sync()
    advise(site, record("MAL-2026-1", "six", versions=["1.0"]))

    run = await site.sync("idna")

    assert run.state is RunState.INCOMPLETE
    assert site.filenames("six") == set()
    assert site.filenames("idna")
