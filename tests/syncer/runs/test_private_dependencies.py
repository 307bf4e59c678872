"""A tree that was adopted may hold projects that upstream never had: what these require is nobody's business."""

import pytest

import fakepypi
from mirror_contract import RunState, UnmetReason
from mirror_syncer.commands.adoption import adopt
from mirror_syncer.config.settings import Settings
from syncer.indexes import choose, upload
from syncer.old_mirror import OldMirror
from syncer.site import Site

pytestmark = pytest.mark.proves("security/mistakes")


async def adopt_private(site: Site, pypi: fakepypi.FakePyPI, *releases: str) -> None:
    """Adopt a tree with projects that upstream does not have, by the mirror.toml that is there."""
    old = OldMirror(site.web)
    upload(pypi, *releases)
    for name in {release.split()[0] for release in releases}:
        old.write(pypi.index.project(name))
        pypi.index.project(name).delete()
    values = {"data": site.data, "state": site.state, "policy": site.policy, "upstream": site.upstream}
    await adopt(Settings.model_validate(values | {"disk_reserve": 0.0}), source=None, hashing=False, dry_run=False)
    pypi.log.forget()


def asked(pypi: fakepypi.FakePyPI) -> set[str]:
    """Return the projects whose pages upstream was asked for."""
    return {path.split("/")[2] for path in pypi.log.paths() if path.startswith("/simple/")}


@pytest.mark.parametrize("guard", ["1%", "100%"])
async def test_name_in_a_private_file_is_not_asked_for(site: Site, pypi: fakepypi.FakePyPI, guard: str) -> None:
    """Upstream is asked for the lines of mirror.toml, and not for what only a file requires that it does not have."""
    site.select("our-app", "other", guard=guard, follow=True)
    await adopt_private(site, pypi, "our-app 1.0: our-secret, six", "our-secret 1.0: our-key")
    upload(pypi, "six 1.0", "other 1.0")
    for _ in range(3):
        await site.sync()
    assert asked(pypi) == {"our-app", "other"}


async def test_name_that_upstream_s_files_require_is_asked_for(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project that both a private file and one of upstream require is mirrored as ever."""
    choose(site, "our-app", "app")
    await adopt_private(site, pypi, "our-app 1.0: six, our-secret")
    upload(pypi, "app 1.0: lib", "lib 1.0: six", "six 1.0", "six 2.0")
    run = await site.sync()
    assert run.state is RunState.INCOMPLETE  # upstream has no our-app
    assert site.pages() == ["app", "lib", "six"]
    assert site.filenames("six") == {"six-2.0-py3-none-any.whl"}
    assert "our-secret" not in asked(pypi)


async def test_first_sync_of_one_line_asks_for_no_private_name(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A run that names another project does not take an adopted page for upstream's."""
    site.select("our-app", "other", follow=True)
    await adopt_private(site, pypi, "our-app 1.0: our-secret")
    upload(pypi, "other 1.0")
    async with site.running() as running:
        await running.sync("other")
        closure = running.mirror.policy.current.closure
        assert closure is not None
        [unmet] = [one for one in closure.unmet if one.reason is UnmetReason.NO_PROJECT]
    assert unmet.message == "upstream is not asked for our-secret, since only files that it does not have name it"
    assert asked(pypi) == {"our-app", "other"}


async def test_addition_of_mirror_toml_is_asked_for(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """What ``[dependencies] add`` names, a person has named."""
    choose(site, "our-app", "other", more='[dependencies]\nadd = { our-app = ["six"] }\n')
    await adopt_private(site, pypi, "our-app 1.0: our-secret")
    upload(pypi, "six 1.0", "other 1.0")
    await site.sync("other")
    assert asked(pypi) == {"our-app", "other", "six"}
