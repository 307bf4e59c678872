"""A policy that left files out is revoked: they return, however the mirror knew upstream's page before."""

from collections.abc import Callable

import pytest

import fakepypi
from mirror_contract import RunState
from syncer.site import Site

pytestmark = pytest.mark.proves("reliability/removal")


@pytest.fixture(params=["selected", "everything"])
async def write(request: pytest.FixtureRequest, site: Site, pypi: fakepypi.FakePyPI) -> Callable[..., None]:
    """Return what writes a policy of a scope, after a sync that published both releases of six."""
    for version in ("1.0", "2.0"):
        pypi.index.project("six").upload(version, wheel=False)
    write = site.everything if request.param == "everything" else site.select
    write("six")
    await site.sync()
    assert site.filenames("six") == WHOLE
    return write


WHOLE = {"six-1.0.tar.gz", "six-2.0.tar.gz"}


async def test_files_return_when_a_policy_is_taken_back(site: Site, write: Callable[..., None]) -> None:
    """Files that a policy left out of a page that was published whole return when the policy is revoked."""
    write("six<2")
    await site.sync()
    narrowed = site.filenames("six")
    write("six")
    back = await site.sync()

    assert narrowed == {"six-1.0.tar.gz"}
    assert (back.state, site.filenames("six")) == (RunState.SUCCEEDED, WHOLE)


@pytest.mark.usefixtures("write")
async def test_a_cooldown_that_comes_later_keeps_the_whole_page(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A file that a new cooldown holds is published without upstream when the cooldown is removed."""
    text = site.policy.read_text()
    site.policy.write_text(f"{text}[age]\nnot_after = 2020-01-01\n")
    await site.sync()
    held = site.filenames("six")
    site.policy.write_text(text)
    pypi.log.forget()
    await site.sync(offline=True)

    assert held == set()
    assert pypi.log.to("/simple/six/") == []
    assert site.filenames("six") == WHOLE
