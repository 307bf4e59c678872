"""A new policy on a disk that refuses some of it: the rest is in force, and a person reads what is not."""

import pytest

import fakepypi
from mirror_contract import RunState
from syncer.site import Site

WHEEL = "six-1.0-py3-none-any.whl"


@pytest.mark.proves("reliability/blocks")
@pytest.mark.proves("reliability/disk")
async def test_marker_that_cannot_be_written_fails_one_file(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A blocked file in its grace period whose marker the disk refuses leaves all the same, and stops no project."""
    six = pypi.index.project("six")
    six.upload("1.0", sdist=False)
    six.upload("2.0", sdist=False)
    site.select("six")
    async with site.running() as running:
        await running.sync()
        place = site.web / site.published("six").places[WHEEL]
        six.delete_release("1.0")
        site.select("six", guard="100%")
        await running.sync()
        graced = place.exists()
        (place.parent / ".held").touch()  # not a directory
        pypi.index.project("idna").upload("1.0")
        site.select("six", "idna")
        site.policy.write_text(f'{site.policy.read_text()}[block]\nprojects = ["six==1.0"]\n')
        run = await running.sync()

    assert graced
    assert not place.exists()
    assert site.pages() == ["idna", "six"]
    assert (run.state, [failure.file for failure in run.failures]) == (RunState.INCOMPLETE, [WHEEL])
    assert ".held" in run.failures[0].reason


@pytest.mark.proves("reliability/blocks")
@pytest.mark.proves("reliability/disk")
async def test_blocked_project_leaves_though_its_reason_cannot_be_shown(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A block is in force in the run that reads it, even if the disk refuses its text; the next run writes the text."""
    for name in ("six", "idna"):
        pypi.index.project(name).upload("1.0")
    site.select("six", "idna")
    await site.sync()
    text = site.data / "pypi" / ".blocked"
    text.mkdir()
    site.policy.write_text(f'{site.policy.read_text()}[block]\nprojects = ["idna"]\n')
    run = await site.sync()
    left = site.pages()
    text.rmdir()
    later = await site.sync()

    assert (run.state, left) == (RunState.INCOMPLETE, ["six"])
    assert f"the reasons of blocked projects: {text}" in (run.message or "")
    assert later.state is RunState.SUCCEEDED
    assert "idna" in text.read_text()


@pytest.mark.proves("reliability/disk")
async def test_policy_that_does_not_fit_on_the_disk_is_reported(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A run that only applies the policy fails on a disk that is too full for it, and a later one does the rest."""
    for version in ("1.0", "2.0"):
        pypi.index.project("six").upload(version, wheel=False)
    site.select("six<2")
    await site.sync()
    site.select("six")
    async with site.running(reserve=1.0) as running:
        full = await running.sync(offline=True)
    narrow = site.filenames("six")
    pypi.log.forget()
    later = await site.sync(offline=True)

    assert full.state is RunState.FAILED
    assert "stay free (MIRROR_DISK_RESERVE)" in (full.message or "")
    assert narrow == {"six-1.0.tar.gz"}
    assert later.state is RunState.SUCCEEDED
    assert pypi.log.to("/simple/six/") == []
    assert site.filenames("six") == {"six-1.0.tar.gz", "six-2.0.tar.gz"}
