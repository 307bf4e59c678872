"""A policy that left files out is revoked: they return, however the mirror knew upstream's page before."""

import pytest

import fakepypi
from mirror_contract import RunState
from syncer.site import Site

pytestmark = pytest.mark.proves("reliability/removal")


@pytest.mark.parametrize("everything", [False, True])
async def test_files_return_when_a_policy_is_taken_back(
    site: Site, pypi: fakepypi.FakePyPI, *, everything: bool
) -> None:
    """Files that a policy left out of a page that was published whole return when the policy is revoked."""
    for version in ("1.0", "2.0"):
        pypi.index.project("six").upload(version, wheel=False)
    write = site.everything if everything else site.select
    write("six")
    await site.sync()
    whole = site.filenames("six")
    write("six<2")
    await site.sync()
    narrowed = site.filenames("six")
    write("six")
    back = await site.sync()

    assert narrowed == {"six-1.0.tar.gz"}
    assert (back.state, site.filenames("six")) == (RunState.SUCCEEDED, whole)


@pytest.mark.parametrize("everything", [False, True])
async def test_a_cooldown_that_comes_later_keeps_the_whole_page(
    site: Site, pypi: fakepypi.FakePyPI, *, everything: bool
) -> None:
    """A file that a new cooldown holds is published without upstream when the cooldown is removed."""
    for version in ("1.0", "2.0"):
        pypi.index.project("six").upload(version, wheel=False)
    write = site.everything if everything else site.select
    write("six")
    await site.sync()
    whole, text = site.filenames("six"), site.policy.read_text()
    site.policy.write_text(f"{text}[age]\nnot_after = 2020-01-01\n")
    await site.sync()
    held = site.filenames("six")
    site.policy.write_text(text)
    pypi.log.forget()
    await site.sync(offline=True)

    assert held == set()
    assert pypi.log.to("/simple/six/") == []
    assert site.filenames("six") == whole
